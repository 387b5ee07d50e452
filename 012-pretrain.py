r"""Pretrain a neural potential on quantum energies and forces.

Reads   a reference of 011-sample-reference.py, or any data set of the house, of one molecule or of many
Writes  outputs/potentials/<run>/     config.json, splits.json, TensorBoard events, checkpoints/, potential.pt,
                                      summary.json with the errors

    python 012-pretrain.py --reference outputs/reference/CCO
    python 012-pretrain.py --reference outputs/reference/CCO --n-train 20 --preset ethanol
    python 012-pretrain.py --reference outputs/data-raw/spice-pubchem --architecture painn
    python 012-pretrain.py --reference outputs/reference/CCO --start outputs/potentials/<run>/potential.pt

Many processes:                torchrun --nproc-per-node 4 012-pretrain.py ...   (or --n-processes 4 on one machine)
Go on with a run:              python 012-pretrain.py --resume outputs/potentials/<run>
Watch it:                      tensorboard --logdir outputs/potentials

A reference of one system is learnt from its earlier part; what is held out of each run tests here and starts the
replicas of 014-simulate.py, which this potential has then never seen. A network of 10,000 weights takes 10 ms a step
of 20 frames of ethanol. Any number of processes gives the same weights to the last bit.
"""

import dataclasses
import json
import pathlib
import typing

from common.data.dataset import read_fingerprint
from common.data.splits import SplitSettings, check_fractions
from common.data.trajectories import read_trajectories
from common.files.artifacts import MissingArtifactError
from common.files.fingerprints import compute_content_hash
from common.files.plain import write_json
from common.neural.atom_energies import NetworkSettings, TrunkSettings
from common.neural.frame_splits import Split, split_by_molecule, split_frames
from common.neural.nequip import NequIPSettings
from common.neural.painn import PaiNNSettings
from common.neural.schnet import SchNetSettings
from common.neural.training import TrainingSettings
from common.potentials.file import load_network
from common.potentials.pretraining import POTENTIAL, Pretraining, run_pretraining
from common.processes.devices import check_device
from common.processes.ranks import join_torchrun, run_ranks
from common.processes.stage import remember_run, run_stage
from common.processes.torchrun import is_first_rank, is_under_torchrun
from common.reporting.console import suggest_command
from common.runs.checkpoints import load_checkpoint
from common.runs.folder import SUMMARY, create_run_folder, read_config, write_config
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

OUTPUTS = pathlib.Path("outputs")


@dataclasses.dataclass(frozen=True)
class Settings(StageSettings):
    """The network, its training, and the frames."""

    # --- the network ------------------------------------------------------------------------------------------------
    # painn: vectors too, better forces from few frames; nequip: tensors, by the package of this name where installed
    architecture: typing.Literal["schnet", "painn", "nequip"] = "schnet"
    n_channels: AtLeastOne[int] = 64  # features of an atom
    n_interactions: AtLeastOne[int] = 3  # how often atoms learn of their neighbours
    n_radial: AtLeastOne[int] = 25  # functions in which a distance is expanded
    largest_order: AtLeastOne[int] = 1  # l of the features of nequip; 1: vectors
    cutoff: Positive[float] = 5.0  # [Angstrom] beyond which atoms do not see each other; upstream's water: 6
    scale: Positive[float] = 20.0  # [kcal/mol] of what the network gives
    start: Contents[pathlib.Path | None] = None  # potential.pt that lends its weights and size; None: drawn ones

    # --- training ---------------------------------------------------------------------------------------------------
    max_epochs: Duration[AtLeastOne[int]] = 1000  # through all training frames
    batch_size: AtLeastOne[int] = 100  # frames in a step
    learning_rate: Positive[float] = 1e-3  # of Adam
    warm_up_steps: NonNegative[int] = 0  # in which the rate rises
    warm_up_factor: Share[float] = 0.2  # of the rate, where it begins to rise
    schedule: typing.Literal["plateau", "cosine", "constant"] = "plateau"  # of the rate
    decay: Share[float] = 0.8  # of the rate on a plateau
    patience: NonNegative[int] = 5  # epochs without a better validation loss, before it falls
    smallest_learning_rate: Positive[float] = 1e-6  # on a plateau training ends below it
    early_stopping: AtLeastOne[int] | None = None  # epochs without a better validation loss, after which it ends
    energy_share: NonNegative[float] = 0.05  # of the loss, mean squared energy error
    force_share: NonNegative[float] = 0.95  # of the loss, mean squared error of force components
    averaging: Share[float] | None = None  # decay of the moving average of the weights, e.g. 0.999
    clipping: Positive[float] | None = None  # largest length of a gradient
    seed: NonNegative[int] = 0  # of weights, order and drawing of frames

    # --- frames of a reference of one system ------------------------------------------------------------------------
    n_train: AtLeastOne[int] | None = None  # None: all that may be learnt from
    n_validation: NonNegative[int] = 0  # 0: the last weights are kept, and "plateau" never falls
    n_test: AtLeastOne[int] = 1000  # at most, of what is held out
    held_out_share: Fraction[float] = 0.5  # of each run, from its end: tests, and starts evaluation
    contiguous: bool = False  # training takes the first frames as they follow each other; else drawn at random

    # --- frames of many molecules -----------------------------------------------------------------------------------
    validation_fraction: Fraction[float] = 0.1  # of the molecules
    test_fraction: Fraction[float] = 0.1  # of the molecules

    # --- where and with what ----------------------------------------------------------------------------------------
    reference: Contents[pathlib.Path] = OUTPUTS / "reference" / "CCO"  # a data set
    output: Machine[pathlib.Path] = OUTPUTS / "potentials"  # folder of runs
    checkpoint_interval: Machine[AtLeastOne[int]] = 50  # [epochs] between two
    log_interval: Machine[AtLeastOne[int]] = 10  # [epochs] between points of the curves
    n_processes: Machine[AtLeastOne[int]] = 1  # that share every step; pays for large molecules and batches
    device: Machine[str] = "cpu"  # "cuda" where there is a GPU; use one process for each
    resume: Machine[pathlib.Path | None] = None  # go on with this run; its settings hold, but more epochs may be given

    def check(self) -> None:
        check_fractions(self.validation_fraction, self.test_fraction)
        check_device(self.device)
        if self.energy_share + self.force_share == 0.0:
            raise ValueError("energy_share and force_share are both 0: there is nothing to learn")

    @property
    def network(self) -> NetworkSettings:
        """The size of the network."""
        trunk: TrunkSettings
        if self.architecture == "schnet":
            trunk = SchNetSettings(self.n_channels, self.n_channels, self.n_interactions, self.n_radial, self.cutoff)
        elif self.architecture == "nequip":
            sizes = (self.n_channels, self.n_interactions, self.n_radial, self.largest_order)
            trunk = NequIPSettings(*sizes, self.cutoff)
        else:
            trunk = PaiNNSettings(self.n_channels, self.n_interactions, self.n_radial, self.cutoff)
        return NetworkSettings(self.architecture, trunk, self.scale)

    @property
    def training(self) -> TrainingSettings:
        """How it is trained."""
        names = [field.name for field in dataclasses.fields(TrainingSettings)]
        return TrainingSettings(**{name: getattr(self, name) for name in names})


