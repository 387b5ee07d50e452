"""Run a campaign: train, sample, choose, pay for the calculations that teach most, and again.

Reads   outputs/search-spaces/<name>/        what 021-prepare-search-space.py wrote
Writes  outputs/campaigns/<run>/             config.json, journal.jsonl (all that happened), TensorBoard events,
                                             calculations/ (each one that was paid for), trajectories/, models/,
                                             train.db (ASE, with why each structure was computed), final-model/,
                                             data-raw/active-NAME/ (for 002 to 005), summary.json

    python 022-run-campaign.py --search-space outputs/search-spaces/NAME
    python 022-run-campaign.py --search-space outputs/search-spaces/NAME --selection random       the control
    python 022-run-campaign.py --search-space outputs/search-spaces/NAME --executor parsl --parsl-config MY.py
    python 022-run-campaign.py --search-space outputs/search-spaces/NAME --data outputs/data-raw  beside an archive
    python 022-run-campaign.py --resume outputs/campaigns/RUN                                     after any interruption
    tensorboard --logdir outputs/campaigns

Four agents share the work. The Trainer trains an ensemble, each network on its own sample of the labels. The Sampler
runs dynamics by the first network that is there; the end of each run is computed, and where the network was right the
trajectory goes on from there, where it was wrong it returns to its start; runs become longer while they are right. The
Selector has all networks predict the frames, and chooses those on which they disagree, and not all of one kind. The
Calculator draws audits and chosen frames by chance until the budget is spent.

Ctrl-C once ends the campaign softly: calculations under way are waited for, then the networks trained a last time.
Twice ends it at once. After either, after kill -9 and after a full disk --resume goes on, and loses no calculation.
The exit status is 0 where the budget was spent, 130 where the user stopped it, 1 where something was wrong.
"""

import dataclasses
import pathlib
import sys
import typing

from common.active_learning.dispatch import METHODS
from common.active_learning.monitor import Monitor
from common.active_learning.outputs import write_data, write_final_model, write_train_db
from common.active_learning.plan import CampaignFolder, Plan, check_plan
from common.active_learning.runner import CampaignRun
from common.active_learning.search_space import SearchSpace, fingerprint_search_space, read_search_space
from common.calculators.registry import compute_level_fingerprint, make_calculator
from common.executors.cluster import ClusterExecutor
from common.executors.cluster import read_config as read_parsl_config
from common.executors.interface import Executor
from common.executors.local import LocalExecutor
from common.executors.serial import SerialExecutor
from common.files.locks import hold_lock
from common.files.plain import write_json
from common.neural.atom_energies import NetworkSettings
from common.neural.atom_energies import read_settings as read_network_settings
from common.processes.devices import check_device
from common.processes.stage import remember_run, run_stage
from common.processes.threads import count_available_cpus
from common.reporting.console import suggest_command
from common.runs.folder import SUMMARY, create_run_folder, read_config, write_config
from common.runs.names import name_run, read_first_settings
from common.runs.options import read_settings
from common.runs.settings import (
    AtLeastOne,
    Contents,
    Duration,
    Group,
    Machine,
    NonNegative,
    Positive,
    Share,
    StageSettings,
    check_contents,
    select_groups,
)
from common.steering.records import Finish, Resumed
from common.steering.settings import SteeringSettings
from common.tasks.sampling import DynamicsSettings
from common.tasks.training import TrainingSettings

OUTPUTS = pathlib.Path("outputs")

EXIT_STATUS = {"complete": 0, "stopped": 130, "failed": 1}


