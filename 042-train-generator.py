r"""Train a generator of molecules: a network that places one atom after another, told what to aim at.

Reads   outputs/molecules/molecules.db      what 041-prepare-molecules.py wrote
Writes  outputs/generators/<run>/           config.json, splits.json, TensorBoard events, checkpoints/, generator.pt,
                                            summary.json

One machine, all processors:         python 042-train-generator.py
Several nodes, the same on each:     torchrun --nnodes 2 --nproc-per-node 16 --rdzv-backend c10d \
                                         --rdzv-endpoint HOST:PORT 042-train-generator.py
Go on with an interrupted run:       python 042-train-generator.py --resume outputs/generators/<run>
Give a run more epochs:              python 042-train-generator.py --resume outputs/generators/<run> --n-epochs 400
Settings of configs/042-train-generator/:   python 042-train-generator.py --preset example
Watch it:                            tensorboard --logdir outputs/generators

The presets gschnet_qm9, gschnet_qm9_comp_relenergy, gschnet_qm9_gap_relenergy and gschnet_template have the values of
the recipes of those names; the one of the example trains in some minutes. generator.pt holds the weights of the best
validation loss. A batch of 32 molecules of 14 atoms, ten steps each, takes 60 ms on one core at 64 channels and 4
interactions.
"""

import dataclasses
import pathlib
import shutil
import tempfile
import time
import typing

import numpy
import torch

from common.data.molecule_database import Database, read_database
from common.files.artifacts import MissingArtifactError
from common.files.fingerprints import compute_content_hash
from common.files.plain import write_json
from common.generation.connectivity import find_connected
from common.generation.placement import GridSettings
from common.generation.samples import COMPUTED, check_sample
from common.generation.sampling import Sampler, SamplingSettings
from common.generators.conditions import ConditionSettings, check_conditions
from common.generators.file import TrainedGenerator, save_generator
from common.generators.network import GeneratorNetwork, NetworkSettings
from common.generators.training import EpochLosses, Training, TrainingData, TrainingSettings
from common.generators.training_data import (
    PreparedConditions,
    find_held_out,
    name_molecules,
    parse_filters,
    prepare_conditions,
    select_data,
    split_molecules,
)
from common.processes.devices import check_device
from common.processes.memory import format_peak_memory, release_free_memory
from common.processes.ranks import Ranks, join_torchrun, run_ranks
from common.processes.stage import remember_run, run_stage
from common.processes.threads import count_available_cpus
from common.processes.torchrun import is_under_torchrun
from common.reporting.console import format_left_out, suggest_command
from common.runs.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
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
    StageSettings,
    check_contents,
    fingerprint_settings,
    select_groups,
)
from common.runs.tensorboard import Log

OUTPUTS = pathlib.Path("outputs")
GENERATOR = "generator.pt"


