r"""Repair a potential that explodes: train it by observables of its own simulations until they hold.

Reads   a reference of 011-sample-reference.py, and a potential of 012-pretrain.py; or the .pt of a force field, of
        002-parameterize.py or a run of 004-train.py, that knows the reference's molecule
Writes  outputs/stable/<run>/     config.json, TensorBoard events, checkpoints/, history.json and .csv,
                                  potentials/cycle1-epoch1.pt, ..., cycle1.pt, ..., potential.pt, summary.json;
                                  of a force field .offxml beside each .pt

    python 013-stabilize.py --reference outputs/reference/CCO --potential outputs/potentials/<run> --preset ethanol
    python 013-stabilize.py --control outputs/stable/<run>      the same steps without observables
    python 013-stabilize.py --potential outputs/openff-2.1.0.pt --preset ethanol-smirnoff      a force field

Many processes:         torchrun --nproc-per-node 4 013-stabilize.py ...      (or --n-processes 4 on one machine)
Go on with a run:       python 013-stabilize.py --resume outputs/stable/<run>
Watch it:               tensorboard --logdir outputs/stable

No new quantum calculation is made: replicas are simulated with the potential itself, those that fall apart are sent
back, and the gradient of the observables comes from reweighting their frames (S. Raja et al., TMLR 2025). An epoch of
32 replicas of ethanol and 2 ps takes 1 s, its ten steps of learning 1.5 s. Any number of processes gives the same
result to the last bit.
"""

import dataclasses
import json
import math
import pathlib
import typing

from common.data.dataset import read_fingerprint
from common.data.trajectories import read_trajectories
from common.files.artifacts import MissingArtifactError
from common.files.fingerprints import compute_content_hash
from common.forcefields.trainable import Column
from common.processes.devices import check_device
from common.processes.ranks import join_torchrun, run_ranks
from common.processes.stage import remember_run, run_stage
from common.processes.torchrun import is_first_rank, is_under_torchrun
from common.replicas.candidates import find_potential
from common.replicas.epochs import EpochSettings
from common.replicas.setup import DeviationSettings, MotionSettings, ObservableSettings
from common.reporting.console import suggest_command
from common.runs.checkpoints import load_checkpoint
from common.runs.folder import (
    SUMMARY,
    create_run_folder,
    read_config,
    read_settings_of_run,
    resolve_run,
    write_config,
)
from common.runs.names import name_run, read_first_settings
from common.runs.options import read_settings
from common.runs.settings import (
    AtLeastOne,
    Contents,
    Duration,
    Fraction,
    Group,
    Machine,
    NonNegative,
    Positive,
    Share,
    StageSettings,
    check_contents,
    fingerprint_settings,
    select_groups,
)
from common.stability.cycle import CycleSettings
from common.stability.force_field_model import Limits
from common.stability.plan import ForceFieldSettings, Plan, run_plan
from common.stability.stabilization import HISTORY

OUTPUTS = pathlib.Path("outputs")


