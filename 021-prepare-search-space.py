"""Prepare where a campaign may look: starts, an initial set, tests, and a network pretrained on a force field.

Reads   a force field (.offxml), or a .pt of stage 002 or of a run of 004
        molecules: --smiles, or the conformers of a data set (--data), or an ASE database (--from-ase)
Writes  outputs/search-spaces/<name>/        starts.npz, initial.npz, test-*.npz, starting-model.pt, parameters.pt,
                                             calculations/ (every label, once), space.json,
                                             data-test/ (the tests for 005: --data)

    python 021-prepare-search-space.py --smiles CCO
    python 021-prepare-search-space.py --smiles CCO "CC(=O)N" --level b3lyp-d3bj/dzvp --test-dynamics force-field
    python 021-prepare-search-space.py --from-ase structures.db --smiles CCO

Dynamics of the force field cost nothing. At the temperature that is known they give candidates for the initial set and
most starts; at a higher one they reach what no initial set has seen, and give the rest: a campaign pays where its
search space holds something new. The tests are frames of independent dynamics at both temperatures, by the level
itself or, where that is too slow, by the force field; what is tested is always labelled by the level.

With an ASE database the rows are the starts: positions, and velocities where there are momenta; "temperature" and
"region" of their key-value pairs are used where they are there, and "smiles" says which molecule a row is.

A minute and a half for ethanol with GFN2-xTB on two cores, most of it the pretraining. An interrupted run goes on where
it stopped.
"""

import dataclasses
import math
import pathlib
import time
import typing

import numpy

from common.active_learning.ase_files import read_starts
from common.active_learning.outputs import write_data
from common.active_learning.preparation import (
    METHODS,
    CheapDynamics,
    CheapFrames,
    Labeller,
    find_geometries,
    label_cheaply,
    make_starts,
    pretrain,
    run_cheap_dynamics,
)
from common.active_learning.search_space import (
    PARAMETERS,
    STARTING_MODEL,
    Molecule,
    Start,
    make_molecule,
    write_search_space,
)
from common.calculators.registry import compute_level_fingerprint, make_calculator
from common.data.dataset import open_dataset, read_entries
from common.executors.local import LocalExecutor
from common.files.locks import hold_lock
from common.forcefields.parameter_file import load_parameters, save_parameters
from common.forcefields.tensors import ParameterizedMolecules
from common.molecules.mapped_smiles import from_mapped_smiles, from_smiles, to_mapped_smiles
from common.neural.atom_energies import NetworkSettings
from common.neural.painn import PaiNNSettings
from common.neural.schnet import SchNetSettings
from common.potentials.file import save_network
from common.potentials.smirnoff import SmirnoffPotential
from common.processes.stage import run_stage
from common.processes.threads import count_available_cpus
from common.reporting.console import suggest_command
from common.runs.options import read_settings
from common.runs.settings import AtLeastOne, Contents, Machine, NonNegative, Positive, Share, StageSettings
from common.smirnoff.find import find_force_field
from common.smirnoff.offxml import read_force_field
from common.smirnoff.parameterize import parameterize
from common.tasks.labels import Labels, join_labels
from common.tasks.reference import ReferenceTask
from common.tasks.sampling import DynamicsSettings, load_run
from common.tasks.training import TrainingSettings

OUTPUTS = pathlib.Path("outputs")


