"""What becomes of generated molecules when they are relaxed: how far they move, whether they stay what they are.

A generated geometry is a place from which to begin. What an aimed-at property is at the geometry as it was generated,
and what it is at the minimum, are two things; both are told. The way downhill is kept: its energies and forces are data
to fit to, of molecules that nobody has drawn.
"""

import dataclasses
import functools
import pathlib
import typing
from collections.abc import Sequence

import numpy

from common.calculators.interface import CalculationError
from common.calculators.relaxation import Relaxation, relax
from common.calculators.tight_binding import GFN2, TightBinding
from common.data.dataset import Entry, ShardWriter, finish_dataset
from common.generation.assessment import Examined, examine
from common.generators.batches import Geometry
from common.molecules.mapped_smiles import perceive, to_mapped_smiles
from common.molecules.perception import PerceptionSettings
from common.processes.pool import run_in_processes
from common.selection.clustering import compute_rmsd_matrix
from common.units import EV_TO_KCAL_PER_MOL


@dataclasses.dataclass(frozen=True)
class Refined:
    """A relaxation of a generated molecule by GFN2-xTB.

    Attributes:
        reason: why there is none; "" where there is.
        rmsd: [Angstrom] from the generated to the relaxed geometry, all atoms, after superposition.
        drop: [kcal/mol] by which the energy falls.
        max_force: [kcal/mol/Angstrom] the largest force on an atom before.
        n_calculations: that it took.
        is_same: perceived as the same molecule, stereochemistry aside, before and after.
        before: properties at the generated geometry: gap, homo, lumo [eV].
        after: at the relaxed one.
        coords: [Angstrom] ``shape=(n_frames, n_atoms, 3)``, the first as generated, the last relaxed.
        energies: [kcal/mol] ``shape=(n_frames,)``.
        forces: [kcal/mol/Angstrom] ``shape=(n_frames, n_atoms, 3)``.
    """

    reason: str
    rmsd: float = 0.0
    drop: float = 0.0
    max_force: float = 0.0
    n_calculations: int = 0
    is_same: bool = False
    before: dict[str, float] = dataclasses.field(default_factory=dict)
    after: dict[str, float] = dataclasses.field(default_factory=dict)
    coords: numpy.ndarray = dataclasses.field(default_factory=lambda: numpy.zeros((0, 0, 3)))
    energies: numpy.ndarray = dataclasses.field(default_factory=lambda: numpy.zeros(0))
    forces: numpy.ndarray = dataclasses.field(default_factory=lambda: numpy.zeros((0, 0, 3)))


def refine(task: tuple[Geometry, str], max_force: float, settings: PerceptionSettings) -> Refined:
    """Relaxes one molecule.

    Args:
        task: the geometry, and the name, without stereochemistry, under which it was perceived.
        max_force: [kcal/mol/Angstrom] at which it ends.
        settings: of the perception.
    """
    geometry, flat = task
    level = TightBinding(GFN2)
    frames: list[tuple[numpy.ndarray, float, numpy.ndarray]] = []

    def keep(coords: numpy.ndarray, energy: float, forces: numpy.ndarray) -> None:
        frames.append((coords, energy, forces))

    try:
        before = _compute_orbitals(level, geometry.numbers, geometry.coords)
        relaxation = relax(level, geometry.numbers, geometry.coords, 0, max_force, on_step=keep)
        after = _compute_orbitals(level, geometry.numbers, relaxation.coords)
    except CalculationError as error:
        return Refined(str(error))
    if not relaxation.converged:
        return Refined("the relaxation does not converge")
    return _describe(geometry, flat, relaxation, frames, before, after, settings)


def _describe(
    geometry: Geometry,
    flat: str,
    relaxation: Relaxation,
    frames: list[tuple[numpy.ndarray, float, numpy.ndarray]],
    before: dict[str, float],
    after: dict[str, float],
    settings: PerceptionSettings,
) -> Refined:
    coords, energies, forces = (numpy.array(column) for column in zip(*frames, strict=True))
    ends = numpy.stack([geometry.coords, relaxation.coords])
    return Refined(
        reason="",
        rmsd=float(compute_rmsd_matrix(ends)[0, 1]),
        drop=float(energies[0] - relaxation.energy),
        max_force=float(numpy.linalg.norm(forces[0], axis=1).max()),
        n_calculations=relaxation.n_calculations,
        is_same=examine(Geometry(geometry.numbers, relaxation.coords), settings).flat == flat,
        before=before,
        after=after,
        coords=coords,
        energies=energies,
        forces=forces,
    )


def _compute_orbitals(level: TightBinding, numbers: numpy.ndarray, coords: numpy.ndarray) -> dict[str, float]:
    electrons = level.compute_electronic_structure(numbers, coords, 0)
    return {name: getattr(electrons, name) / EV_TO_KCAL_PER_MOL for name in ("gap", "homo", "lumo")}


def refine_all(
    geometries: Sequence[Geometry],
    examined: Sequence[Examined],
    max_force: float,
    settings: PerceptionSettings,
    n_workers: int,
) -> list[Refined]:
    """Relaxes valid molecules, in processes; arguments as :func:`refine`."""
    tasks = [(geometry, one.flat) for geometry, one in zip(geometries, examined, strict=True)]
    function = functools.partial(refine, max_force=max_force, settings=settings)
    return list(run_in_processes(function, tasks, n_workers, [1] * len(tasks), "relax", "molecule"))


def make_entry(examined: Examined, refined: Refined, name: str) -> Entry:
    """The way of a relaxation as an entry of a data set, energies relative to their mean.

    Args:
        examined: the molecule, from which its mapped SMILES comes.
        refined: a relaxation that ended in the same molecule.
        name: where it comes from.

    Raises:
        ValueError: the molecule has no mapped SMILES.
    """
    mean = float(refined.energies.mean())
    smiles = to_mapped_smiles(perceive(examined.mol))
    return Entry(smiles, refined.coords, refined.energies - mean, refined.forces, mean, name)


def write_ways(
    folder: pathlib.Path,
    examined: Sequence[Examined],
    refined: Sequence[Refined],
    names: Sequence[str],
    provenance: dict[str, typing.Any],
) -> list[str]:
    """Writes relaxations that ended in the same molecule as a data set, in place of what is there.

    Args:
        folder: of the data set.
        examined: molecules.
        refined: what became of each.
        names: where each comes from.
        provenance: plain values, e.g. ``stage``.

    Returns:
        mapped SMILES of the entries; molecules that have none are left out.
    """
    entries = []
    for one, way, name in zip(examined, refined, names, strict=True):
        if not way.reason and way.is_same:
            try:
                entries.append(make_entry(one, way, name))
            except ValueError:
                continue
    work = folder.parent / f".{folder.name}.work"
    work.mkdir(parents=True, exist_ok=True)
    with ShardWriter(work / "shard.arrow") as writer:
        for entry in entries:
            writer.write(entry)
    finish_dataset(work, [work / "shard.arrow"], folder, provenance)
    return [entry.smiles for entry in entries]