@dataclasses.dataclass(frozen=True)
class Settings(StageSettings):
    """The campaign; names are those of exalearn's fast-finetuned-forcefields where it has one."""

    # --- what is paid for
    num_to_run: Duration[AtLeastOne[int]] = 100  # calculations in all: initial set, audits and chosen frames
    n_initial: AtLeastOne[int] = 20  # labels of the initial set, drawn from the search space
    n_starts: AtLeastOne[int] = 20  # trajectories, drawn from the search space
    time_limit: Positive[float] = 3600.0  # [s] of a calculation, which then counts as failed

    # --- the ensemble
    ensemble_size: AtLeastOne[int] = 4
    retrain_freq: AtLeastOne[int] = 20  # labels after which it is trained anew
    labels_ahead: NonNegative[int] = 10  # paid for while a training is under way; 0 waits: right for cheap calculations
    start: typing.Literal["pretrained", "random"] = "pretrained"  # the weights that each training starts from
    resampling: typing.Literal["bootstrap", "shuffle"] = "bootstrap"  # each network's own sample of the labels
    energy_weight: NonNegative[float] = 10.0  # of squared errors of energies per atom
    force_weight: NonNegative[float] = 1.0  # of squared errors of force components
    huber_deltas: tuple[Positive[float], Positive[float]] = (
        2.306,
        230.6,
    )  # where errors count linearly: [kcal/mol] per
    # atom, and [kcal/mol/Å]
    max_force: Positive[float] = 230.6  # [kcal/mol/Å] structures with a larger force on an atom are not trained on
    batch_size: AtLeastOne[int] = 8
    learning_rate: Share[Positive[float]] = 2e-3
    patience: AtLeastOne[int] = 4  # validations without an improvement before the learning rate falls
    n_drops: NonNegative[int] = 2  # falls of the learning rate before training ends
    max_steps: AtLeastOne[int] = 5000  # of a training that still gets better
    final_max_steps: AtLeastOne[int] = 10000  # of the last training

    # --- dynamics
    num_samplers: Machine[AtLeastOne[int]] = 1  # runs of dynamics under way at a time
    min_run_length: AtLeastOne[int] = 20  # [steps]
    max_run_length: AtLeastOne[int] = 800  # [steps] of all runs, where there are no audits
    audit: bool = True  # False trusts all models: a control
    audit_share: Share[float] = 0.5  # of the calculations drawn from the audits, the others from the chosen frames
    energy_tolerance: Positive[float] = 0.1  # [kcal/mol] per atom; an audit passes where the error is less
    time_step: Positive[float] = 0.5  # [fs]
    friction: NonNegative[float] = 0.01  # [1/fs] of the thermostat; 0 for constant energy
    frame_interval: AtLeastOne[int] = 5  # [steps] between the frames from which is chosen

    # --- selection
    selection: typing.Literal["energies", "forces", "random"] = "energies"  # by whose disagreement; "random": a control
    num_frames: AtLeastOne[int] = 10  # of a run of dynamics that may be chosen from, spread evenly over it
    infer_chunk_size: AtLeastOne[int] = 50  # frames predicted in one task
    infer_pool_size: AtLeastOne[int] = 2  # chunks of frames by dynamics of the present networks, before a choice
    max_pool: AtLeastOne[int] = 1000  # frames that wait; sampling rests where there are more
    max_failed_fraction: Share[float] = 0.5  # of the calculations; with more the campaign stops
    max_failures: AtLeastOne[int] = 10  # of a trajectory in a row, which is then retired

    seed: NonNegative[int] = 0
    search_space: Contents[pathlib.Path] = OUTPUTS / "search-spaces" / "NAME"  # what 021 wrote

    # --- where and with what
    executor: Machine[typing.Literal["local", "serial", "parsl"]] = "local"  # "serial": reproducible to the last bit
    parsl_config: Machine[pathlib.Path | None] = None  # Python file with config(run_dir); see configs/parsl/
    num_qc_workers: Machine[AtLeastOne[int]] = dataclasses.field(default_factory=count_available_cpus)  # calculations
    num_learning_workers: Machine[AtLeastOne[int]] = dataclasses.field(default_factory=count_available_cpus)  # the rest
    device: Machine[str] = "cpu"  # of torch
    model_cache: Machine[pathlib.Path | None] = None  # folder of networks: what was trained for one campaign serves all
    max_conformers: Machine[AtLeastOne[int]] = 200  # of a molecule in data-raw/
    data: Machine[pathlib.Path | None] = None  # folder of data sets that the labels join; None: the run's own data-raw/
    output: Machine[pathlib.Path] = OUTPUTS / "campaigns"
    resume: Machine[pathlib.Path | None] = None  # go on with this campaign; budget and workers may be others

    def check(self) -> None:
        check_device(self.device)
        if self.min_run_length > self.max_run_length:
            raise ValueError(f"min_run_length = {self.min_run_length} is above max_run_length = {self.max_run_length}")
        if self.ensemble_size == 1 and self.selection != "random":
            raise ValueError("an ensemble of one never disagrees: raise ensemble_size, or take selection = 'random'")
        if self.num_to_run <= self.n_initial:
            raise ValueError(
                f"num_to_run = {self.num_to_run} is spent by the initial set of n_initial = {self.n_initial}"
            )
        if self.energy_weight == self.force_weight == 0.0:
            raise ValueError("energy_weight and force_weight are both 0: there is nothing to learn")
        if (self.executor == "parsl") != (self.parsl_config is not None):
            raise ValueError("--executor parsl and --parsl-config FILE.py belong together; configs/parsl/ has examples")


def make_plan(settings: Settings, space: SearchSpace) -> Plan:
    """The campaign, as its rooms know it."""
    training = TrainingSettings(
        energy_weight=settings.energy_weight,
        force_weight=settings.force_weight,
        energy_delta=settings.huber_deltas[0],
        force_delta=settings.huber_deltas[1],
        max_force=settings.max_force,
        resampling=settings.resampling,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        patience=settings.patience,
        n_drops=settings.n_drops,
        max_steps=settings.max_steps,
        device=settings.device,
    )
    steering = SteeringSettings(
        seed=settings.seed,
        n_members=settings.ensemble_size,
        budget=settings.num_to_run,
        n_quantum_workers=settings.num_qc_workers,
        n_samplers=settings.num_samplers,
        retrain_interval=settings.retrain_freq,
        n_labels_ahead=settings.labels_ahead,
        audit=settings.audit,
        audit_share=settings.audit_share,
        energy_tolerance=settings.energy_tolerance,
        min_run_length=settings.min_run_length,
        max_run_length=settings.max_run_length,
        uncertainty=settings.selection,
        n_frames_per_run=settings.num_frames,
        chunk_size=settings.infer_chunk_size,
        n_chunks=settings.infer_pool_size,
        max_pool=settings.max_pool,
        max_failed_fraction=settings.max_failed_fraction,
        max_failures=settings.max_failures,
    )
    network = read_network_settings(space.notes["network"]) if "network" in space.notes else NetworkSettings()
    return Plan(
        steering=steering,
        training=training,
        final_training=dataclasses.replace(training, max_steps=settings.final_max_steps),
        dynamics=DynamicsSettings(settings.time_step, settings.friction, settings.frame_interval),
        network=network,
        is_pretrained=settings.start == "pretrained",
        n_initial=settings.n_initial,
        n_starts=settings.n_starts,
        time_limit=settings.time_limit,
        device=settings.device,
        model_cache=settings.model_cache,
    )