@dataclasses.dataclass(frozen=True)
class Settings(StageSettings):
    """The network, what it can be told, and how it is trained."""

    # --- what can be aimed at ----------------------------------------------------------------------------------------
    # By name. kind: "scalar" (a property; range "data" or two numbers), "vector" or "composition"; relative: by atom,
    # less what a linear fit to the composition says; stepwise: what is still missing of a composition, step by step.
    conditions: dict[str, ConditionSettings] = dataclasses.field(
        default_factory=lambda: {
            "gap": ConditionSettings(quantity="gap"),
            "composition": ConditionSettings(kind="composition", stepwise=True),
        }
    )
    condition_dropout: Fraction[float] = 0.3  # how often each is not told, so that any of them may be left out; 0: none

    # --- the network -------------------------------------------------------------------------------------------------
    atom_types: tuple[int, ...] = (1, 6, 7, 8, 9)  # atomic numbers of the atoms that it can place
    origin_type: int = 121  # of the token at the centre of the molecule: a number that no atom has
    focus_type: int = 122  # of the token at the focus
    stop_type: int = 123  # that says "nothing more here"
    model_cutoff: Positive[float] = 10.0  # [Angstrom] nodes further apart do not hear of one another
    prediction_cutoff: Positive[float] = 5.0  # [Angstrom] atoms further from the focus predict nothing
    placement_cutoff: Positive[float] = 1.7  # [Angstrom] the next atom is no further from the focus
    use_covalent_radii: bool = True  # nor further than the factor times the sum of covalent radii
    covalent_radius_factor: Positive[float] = 1.1
    n_channels: AtLeastOne[int] = 128  # features of a node
    n_interactions: AtLeastOne[int] = 9  # how often nodes hear of one another
    n_gaussians: AtLeastOne[int] = 25  # in which a distance is expanded
    type_layers: AtLeastOne[int] = 5  # of the network that predicts types
    type_hidden: AtLeastOne[int] = 256  # width of its hidden layers
    distance_layers: AtLeastOne[int] = 5  # of the network that predicts distances
    distance_hidden: AtLeastOne[int] = 256  # width of its hidden layers
    average_types: bool = False  # predictions of types are averaged, not multiplied
    condition_features: AtLeastOne[int] = 128  # of all conditions together
    condition_layers: AtLeastOne[int] = 5  # of the network that mixes them

    # --- training ----------------------------------------------------------------------------------------------------
    n_epochs: Duration[AtLeastOne[int]] = 1000  # at most
    batch_size: AtLeastOne[int] = 10  # molecules, of all processes together
    draw_random_samples: NonNegative[int] = 10  # steps of each molecule's trajectory in an epoch; 0: all
    learning_rate: Positive[float] = 1e-4
    schedule: typing.Literal["plateau", "cosine"] = "plateau"  # cosine: along half a cosine over all epochs
    decay_factor: Fraction[float] = 0.5  # of the learning rate on a plateau
    decay_patience: NonNegative[int] = 10  # epochs without a better validation loss before that
    least_learning_rate: NonNegative[float] = 1e-6
    n_warmup: NonNegative[int] = 0  # batches over which the learning rate rises
    max_norm: NonNegative[float] = 0.0  # of the gradient; 0: no limit
    averaging: Fraction[float] = 0.0  # of weights, exponentially: the share of the old ones at each batch; 0: none
    stop_patience: AtLeastOne[int] = 25  # epochs without a better validation loss before the run ends
    label_width: NonNegative[float] = 0.1  # of a right distance, as a factor; below 0.01 it is one bin
    seed: NonNegative[int] = 0  # of weights, order, trajectories and steps

    # --- data --------------------------------------------------------------------------------------------------------
    n_train: Positive[float] = 0.8  # molecules; below 1 a fraction
    n_validation: Positive[float] = 0.1  # likewise; the others test
    held_out: tuple[str, ...] = ()  # which only test, e.g. "composition == C7O2H10", "gap > 9 and n_atoms < 12"
    split_seed: NonNegative[int] = 0
    input: Contents[pathlib.Path] = OUTPUTS / "molecules" / "molecules.db"

    # --- where and with what -----------------------------------------------------------------------------------------
    output: Machine[pathlib.Path] = OUTPUTS / "generators"  # folder of runs
    data_workdir: Machine[pathlib.Path | None] = None  # fast storage: the database is copied there before it is read
    max_pairs: Machine[AtLeastOne[int]] = 200_000  # of nodes at once; larger batches are done in parts: bounds memory
    sample_interval: Machine[NonNegative[int]] = 10  # [epochs] between checks of a small sample; 0: none
    n_samples: Machine[AtLeastOne[int]] = 100  # molecules of it
    n_processes: Machine[AtLeastOne[int]] = dataclasses.field(default_factory=count_available_cpus)  # ranks
    device: Machine[str] = "auto"  # "cpu", "cuda"; "auto": a GPU where there is one
    resume: Machine[pathlib.Path | None] = None  # go on with this run; its settings hold, but more epochs may be given

    def check(self) -> None:
        check_conditions(self.conditions)
        parse_filters(self.held_out)
        if self.device != "auto":
            check_device(self.device)
        if len(set(self.atom_types)) < len(self.atom_types) or not self.atom_types:
            raise ValueError(f"atom_types {list(self.atom_types)}: each element once, and one at least")
        tokens = (self.origin_type, self.focus_type, self.stop_type)
        for name, token in zip(("origin_type", "focus_type", "stop_type"), tokens, strict=True):
            if token in self.atom_types or 1 <= token <= 118 or tokens.count(token) > 1:
                raise ValueError(f"{name} {token}: a token is no element (1 to 118) and no other token")
        if self.n_gaussians < 2:
            raise ValueError("n_gaussians: 2 at least")
        if not self.placement_cutoff <= self.prediction_cutoff <= self.model_cutoff:
            raise ValueError(
                f"cutoffs: placement {self.placement_cutoff:g}, prediction {self.prediction_cutoff:g}, model "
                f"{self.model_cutoff:g} Å; each must be as large as the one before it, or larger"
            )

    @property
    def radius_factor(self) -> float | None:
        return self.covalent_radius_factor if self.use_covalent_radii else None

    @property
    def training(self) -> TrainingSettings:
        return TrainingSettings(
            batch_size=self.batch_size,
            n_drawn=self.draw_random_samples,
            learning_rate=self.learning_rate,
            schedule=self.schedule,
            decay_factor=self.decay_factor,
            patience=self.decay_patience,
            least_learning_rate=self.least_learning_rate,
            n_warmup=self.n_warmup,
            max_norm=self.max_norm,
            averaging=self.averaging,
            condition_dropout=self.condition_dropout,
            label_width=self.label_width,
            max_pairs=self.max_pairs,
            seed=self.seed,
        )

    def make_network_settings(self, prepared: PreparedConditions) -> NetworkSettings:
        """The network for conditions as the data have them."""
        return NetworkSettings(
            types=self.atom_types,
            model_cutoff=self.model_cutoff,
            prediction_cutoff=self.prediction_cutoff,
            placement_cutoff=self.placement_cutoff,
            radius_factor=self.radius_factor,
            n_channels=self.n_channels,
            n_interactions=self.n_interactions,
            n_gaussians=self.n_gaussians,
            type_layers=self.type_layers,
            type_hidden=self.type_hidden,
            distance_layers=self.distance_layers,
            distance_hidden=self.distance_hidden,
            average_types=self.average_types,
            condition_features=self.condition_features,
            condition_layers=self.condition_layers,
            conditions=prepared.conditions,
        )


