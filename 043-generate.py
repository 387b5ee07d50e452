"""Generate molecules with a trained generator, aimed at any of its conditions or at none.

Reads   outputs/generators/<run>/generator.pt      what 042-train-generator.py wrote
Writes  outputs/generators/<run>/generated/<n>.db  an ASE database; each row has its targets

    python 043-generate.py --n-molecules 1000
    python 043-generate.py --targets gap=3:9:7 --n-molecules 100
    python 043-generate.py --targets composition=C4H8O2/C5H6O gap=6.5 --run outputs/generators/<run>
    python 043-generate.py --start benzene.xyz --start-available 0 3 --output outputs/from-benzene.db

Several values of a target are separated by a slash; numbers may be written as first:last:how many, a composition is a
formula. Every combination is a set of targets, and n_molecules are generated for each. The same seed gives the same
molecules, in any number of processes. The database is written block by block and is whole at every moment: after an
interruption the same command goes on. Molecules that grow larger than max_n_atoms, or put two atoms at one place, are
given up and counted. Mirror images cannot be told apart by distances: which of the two comes is a matter of chance.

About a hundred molecules of a dozen atoms a second and core at 64 channels and 4 interactions.
"""

import dataclasses
import pathlib
import time

import ase.io
import ase.visualize
import numpy
import torch

from common.data.molecule_database import check_coords, read_database
from common.files.artifacts import MissingArtifactError
from common.generation.generated import BlockGenerator, GeneratedDatabase, iterate_missing, plan_blocks
from common.generation.placement import GridSettings
from common.generation.sampling import SamplingSettings, Start
from common.generators.conditions import find_strange_targets, parse_targets
from common.generators.file import TrainedGenerator, load_generator
from common.generators.trajectories import sort_atoms
from common.processes.devices import check_device
from common.processes.memory import format_peak_memory
from common.processes.pool import Prepared, run_in_processes
from common.processes.stage import run_stage
from common.processes.threads import count_available_cpus
from common.reporting.console import suggest_command
from common.runs.options import read_settings
from common.runs.settings import AtLeastOne, Contents, Duration, Machine, NonNegative, Positive, StageSettings

OUTPUTS = pathlib.Path("outputs")
RUNS = OUTPUTS / "generators"
GENERATOR = "generator.pt"


@dataclasses.dataclass(frozen=True)
class Settings(StageSettings):
    """What is generated, and how."""

    targets: tuple[str, ...] = ()  # NAME=VALUE for any conditions of the generator, e.g. gap=3:9:7 composition=C2H6O
    n_molecules: Duration[AtLeastOne[int]] = 1000  # for each set of targets
    max_n_atoms: AtLeastOne[int] | None = None  # larger ones are given up; None: 1.5 times the largest that trained
    seed: NonNegative[int] = 0  # the same seed, the same molecules

    # --- the grid on which atoms are placed --------------------------------------------------------------------------
    grid_distance_min: NonNegative[float] = 0.7  # [Angstrom] from the focus
    grid_spacing: Positive[float] = 0.05  # [Angstrom]
    temperature_term: Positive[float] = 0.1  # of a position: lower, and the likely places become likelier
    type_temperature: Positive[float] = 1.0  # of a type; lower values give fewer kinds of molecules

    # --- where to begin ----------------------------------------------------------------------------------------------
    start: Contents[pathlib.Path | None] = None  # a file of atoms that every molecule has from the beginning, e.g. .xyz
    start_available: tuple[NonNegative[int], ...] = ()  # of these, counted from 0, the ones to build on; (): all

    # --- where and with what -----------------------------------------------------------------------------------------
    run: Contents[pathlib.Path | None] = None  # of 042, or a folder of runs: the latest of it
    output: Machine[pathlib.Path | None] = None  # an ASE database; None: <run>/generated/<n>.db, counted up
    view: Machine[bool] = False  # show the molecules by ASE's viewer at the end
    batch_size: Machine[AtLeastOne[int]] = 128  # molecules under way at once in each process
    n_workers: Machine[AtLeastOne[int]] = dataclasses.field(default_factory=count_available_cpus)  # processes
    device: Machine[str] = "auto"  # "cpu", "cuda"; "auto": a GPU where there is one

    def check(self) -> None:
        if self.device != "auto":
            check_device(self.device)
        if self.output is not None and self.output.suffix != ".db":
            raise ValueError(f"output {self.output}: the name of an ASE database ends in .db")


def find_generator(settings: Settings) -> pathlib.Path:
    """The file of the run that was named, or of the latest that has one."""
    if settings.run is not None and (settings.run / GENERATOR).is_file():
        return settings.run / GENERATOR
    runs = settings.run or RUNS
    found = sorted(runs.glob(f"*/{GENERATOR}"))
    if not found:
        raise MissingArtifactError(f"{runs}: no run with a {GENERATOR} here", "generator")
    return found[-1]