@dataclasses.dataclass(frozen=True)
class Settings(StageSettings):
    """What is learnt from, how replicas are simulated, when phases end."""

    # --- what is learnt ----------------------------------------------------------------------------------------------
    # by observable the weight of its loss: instability (share of time spent failed, logarithm), instability-contact,
    # adf, rdf, rdf-8-8 and the like (liquids), bond-lengths, moments, mean-bonds, mean-angles
    observables: dict[str, NonNegative[float]] = dataclasses.field(
        default_factory=lambda: {"instability": 2.0, "adf": 1000.0, "rdf": 1.0}
    )
    quantum_weight: NonNegative[float] = 1.0  # of the quantum loss beside them
    energy_share: NonNegative[float] = 0.05  # of the quantum loss, mean squared energy error
    force_share: NonNegative[float] = 0.95  # of the quantum loss, mean squared error of force components
    quantum_batch: AtLeastOne[int] = 100  # training frames in a step
    estimator: typing.Literal["global", "localized"] = "global"  # localized: molecule by molecule of a liquid
    optimizer: typing.Literal["adam", "sgd"] = "adam"  # new in each cycle
    learning_rate: Positive[float] = 1.5e-4  # of it
    clipping: Positive[float] | None = None  # largest length of a gradient; upstream: 1
    patience: NonNegative[int] = 10  # epochs without fewer failures before the rate falls
    decay: Share[float] = 0.2  # of the rate
    max_decays: NonNegative[int] = 2  # learning ends instead of one more
    n_inner_steps: AtLeastOne[int] = 10  # of the optimiser in an epoch, at most
    smallest_effective_share: Share[float] = 0.4  # of the effective number of frames; below, an epoch's steps end
    pool_epochs: AtLeastOne[int] = 8  # whose frames are learnt from
    frames_per_epoch: AtLeastOne[int] = 200  # that stay in the pool
    n_blocks: AtLeastOne[int] = 16  # of replicas, summed apart: dealt to processes, and the error of the gradient

    # --- replicas ----------------------------------------------------------------------------------------------------
    n_replicas: AtLeastOne[int] = 32  # how many
    integrator: typing.Literal["langevin", "nose-hoover"] = "langevin"  # upstream trains with nose-hoover
    time_step: Positive[float] = 1.0  # [fs]
    temperature: Positive[float] | None = None  # [K]; None: the reference's
    friction: NonNegative[float] = 0.01  # [1/fs] of langevin
    relaxation_time: Positive[float] = 20.0  # [fs] of nose-hoover
    epoch_duration: Positive[float] = 2.0  # [ps]
    check_interval: AtLeastOne[int] = 10  # [steps] between two looks for failures
    n_absorbed: NonNegative[int] = 3  # frames that carry the time of a replica that was lost
    seed: NonNegative[int] = 0  # of starts, noise and everything that is drawn

    # --- failure -----------------------------------------------------------------------------------------------------
    bond_tolerance: Positive[float] | None = 0.25  # [Angstrom] of any bond from its mean
    bond_far: Positive[float] = 1.0  # [Angstrom] beyond which a replica is lost
    contact_tolerance: Positive[float] | None = None  # [Angstrom] smallest distance between molecules; liquids: 1.2
    contact_far: Positive[float] = 0.6  # [Angstrom] below which a replica is lost

    # --- phases ------------------------------------------------------------------------------------------------------
    n_cycles: Duration[AtLeastOne[int]] = 1  # of simulation and learning
    max_simulation_epochs: NonNegative[int] = 10  # in a phase; 0: learn at once
    max_learning_epochs: AtLeastOne[int] = 25  # in a phase
    unstable_share_to_learn: Share[float] = 0.75  # of replicas that have failed: simulation ends
    unstable_share_to_stop: Share[float] | typing.Literal["never"] = 0.0  # in an epoch of learning
    n_calm_epochs: AtLeastOne[int] = 3  # in a row with no more failures, and learning ends
    reset_share: Share[float] = 0.05  # of the replicas, sent back to an earlier epoch at the start of a cycle

    # --- observables -------------------------------------------------------------------------------------------------
    rdf_step: Positive[float] = 0.02  # [Angstrom] bins
    rdf_width: Positive[float] = 0.01  # [Angstrom] of the Gaussians
    rdf_largest: Positive[float] = 10.0  # [Angstrom] distance; liquids: half the box
    angle_width: Positive[float] = 1.0  # [degree] of the Gaussians

    # --- a force field -----------------------------------------------------------------------------------------------
    # by type the trained columns, as in 004-train.py; the width of a prior is the unit of a step
    trained: dict[str, dict[str, Column]] = dataclasses.field(
        default_factory=lambda: {
            "Bonds": {
                "k": Column(scale=1 / 100, lower=0.0, prior=100.0),
                "length": Column(lower=0.0, upper=5.0, prior=0.05),
            },
            "Angles": {
                "k": Column(scale=1 / 100, lower=0.0, prior=50.0),
                "angle": Column(lower=0.0, upper=math.pi, prior=0.1),
            },
            "ProperTorsions": {"k": Column(prior=1.0)},
        }
    )
    prior_strength: NonNegative[float] = 0.01  # of the mean squared move, in widths of the priors
    n_quantum_frames: AtLeastOne[int] = 500  # of the reference, that anchor a force field
    energy_limit: Positive[float] | None = 1.0  # of the energies' RMSE on them, relative to the start; None: none
    force_limit: Positive[float] | None = 1.0  # of the forces' RMSE

    # --- where and with what -----------------------------------------------------------------------------------------
    reference: Contents[pathlib.Path] = OUTPUTS / "reference" / "CCO"  # a data set of 011
    potential: Contents[pathlib.Path | None] = None  # run folder of 012 or 013, or a .pt; needed
    control: Contents[pathlib.Path | None] = None  # a run of this stage: its steps again, without observables
    held_out_share: Fraction[float] = 0.5  # of each run of the reference; nothing is learnt from it
    output: Machine[pathlib.Path] = OUTPUTS / "stable"  # folder of runs
    n_processes: Machine[AtLeastOne[int]] = 1  # that share replicas and frames
    device: Machine[str] = "cpu"  # "cuda" where there is a GPU
    resume: Machine[pathlib.Path | None] = None  # go on with this run; its settings hold, but more cycles may be given

    def check(self) -> None:
        check_device(self.device)
        n_steps = round(1000.0 * self.epoch_duration / self.time_step)
        if n_steps < self.check_interval:
            raise ValueError(f"epoch_duration of {self.epoch_duration:g} ps is shorter than check_interval")
        if not any(self.observables.values()) and self.control is None:
            raise ValueError("observables: none has a weight; for a run without any, name one with --control RUN")

    @property
    def epoch(self) -> EpochSettings:
        """How an epoch is run."""
        n_steps = round(1000.0 * self.epoch_duration / self.time_step)
        interval = max(1, self.n_replicas * n_steps // (self.frames_per_epoch * self.check_interval))
        return EpochSettings(n_steps, self.check_interval, interval * self.check_interval, self.n_absorbed)

    @property
    def cycle(self) -> CycleSettings:
        """When phases end, and how learning goes."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(CycleSettings)}
        if self.unstable_share_to_stop == "never":
            values["unstable_share_to_stop"] = None
        return CycleSettings(**values)


def take_over(settings: Settings) -> Settings:
    """The settings with the file of the potential; those of a control run are the run's that it belongs to.

    Raises:
        ValueError: no potential is named.
        FileNotFoundError: there is no such potential, or no such run of this stage.
    """
    if settings.control is None:
        if settings.potential is None:
            raise ValueError("no --potential is given: a run of 012-pretrain.py, or the .pt of a force field")
        return dataclasses.replace(settings, potential=find_potential(settings.potential))
    run = resolve_run(settings.control)
    if not (run / HISTORY).is_file():
        raise FileNotFoundError(f"{run}: no run of this stage, or one that has not got to an epoch")
    of_run = read_settings_of_run(run, Settings)
    return dataclasses.replace(
        of_run,
        control=run,
        observables={},
        output=settings.output,
        n_processes=settings.n_processes,
        device=settings.device,
        resume=None,
    )


def make_plan(settings: Settings) -> Plan:
    """All that ranks need to know, but for the folder and where it goes on.

    Raises:
        FileNotFoundError, ValueError: the reference cannot be used.
    """
    if not (settings.reference / "state.json").is_file():
        raise MissingArtifactError(f"{settings.reference}: no reference here", "reference")
    temperature = settings.temperature
    if temperature is None:
        temperature = read_trajectories(settings.reference)[0].temperature
        if temperature is None:
            raise ValueError(f"{settings.reference}: does not say at which temperature it was made; give --temperature")
    motion = MotionSettings(
        settings.integrator, settings.time_step, temperature, settings.friction, settings.relaxation_time
    )
    assert settings.potential is not None
    rows = [] if settings.control is None else json.loads((settings.control / HISTORY).read_text())
    return Plan(
        folder=pathlib.Path(),
        reference=settings.reference,
        potential=settings.potential,
        held_out_share=settings.held_out_share,
        cycle=settings.cycle,
        epoch=settings.epoch,
        motion=motion,
        deviations=DeviationSettings(
            settings.bond_tolerance, settings.bond_far, settings.contact_tolerance, settings.contact_far
        ),
        observables=ObservableSettings(
            settings.rdf_step, settings.rdf_width, settings.rdf_largest, settings.angle_width
        ),
        weights=settings.observables,
        shares=(settings.energy_share, settings.force_share),
        quantum_batch=settings.quantum_batch,
        is_localized=settings.estimator == "localized",
        force_field=ForceFieldSettings(
            settings.trained,
            settings.prior_strength,
            settings.n_quantum_frames,
            Limits(settings.energy_limit, settings.force_limit),
        ),
        control=rows if settings.control is not None else None,
        fingerprint="",
        checkpoint=None,
        device=settings.device,
    )


def open_run(settings: Settings, plan: Plan) -> Plan:
    """The plan with its folder: a new one, or that of the run to go on with.

    Raises:
        FileNotFoundError, ValueError: the run cannot go on; nothing in it has changed then.
    """
    control = settings.control
    contents = {
        "reference": read_fingerprint(settings.reference),
        "potential": compute_content_hash([plan.potential]),
        "control": "" if control is None else compute_content_hash([control / HISTORY]),
    }
    fingerprint = fingerprint_settings(settings, contents)
    folder, checkpoint = settings.resume, None
    if folder is None:
        named = select_groups(settings, Group.RESULT, Group.DURATION)
        name = "control" if control is not None else name_run("stable", named, read_first_settings(settings.output))
        folder = create_run_folder(settings.output, name)
    else:
        check_contents(settings, contents, read_config(folder).get("contents", {}), folder)
        checkpoint = load_checkpoint(folder, fingerprint)
        (folder / SUMMARY).unlink(missing_ok=True)
    write_config(folder, settings, contents)
    remember_run(folder)
    return dataclasses.replace(plan, folder=folder, fingerprint=fingerprint, checkpoint=checkpoint)


def has_ended(settings: Settings) -> bool:
    """Whether the run to go on with has done all that is asked for."""
    folder = settings.resume
    if folder is None or not (folder / SUMMARY).is_file():
        return False
    return read_config(folder).get("n_cycles") == settings.n_cycles


def main() -> None:
    settings = take_over(read_settings(Settings))
    if has_ended(settings):
        print(f"{settings.resume}: this run has ended; more cycles may be given with --n-cycles")
        return
    plan = make_plan(settings)
    plan.check()  # a fault shows here, before a folder is made
    if is_under_torchrun():
        with join_torchrun() as ranks:
            plan = ranks.share(open_run(settings, plan) if ranks.rank == 0 else None)
            run_plan(ranks, plan)
    else:
        plan = open_run(settings, plan)
        run_ranks(run_plan, (plan,), settings.n_processes)
    if is_first_rank():
        report(settings, plan)


def report(settings: Settings, plan: Plan) -> None:
    """How it ended, and what to do next."""
    summary = json.loads((plan.folder / SUMMARY).read_text())
    print(f"{summary['outcome']}; wrote {plan.folder}")
    options = {"--reference": (settings.reference, "")}
    print(suggest_command("014-simulate.py", options, settings.potential or "", plan.folder))


if __name__ == "__main__":
    run_stage(main, uses_ranks=True)