@dataclasses.dataclass(frozen=True)
class Prepared:
    """All that the ranks need, ready."""

    network: NetworkSettings
    conditions: PreparedConditions
    train: TrainingData
    validation: TrainingData
    splits: dict[str, list[int]]
    computed: dict[str, str]
    fingerprint: str


def read_molecules(settings: Settings) -> Database:
    """The database, through fast storage where some is named."""
    if settings.data_workdir is None:
        return read_database(settings.input)
    settings.data_workdir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.data_workdir) as folder:
        return read_database(shutil.copy(settings.input, folder))


def prepare(settings: Settings, fingerprint: str, is_told: bool) -> Prepared:
    """Reads the molecules, leaves out what cannot be placed, splits, and lays out.

    Raises:
        ValueError: elements are not among the types, nothing is left, or a condition does not fit the data.
    """
    database = read_molecules(settings)
    unknown = sorted({int(n) for one in database.molecules for n in one.numbers} - set(settings.atom_types))
    if unknown:
        raise ValueError(f"{settings.input}: has elements {unknown}, which are not among atom_types; add them")
    connected = find_connected(database.molecules, settings.placement_cutoff, settings.radius_factor)
    rows = numpy.flatnonzero(connected.is_connected)
    if not len(rows):
        raise ValueError(
            f"{settings.input}: no molecule is connected within {settings.placement_cutoff:g} Å; raise "
            "placement_cutoff or covalent_radius_factor"
        )
    kept = dataclasses.replace(database, molecules=[database.molecules[row] for row in rows])
    held_out = find_held_out(kept, parse_filters(settings.held_out), settings.atom_types)
    splits = split_molecules(
        name_molecules(kept.molecules), held_out, settings.n_train, settings.n_validation, settings.split_seed
    )
    conditions = prepare_conditions(kept, settings.conditions, settings.atom_types, splits["train"])
    network = settings.make_network_settings(conditions)
    data = {split: select_data(kept, conditions, splits[split], network) for split in ("train", "validation")}
    if is_told:
        left_out = {f"with a gap {pair}": count for pair, count in connected.gaps.most_common()}
        numbers = ", ".join(f"{len(own)} {split}" for split, own in splits.items())
        print(f"{len(rows)} molecules: {numbers}{format_left_out(left_out)}")
    computed = {}
    if database.metadata.get("level") == "GFN2-xTB":
        for name, condition in settings.conditions.items():
            if condition.quantity in COMPUTED and not condition.relative and conditions.units[name] == "eV":
                computed[name] = condition.quantity
    rows_of_splits = {split: (rows[own] + 1).tolist() for split, own in splits.items()}
    return Prepared(network, conditions, data["train"], data["validation"], rows_of_splits, computed, fingerprint)