def read_start(settings: Settings) -> Start | None:
    """The atoms to begin with, their centre of mass at the origin."""
    if settings.start is None:
        return None
    if not settings.start.is_file():
        raise FileNotFoundError(f"{settings.start}: no such file")
    try:
        atoms = ase.io.read(settings.start)
    except Exception as error:  # each of ASE's readers has errors of its own
        raise ValueError(f"{settings.start}: ASE cannot read it ({type(error).__name__}: {error})") from error
    check_coords(atoms.positions, str(settings.start))
    order, coords = sort_atoms(atoms.numbers, atoms.positions)
    chosen = settings.start_available or range(len(order))
    if max(chosen) >= len(order):
        raise ValueError(f"start_available: {settings.start} has {len(order)} atoms, counted from 0")
    return Start(atoms.numbers[order], coords, numpy.flatnonzero(numpy.isin(order, list(chosen))))


def choose_output(settings: Settings, run: pathlib.Path) -> pathlib.Path:
    """Where the molecules go: the first number that is free, unless a name was given."""
    if settings.output is not None:
        return settings.output
    number = 1
    while (run / "generated" / f"{number}.db").exists():
        number += 1
    return run / "generated" / f"{number}.db"


def parse(settings: Settings, generator: TrainedGenerator) -> list[dict[str, numpy.ndarray]]:
    """All sets of targets; says where they are beyond what the generator has seen.

    Raises:
        ValueError: one cannot be read, or conditions are missing that the generator needs.
    """
    network = generator.network.settings
    targets = parse_targets(settings.targets, network.conditions, network.types)
    missing = [condition.name for condition in network.conditions if condition.name not in targets[0]]
    if missing and not generator.may_omit:
        raise ValueError(
            f"this generator was always told {', '.join(missing)}: give targets for them, or train with "
            "condition_dropout above 0"
        )
    for name, value, low, high in find_strange_targets(targets, generator.ranges):
        unit = generator.units.get(name, "")
        print(f"warning: {name} = {value:g} {unit} is outside of the training data, {low:.3g} to {high:.3g} {unit}")
    return targets


def main() -> None:
    settings = read_settings(Settings)
    path = find_generator(settings)
    generator = load_generator(path)
    network = generator.network.settings
    targets = parse(settings, generator)
    start = read_start(settings)
    has_gpu = torch.cuda.is_available()
    device = ("cuda" if has_gpu else "cpu") if settings.device == "auto" else settings.device
    max_atoms = settings.max_n_atoms or int(1.5 * generator.max_atoms)
    grid = GridSettings(settings.grid_distance_min, settings.grid_spacing, settings.temperature_term)
    sampling = SamplingSettings(max_atoms, settings.batch_size, grid, settings.type_temperature, settings.seed)
    named = dataclasses.asdict(sampling)
    del named["batch_size"]
    plain = {
        "generator": generator.origin,
        "types": list(network.types),
        "targets": list(settings.targets),
        "n_molecules": settings.n_molecules,
        "start": "" if start is None else str(settings.start),
        **named,
    }
    n_workers = 1 if device != "cpu" else settings.n_workers
    function = Prepared(BlockGenerator, (path, sampling, start, device))
    if n_workers == 1:
        function.make_function(*function.args)  # says now what does not fit
    database = GeneratedDatabase(choose_output(settings, path.parent), plain, network.conditions)
    blocks = plan_blocks(targets, settings.n_molecules)
    missing = list(iterate_missing(blocks, database))
    begun = time.perf_counter()
    sizes = [block.n_molecules for block in missing]
    results = run_in_processes(function, missing, n_workers, sizes, "generate", "molecule")
    for block, generated in zip(missing, results, strict=True):
        database.add(block, generated)
    seconds = time.perf_counter() - begun
    n_asked = sum(block.n_molecules for block in blocks)
    n_given_up = sum(database.finished.values())
    print(
        f"{n_asked - n_given_up} molecules, {n_given_up} given up (more than {max_atoms} atoms, or two at one place); "
        f"{sum(sizes) / seconds:.0f} a second; peak memory {format_peak_memory()}"
    )
    if settings.view:
        molecules = read_database(database.path).molecules
        ase.visualize.view([ase.Atoms(one.numbers, one.coords) for one in molecules])
    print(f"wrote {database.path}")
    print(suggest_command("044-filter-generated.py", {"--input": (database.path, pathlib.Path())}))


if __name__ == "__main__":
    run_stage(main)