def check_level(space: SearchSpace) -> None:
    """Whether the level of the search space is here, and still the same.

    Raises:
        ValueError: it is not; the message says what differs.
    """
    make_calculator(space.level)
    if compute_level_fingerprint(space.level) != space.level_fingerprint:
        raise ValueError(
            f"{space.folder}: its labels were computed by another version of {space.level} than is installed here, or "
            "its file has changed; energies would not belong together: prepare the search space anew"
        )


def open_campaign(settings: Settings, contents: dict[str, str]) -> CampaignFolder:
    """A new folder, or that of the campaign to go on with."""
    if settings.resume is not None:
        check_contents(settings, contents, read_config(settings.resume).get("contents", {}), settings.resume)
        return CampaignFolder(settings.resume)
    named = select_groups(settings, Group.RESULT, Group.CONTENTS, Group.DURATION)
    mode = settings.selection if settings.audit else f"{settings.selection}-no-audit"
    name = name_run(mode, named, read_first_settings(settings.output), ("selection", "audit"))
    return CampaignFolder(create_run_folder(settings.output, name))


def make_executor(settings: Settings, folder: CampaignFolder) -> Executor:
    """Where tasks run."""
    if settings.executor == "serial":
        return SerialExecutor(METHODS)
    if settings.executor == "parsl":
        assert settings.parsl_config is not None  # see Settings.check
        return ClusterExecutor(METHODS, settings.parsl_config, folder.parsl)
    workers = {"quantum": settings.num_qc_workers, "learning": settings.num_learning_workers}
    return LocalExecutor(METHODS, workers)


def write_outputs(
    settings: Settings, folder: CampaignFolder, space: SearchSpace, run: CampaignRun, end: Finish
) -> None:
    """Everything that others read, the summary last."""
    labels = run.collect_labels()
    write_train_db(folder, labels, space.molecules, run.origins)
    name = f"active-{space.folder.name}"
    data = settings.data or folder.data
    counts = write_data(data, name, labels, space.molecules, settings.max_force, settings.max_conformers)
    campaign = run.campaign
    summary = {
        "outcome": end.outcome,
        "reason": end.reason,
        **dataclasses.asdict(campaign.calculator.account),
        "rounds": campaign.trainer.round,
        "data": counts,
    }
    if campaign.trainer.complete_round == campaign.trainer.round:
        models = [folder.get_model(campaign.trainer.round, k) for k in range(settings.ensemble_size)]
        summary["validation_error"] = write_final_model(folder, models)
    write_json(folder.path / SUMMARY, summary)
    print(f"{counts['kept']} structures for a force field in {data / name}, all {len(labels)} in {folder.train_db}")


def main() -> None:
    settings = read_settings(Settings)
    space = read_search_space(settings.search_space)
    check_level(space)
    plan = make_plan(settings, space)
    check_plan(plan, space)
    contents = {"search_space": fingerprint_search_space(space.folder)}
    if settings.executor == "parsl" and settings.parsl_config is not None:
        read_parsl_config(settings.parsl_config, settings.output)
    folder = open_campaign(settings, contents)
    with hold_lock(folder.lock):
        monitor = Monitor(folder.path)
        run = CampaignRun(folder, space, plan, monitor)
        finish, n_paid = run.campaign.finish, run.campaign.calculator.account.n_paid
        if finish is not None and finish.outcome == "complete" and n_paid >= settings.num_to_run:
            write_outputs(settings, folder, space, run, finish)  # it may have been killed before it had
            print(f"{folder.path}: this campaign has ended; a larger budget may be given with --num-to-run")
            return
        (folder.path / SUMMARY).unlink(missing_ok=True)
        write_config(folder.path, settings, contents)
        remember_run(folder.path)
        resumed = None
        if settings.resume is not None:
            resumed = Resumed(settings.num_to_run, settings.num_qc_workers, settings.num_samplers)
        print(folder.path)
        try:
            with make_executor(settings, folder) as executor:
                end = run.run(executor, resumed)
        finally:
            monitor.close()
        write_outputs(settings, folder, space, run, end)
    print(suggest_command("023-compare-campaigns.py", {}, folder.path))
    sys.exit(EXIT_STATUS[end.outcome])


if __name__ == "__main__":
    run_stage(main)