def train(ranks: Ranks, settings: Settings, prepared: Prepared, folder: pathlib.Path) -> None:
    """All epochs, on every rank; the first writes."""
    torch.set_flush_denormal(True)  # tails of sharp distributions: processors take them ten times as slowly as zero
    device = choose_device(settings.device, ranks)
    network = GeneratorNetwork(prepared.network, torch.Generator().manual_seed(settings.seed)).to(device)
    training = Training(network, settings.training, settings.n_epochs, ranks)
    if settings.resume is not None:
        training.set_state(load_checkpoint(folder, prepared.fingerprint).state)
    is_first = ranks.rank == 0
    log = Log(folder, training.epoch) if is_first else None
    start = time.perf_counter()
    while training.epoch < settings.n_epochs and training.n_without_better < settings.stop_patience:
        begun = time.perf_counter()
        losses = training.run_epoch(prepared.train)
        validation = training.validate(prepared.validation)
        release_free_memory()
        is_better = training.heed(validation.total)
        if not is_first or log is None:
            continue
        seconds = time.perf_counter() - begun
        log.add_scalars(training.epoch, describe(losses, validation, training))
        line = (
            f"epoch {training.epoch:4d}  train {losses.types:.4f} + {losses.distances:.4f}  validation "
            f"{validation.types:.4f} + {validation.distances:.4f}  {seconds:.1f} s"
        )
        if settings.sample_interval and training.epoch % settings.sample_interval == 0:
            sample = sample_molecules(settings, prepared, training)
            release_free_memory()
            log.add_scalars(training.epoch, {f"sample/{name}": value for name, value in sample.items()})
            line += "  " + ", ".join(f"{name} {value:.3g}" for name, value in sample.items())
        print(line, flush=True)
        if is_better:
            save(settings, prepared, training, folder)
        save_checkpoint(folder, Checkpoint(training.epoch, training.get_state(), prepared.fingerprint))
    if log is not None:
        log.close()
        summary = {
            "epochs": training.epoch,
            "validation_loss": training.best,
            "seconds": time.perf_counter() - start,
            "n_parameters": sum(parameter.numel() for parameter in network.parameters()),
        }
        write_json(folder / SUMMARY, summary)


def choose_device(name: str, ranks: Ranks) -> torch.device:
    """The device of a rank: of several GPUs, each has its own."""
    if name == "auto":
        n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
        return torch.device(f"cuda:{ranks.rank % n_gpus}" if n_gpus else "cpu")
    return torch.device(name)