@dataclasses.dataclass(frozen=True)
class Settings(StageSettings):
    """Which molecules, which level, how much of what."""

    # --- the molecules
    smiles: tuple[str, ...] = ()  # plain or fully mapped
    data: Contents[pathlib.Path | None] = None  # a data set, whose molecules and conformers dynamics start from
    from_ase: Contents[pathlib.Path | None] = None  # an ASE database, whose rows are the starts

    # --- the level, and the force field that is the cheap one
    level: str = "gfn2-xtb"  # also gfn1-xtb, b3lyp-d3bj/dzvp, smirnoff:FILE, ase:MODULE:NAME, function:MODULE:NAME
    time_limit: Positive[float] = 3600.0  # [s] of a calculation
    force_field: Contents[str] = "openff-2.1.0.offxml"  # path, or name of a file in force-fields/ or a package
    parameters: Contents[pathlib.Path | None] = None  # instead, a .pt with the molecules, e.g. a run's force-field.pt

    # --- dynamics of the force field
    known_temperature: Positive[float] = 300.0  # [K] where the initial set and most starts come from
    new_temperature: Positive[float] = 700.0  # [K] where the other starts come from
    n_replicas: AtLeastOne[int] = 16  # of each molecule at each temperature
    duration: Positive[float] = 2000.0  # [fs] of each replica, after a quarter of it to forget its start
    time_step: Positive[float] = 0.5  # [fs]
    friction: Positive[float] = 0.01  # [1/fs] of the Langevin thermostat

    # --- how much of what, of all molecules together
    n_starts: AtLeastOne[int] = 40
    new_share: Share[float] = 0.2  # of the starts, from the new temperature
    n_initial: AtLeastOne[int] = 60  # labelled candidates, from which a campaign draws its initial set
    n_test: AtLeastOne[int] = 200  # labelled structures of each of the two tests
    test_dynamics: typing.Literal["level", "force-field"] = "level"  # by what the tests' structures are made
    n_test_trajectories: AtLeastOne[int] = 4  # of each molecule and test, by the level

    # --- the model that training starts from
    n_pretraining: NonNegative[int] = 1500  # frames of the force field, half from each temperature; 0 for none
    architecture: typing.Literal["painn", "schnet"] = "painn"
    n_channels: AtLeastOne[int] = 32
    n_interactions: AtLeastOne[int] = 2
    cutoff: Positive[float] = 5.0  # [Angstrom]
    pretraining_steps: AtLeastOne[int] = 2500  # at most
    pretraining_rate: Positive[float] = 4e-3  # learning rate

    seed: NonNegative[int] = 0
    name: Machine[str | None] = None  # of the search space; None: made of molecules and level
    output: Machine[pathlib.Path] = OUTPUTS / "search-spaces"
    n_workers: Machine[AtLeastOne[int]] = dataclasses.field(default_factory=count_available_cpus)  # processes

    def check(self) -> None:
        if self.smiles and self.data is not None:
            raise ValueError("--smiles and --data: both say which molecules; leave one of them out")

    @property
    def network(self) -> NetworkSettings:
        """What networks are like."""
        n, layers = self.n_channels, self.n_interactions
        trunk: SchNetSettings | PaiNNSettings
        if self.architecture == "painn":
            trunk = PaiNNSettings(n_channels=n, n_interactions=layers, cutoff=self.cutoff)
        else:
            trunk = SchNetSettings(n_channels=n, n_filters=n, n_interactions=layers, cutoff=self.cutoff)
        return NetworkSettings(architecture=self.architecture, trunk=trunk)


def find_molecules(settings: Settings) -> tuple[list[Molecule], list[numpy.ndarray]]:
    """The molecules, and geometries of each from which dynamics start [Angstrom]."""
    if settings.data is not None:
        found: dict[str, list[numpy.ndarray]] = {}
        for entry in read_entries(open_dataset(settings.data)):
            found.setdefault(entry.smiles, []).append(entry.coords)
        return [make_molecule(smiles) for smiles in found], [numpy.concatenate(parts) for parts in found.values()]
    molecules = []
    for text in settings.smiles:
        mol = from_mapped_smiles(text) if ":1]" in text else from_smiles(text)
        molecules.append(make_molecule(to_mapped_smiles(mol)))
    return molecules, [find_geometries(one, settings.n_replicas, settings.seed) for one in molecules]


def apply_force_field(settings: Settings, molecules: list[Molecule]) -> ParameterizedMolecules:
    """The force field with all molecules.

    Raises:
        ValueError: a molecule has no parameters; it is named.
    """
    wanted = [molecule.smiles for molecule in molecules]
    if settings.parameters is not None:
        parameterized = load_parameters(settings.parameters)
        failures = {smiles: "it is not in the file" for smiles in wanted if smiles not in parameterized.topologies}
    else:
        parameterized = parameterize(read_force_field(find_force_field(settings.force_field)), wanted, 1)
        failures = parameterized.failures
    for smiles, reason in failures.items():
        where = settings.parameters or settings.force_field
        raise ValueError(f"{where}: has no parameters for {smiles} ({reason}); leave it out, or take another")
    topologies = {smiles: parameterized.topologies[smiles] for smiles in wanted}
    return dataclasses.replace(parameterized, topologies=topologies, failures={})


@dataclasses.dataclass(frozen=True)
class Pool:
    """Frames of the force field's dynamics of one molecule, by temperature, handed out one after the other."""

    known: CheapFrames
    new: CheapFrames
    taken: dict[str, int] = dataclasses.field(default_factory=lambda: {"known": 0, "new": 0})

    def take(self, region: typing.Literal["known", "new"], n: int) -> CheapFrames:
        frames = (self.known if region == "known" else self.new).take(self.taken[region], n)
        self.taken[region] += n
        return frames