def choose_frames(settings: Settings) -> Split:
    """The frames that train, validate and test.

    Raises:
        FileNotFoundError, ValueError: the data cannot be read, or are too few.
    """
    try:
        trajectories = read_trajectories(settings.reference)
    except FileNotFoundError as error:
        raise MissingArtifactError(f"{settings.reference}: no data set here", "reference") from error
    smiles, n_frames = [t.entry.smiles for t in trajectories], [t.n_frames for t in trajectories]
    if len(set(smiles)) > 1:
        fractions = SplitSettings(settings.validation_fraction, settings.test_fraction, settings.seed)
        return split_by_molecule(smiles, n_frames, fractions)
    return split_frames(
        n_frames,
        settings.n_train,
        settings.n_validation,
        settings.n_test,
        settings.held_out_share,
        settings.contiguous,
        settings.seed,
    )


def open_run(settings: Settings, split: Split) -> Pretraining:
    """A new run, or the one to go on with.

    Raises:
        FileNotFoundError, ValueError: the run cannot go on; nothing in it has changed then.
    """
    start = settings.start
    contents = {
        "reference": read_fingerprint(settings.reference),
        "start": "" if start is None else compute_content_hash([start]),
    }
    fingerprint = fingerprint_settings(settings, contents)
    folder, checkpoint = settings.resume, None
    if folder is None:
        named = select_groups(settings, Group.RESULT, Group.CONTENTS, Group.DURATION)
        name = name_run(settings.architecture, named, read_first_settings(settings.output), ("architecture",))
        folder = create_run_folder(settings.output, name)
    else:
        check_contents(settings, contents, read_config(folder).get("contents", {}), folder)
        checkpoint = load_checkpoint(folder, fingerprint)
        (folder / SUMMARY).unlink(missing_ok=True)
    write_config(folder, settings, contents)
    remember_run(folder)
    write_json(folder / "splits.json", split)
    provenance = {
        "reference": str(settings.reference),
        "reference_fingerprint": contents["reference"],
        "held_out_share": settings.held_out_share,
        "shares": [settings.energy_share, settings.force_share],
    }
    return Pretraining(
        folder,
        settings.reference,
        split,
        settings.network,
        settings.training,
        start,
        fingerprint,
        checkpoint,
        settings.checkpoint_interval,
        settings.log_interval,
        settings.device,
        provenance,
    )


def has_ended(settings: Settings) -> bool:
    """Whether the run to go on with has done all that is asked for."""
    folder = settings.resume
    if folder is None or not (folder / SUMMARY).is_file():
        return False
    return read_config(folder).get("max_epochs") == settings.max_epochs


def main() -> None:
    settings = read_settings(Settings)
    if has_ended(settings):
        print(f"{settings.resume}: this run has ended; more epochs may be given with --max-epochs")
        return
    if settings.start is not None:
        load_network(settings.start)  # a fault shows here, before a folder is made
    split = choose_frames(settings)
    if is_under_torchrun():
        with join_torchrun() as ranks:
            plan = ranks.share(open_run(settings, split) if ranks.rank == 0 else None)
            run_pretraining(ranks, plan)
    else:
        plan = open_run(settings, split)
        run_ranks(run_pretraining, (plan,), settings.n_processes)
    if is_first_rank():
        report(plan)


def report(plan: Pretraining) -> None:
    """The errors, and what to do next."""
    errors = json.loads((plan.folder / SUMMARY).read_text())["errors"]
    print(f"{'frames':12}{'number':>8}{'energy MAE':>14}{'force MAE':>14}   [kcal/mol, kcal/mol/Å]")
    for name, own in errors.items():
        print(f"{name:12}{len(plan.split[name]):8}{own['energy_mae']:14.4f}{own['force_mae']:14.4f}")
    print(f"wrote {plan.folder / POTENTIAL}")
    options = {"--potential": (plan.folder, ""), "--reference": (plan.data, "")}
    print(suggest_command("013-stabilize.py", options))


if __name__ == "__main__":
    run_stage(main, uses_ranks=True)