def describe(losses: EpochLosses, validation: EpochLosses, training: Training) -> dict[str, float]:
    """What TensorBoard shows of an epoch."""
    named = {"train": losses, "validation": validation}
    scalars = {f"{part}/{name}": getattr(own, part) for name, own in named.items() for part in ("types", "distances")}
    return {
        **scalars,
        **{f"loss/{name}": own.total for name, own in named.items()},
        "learning rate": training.optimizer.param_groups[0]["lr"],
    }


def sample_molecules(settings: Settings, prepared: Prepared, training: Training) -> dict[str, float]:
    """How good the averaged weights generate."""
    sampling = SamplingSettings(
        max_atoms=int(1.5 * prepared.train.table.n_atoms.max()), grid=GridSettings(), seed=training.epoch
    )
    sampler = Sampler(training.averaged, sampling)
    values = prepared.validation.values
    return check_sample(sampler, prepared.network.conditions, values, settings.n_samples, prepared.computed)


def save(settings: Settings, prepared: Prepared, training: Training, folder: pathlib.Path) -> None:
    conditions = prepared.conditions
    generator = TrainedGenerator(
        training.averaged,
        conditions.units,
        conditions.ranges,
        conditions.fits,
        settings.condition_dropout > 0.0,
        int(prepared.train.table.n_atoms.max()),
        prepared.fingerprint,
    )
    save_generator(folder / GENERATOR, generator)


def open_run(settings: Settings, contents: dict[str, str]) -> pathlib.Path:
    """A new run folder, or that of the run to go on with; its config.json says what is asked now."""
    folder = settings.resume
    if folder is None:
        named = select_groups(settings, Group.RESULT, Group.CONTENTS, Group.DURATION)
        what = settings.preset or "-".join(["generator", *settings.conditions])
        implied = ("preset", "conditions")
        folder = create_run_folder(
            settings.output, name_run(what, named, read_first_settings(settings.output), implied)
        )
    else:
        load_checkpoint(folder, fingerprint_settings(settings, contents))
        (folder / SUMMARY).unlink(missing_ok=True)
    write_config(folder, settings, contents)
    remember_run(folder)
    return folder


def has_ended(settings: Settings) -> bool:
    """Whether the run to go on with has done all its epochs, or stopped of itself."""
    if settings.resume is None or not (settings.resume / SUMMARY).is_file():
        return False
    return read_config(settings.resume).get("n_epochs") == settings.n_epochs


def main() -> None:
    settings = read_settings(Settings)
    if has_ended(settings):
        print(f"{settings.resume}: this run has ended; more epochs may be given with --n-epochs")
        return
    if not settings.input.is_file():
        raise MissingArtifactError(f"{settings.input}: no such database", "molecules")
    contents = {"input": compute_content_hash([settings.input])}
    if settings.resume is not None:
        check_contents(settings, contents, read_config(settings.resume).get("contents", {}), settings.resume)
    fingerprint = fingerprint_settings(settings, contents)
    if is_under_torchrun():
        with join_torchrun() as ranks:
            prepared = prepare(settings, fingerprint, is_told=ranks.rank == 0)
            folder = open_run(settings, contents) if ranks.rank == 0 else pathlib.Path()
            train(ranks, settings, prepared, settings.resume or folder)
            if ranks.rank > 0:
                return
    else:
        prepared = prepare(settings, fingerprint, is_told=True)
        folder = open_run(settings, contents)
        write_json(folder / "splits.json", prepared.splits)
        run_ranks(train, (settings, prepared, folder), settings.n_processes)
    print(f"wrote {folder / GENERATOR}; peak memory {format_peak_memory()}")
    print(suggest_command("043-generate.py", {"--run": (folder, pathlib.Path())}))


if __name__ == "__main__":
    run_stage(main, uses_ranks=True)