def sample_force_field(
    settings: Settings,
    molecules: list[Molecule],
    geometries: list[numpy.ndarray],
    parameterized: ParameterizedMolecules,
    seed: int,
) -> list[Pool]:
    """Dynamics of each molecule at both temperatures."""
    duration = round(settings.duration / settings.time_step)
    n_wanted = max(settings.n_starts + settings.n_initial + settings.n_pretraining, settings.n_test) / len(molecules)
    interval = max(1, int(duration * settings.n_replicas / (1.5 * n_wanted)))
    dynamics = CheapDynamics(
        settings.time_step, settings.friction, settings.n_replicas, duration // 4, duration, interval
    )
    pools = []
    for molecule, own in zip(molecules, geometries, strict=True):
        potential = SmirnoffPotential(parameterized.topologies[molecule.smiles], parameterized.force_field)
        known, new = (
            run_cheap_dynamics(potential, molecule, own, temperature, dynamics, seed)
            for temperature in (settings.known_temperature, settings.new_temperature)
        )
        pools.append(Pool(known, new))
    return pools


def share(n: int, n_molecules: int) -> list[int]:
    """``n`` things for so many molecules, as equal as can be."""
    return [n // n_molecules + (k < n % n_molecules) for k in range(n_molecules)]


def collect_starts(settings: Settings, molecules: list[Molecule], pools: list[Pool]) -> list[Start]:
    """Starts of trajectories, from the force field's dynamics or from an ASE database."""
    if settings.from_ase is not None:
        return read_starts(settings.from_ase, molecules, settings.known_temperature)
    n_new = round(settings.new_share * settings.n_starts)
    starts: list[Start] = []
    for k, pool in enumerate(pools):
        n_known = share(settings.n_starts - n_new, len(pools))[k]
        starts += make_starts(k, pool.take("known", n_known), settings.known_temperature, "known")
        new = pool.take("new", share(n_new, len(pools))[k])
        starts += make_starts(k, new, settings.new_temperature, "new")
    return starts


def make_test_structures(
    settings: Settings,
    folder: pathlib.Path,
    molecules: list[Molecule],
    geometries: list[numpy.ndarray],
    parameterized: ParameterizedMolecules,
    labeller: Labeller,
) -> dict[str, tuple[list[int], list[numpy.ndarray]]]:
    """Structures of both tests, which nothing else has seen: their molecules and coordinates."""
    seed = settings.seed + 1
    counts = share(settings.n_test, len(molecules))
    structures: dict[str, tuple[list[int], list[numpy.ndarray]]] = {"near": ([], []), "wide": ([], [])}
    if settings.test_dynamics == "force-field":
        pools = sample_force_field(settings, molecules, geometries, parameterized, seed)
        for k, pool in enumerate(pools):
            for name, frames in (("near", pool.take("known", counts[k])), ("wide", pool.take("new", counts[k]))):
                structures[name][0].extend([k] * counts[k])
                structures[name][1].extend(frames.coords)
        return structures
    tasks = plan_references(settings, folder, molecules, geometries, seed)
    reasons = labeller.run_references(tasks, "test dynamics")
    for reason in filter(None, reasons):
        print(f"a trajectory of the tests ended early: {reason}")
    for task in tasks:
        if not pathlib.Path(task.output).is_file():
            continue
        name, k, _ = pathlib.Path(task.output).stem.split("-")
        coords = load_run(task.output).coords
        n_wanted = share(counts[int(k)], settings.n_test_trajectories)[0]
        chosen = numpy.linspace(len(coords) // 5, len(coords) - 1, n_wanted).astype(int) if len(coords) else []
        structures[name][0].extend([int(k)] * len(chosen))
        structures[name][1].extend(coords[i] for i in chosen)
    return structures


def plan_references(
    settings: Settings,
    folder: pathlib.Path,
    molecules: list[Molecule],
    geometries: list[numpy.ndarray],
    seed: int,
) -> list[ReferenceTask]:
    """Trajectories by the level, at both temperatures."""
    n_steps = round(settings.duration / settings.time_step)
    per_trajectory = settings.n_test / len(molecules) / settings.n_test_trajectories
    dynamics = DynamicsSettings(settings.time_step, settings.friction, max(1, int(0.7 * n_steps / per_trajectory)))
    return [
        ReferenceTask(
            str(folder / "test-dynamics" / f"{name}-{k}-{i}.npz"),
            settings.level,
            molecule.numbers,
            geometries[k][i % len(geometries[k])],
            molecule.charge,
            temperature,
            n_steps,
            dynamics,
            seed + 100 * i,
        )
        for name, temperature in (("near", settings.known_temperature), ("wide", settings.new_temperature))
        for k, molecule in enumerate(molecules)
        for i in range(settings.n_test_trajectories)
    ]


def pretrain_network(settings: Settings, folder: pathlib.Path, molecules: list[Molecule], pools: list[Pool]) -> None:
    """Writes the starting model."""
    parts: list[Labels] = []
    counts = share(settings.n_pretraining, len(molecules))
    for k, pool in enumerate(pools):
        for region, n in (("known", counts[k] - counts[k] // 2), ("new", counts[k] // 2)):
            parts.append(label_cheaply(k, molecules[k].numbers, pool.take(typing.cast(typing.Any, region), n)))
    training = TrainingSettings(
        resampling="shuffle",
        batch_size=16,
        learning_rate=settings.pretraining_rate,
        max_steps=settings.pretraining_steps,
        evaluation_interval=100,
    )
    start = time.perf_counter()
    contents, progress = pretrain(
        settings.network,
        join_labels(parts),
        training,
        settings.seed,
        lambda step, error: print(f"  step {step}: {error:.2f} kcal/mol/Å", flush=True) if step % 500 == 0 else None,
    )
    save_network(folder / STARTING_MODEL, contents)
    print(
        f"pretrained on {progress.n_training} frames of the force field: force error {progress.validation_error:.2f} "
        f"kcal/mol/Å on {progress.n_validation} others, {progress.n_steps} steps, "
        f"{time.perf_counter() - start:.0f} s"
    )


def main() -> None:
    settings = read_settings(Settings)
    if not settings.smiles and settings.data is None:
        raise ValueError("no molecules: name some with --smiles, or a data set with --data")
    make_calculator(settings.level)
    fingerprint = compute_level_fingerprint(settings.level)
    molecules, geometries = find_molecules(settings)
    parameterized = apply_force_field(settings, molecules)
    formulas = "-".join(str(len(molecule.numbers)) for molecule in molecules)
    folder = settings.output / (settings.name or f"{formulas}-atoms-{settings.level.replace('/', '-').split(':')[0]}")
    folder.mkdir(parents=True, exist_ok=True)
    with hold_lock(folder / "lock"):
        prepare(settings, folder, fingerprint, molecules, geometries, parameterized)


def prepare(
    settings: Settings,
    folder: pathlib.Path,
    fingerprint: str,
    molecules: list[Molecule],
    geometries: list[numpy.ndarray],
    parameterized: ParameterizedMolecules,
) -> None:
    """Everything, in order; nothing is a search space before the last line."""
    start = time.perf_counter()
    pools = sample_force_field(settings, molecules, geometries, parameterized, settings.seed)
    starts = collect_starts(settings, molecules, pools)
    save_parameters(folder / PARAMETERS, parameterized)
    print(
        f"{len(molecules)} molecules, {len(starts)} starts; dynamics of the force field: "
        f"{time.perf_counter() - start:.0f} s"
    )
    with LocalExecutor(METHODS, {"quantum": settings.n_workers}) as executor:
        labeller = Labeller(executor, folder, settings.level, fingerprint, settings.time_limit)
        of, coords = [], []
        for k, pool in enumerate(pools):
            frames = pool.take("known", share(settings.n_initial, len(molecules))[k])
            of += [k] * len(frames.coords)
            coords += list(frames.coords)
        initial, failures = labeller.label(molecules, of, coords, "initial set")
        tests = {}
        structures = make_test_structures(settings, folder, molecules, geometries, parameterized, labeller)
        for name, (of_test, coords_test) in structures.items():
            tests[name], failed = labeller.label(molecules, of_test, coords_test, f"test {name}")
            failures |= failed
    if failures:
        print(f"{len(failures)} calculations failed, e.g. {next(iter(failures.values()))}")
    for name, labels in tests.items():
        write_data(folder / "data-test", name, labels, molecules, math.inf, len(labels), "search space")
        size = float((labels.forces**2).mean() ** 0.5)
        print(f"test {name}: {len(labels)} structures, RMS force {size:.1f} kcal/mol/Å")
    if settings.n_pretraining:
        pretrain_network(settings, folder, molecules, pools)
    else:
        (folder / STARTING_MODEL).unlink(missing_ok=True)
    notes = {
        "temperatures": {"known": settings.known_temperature, "new": settings.new_temperature},
        "force_field": parameterized.provenance.get("force_field"),
        "test_dynamics": settings.test_dynamics,
        "network": dataclasses.asdict(settings.network),
        "n_failed": len(failures),
        "seed": settings.seed,
    }
    write_search_space(folder, molecules, starts, initial, tests, settings.level, fingerprint, notes)
    print(f"wrote {folder} in {time.perf_counter() - start:.0f} s")
    print(suggest_command("022-run-campaign.py", {"--search-space": (folder, "")}))


if __name__ == "__main__":
    run_stage(main)
