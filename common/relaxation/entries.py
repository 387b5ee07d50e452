"""Which entries are worth relaxing: torsion scans, and conformers at a quantum minimum."""

import collections.abc
import dataclasses
import os
import pathlib
import zlib

import numpy

from common.data.dataset import Entry, open_dataset, read_entries
from common.data.splits import SplitRow
from common.forcefields.tensors import TensorTopology
from common.relaxation.deviations import compute_rmsds
from common.relaxation.scans import Scan, find_scan

MINIMUM_FORCE = 0.5
"""[kcal/mol/Angstrom] A conformer whose root mean square force component is below this is a quantum minimum. Programs
that optimise geometries stop at some 0.2 to 0.4 (3e-4 hartree/bohr)."""

RECOGNITION = (
    "a scan has one dihedral on an even grid of at least 8 points, a minimum has forces of at most "
    f"{MINIMUM_FORCE} kcal/mol/Angstrom, root mean square, or belongs to one of --optimized-sources"
)
"""How scans and minima are told, in words."""

MAX_MINIMA = 10
"""Of an entry, so that one of many conformers does not stand for all."""

DISTINCT = 0.1
"""[Angstrom] Minima nearer to one another, all atoms superposed, are one."""


@dataclasses.dataclass(frozen=True)
class Task:
    """What is to be relaxed of an entry: the points of a scan, or the conformers that are minima.

    Attributes:
        row: the entry.
        scan: with the angles of all conformers; None for minima.
        conformers: which.
    """

    row: SplitRow
    scan: Scan | None
    conformers: tuple[int, ...]


def find_tasks(
    data: str | os.PathLike,
    rows: collections.abc.Sequence[SplitRow],
    topologies: collections.abc.Mapping[str, TensorTopology],
    max_scans: int,
    max_minima: int,
    first: str,
    optimized: collections.abc.Collection[str] = (),
) -> list[Task]:
    """Looks through entries until so many scans and so many entries with minima are found.

    Args:
        data: folder of data sets.
        rows: the entries.
        topologies: of their molecules.
        max_scans, max_minima: how many entries are enough.
        first: the split whose entries are looked at first; within a split the order is random, the same every time.
        optimized: sources all of whose conformers are minima, whatever their forces.

    Raises:
        ValueError: there is no such source.
    """
    known = {row.source for row in rows}
    unknown = sorted(set(optimized) - known)
    if unknown:
        raise ValueError(f"optimized_sources: {unknown[0]!r} is none of the data sets ({', '.join(sorted(known))})")
    order = sorted(
        rows, key=lambda row: (row.split != first, zlib.crc32(f"{row.smiles} {row.source} {row.row}".encode()))
    )
    datasets = {source: open_dataset(pathlib.Path(data) / source) for source in {row.source for row in order}}
    scans: list[Task] = []
    minima: list[Task] = []
    for row in order:
        if len(scans) >= max_scans and len(minima) >= max_minima:
            break
        [entry] = read_entries(datasets[row.source], [row.row])
        task = _classify(row, entry, topologies[row.smiles], row.source in optimized)
        if task is not None:
            found, limit = (minima, max_minima) if task.scan is None else (scans, max_scans)
            if len(found) < limit:
                found.append(task)
    return scans + minima


def _classify(row: SplitRow, entry: Entry, topology: TensorTopology, optimized: bool) -> Task | None:
    scan = find_scan(topology, entry.coords)
    if scan is not None:
        everything = tuple(range(entry.n_confs))
        return Task(row, scan, everything) if entry.has_energies else None
    conformers = find_minima(entry, numpy.inf if optimized else MINIMUM_FORCE)
    return Task(row, None, conformers) if conformers else None


def find_minima(entry: Entry, max_force: float = MINIMUM_FORCE) -> tuple[int, ...]:
    """The conformers at a minimum, each once, the smallest force first; at most ``MAX_MINIMA``, in ascending order.

    Args:
        entry: its conformers.
        max_force: [kcal/mol/Angstrom] the root mean square component that a minimum has at most; infinite: all are.
    """
    if not entry.has_forces and numpy.isfinite(max_force):
        return ()
    forces = numpy.zeros(entry.n_confs)
    if entry.has_forces:
        forces = numpy.sqrt((entry.forces**2).mean(axis=(1, 2)))
    chosen: list[int] = []
    for i in numpy.argsort(forces, kind="stable").tolist():
        if forces[i] > max_force or len(chosen) == MAX_MINIMA:
            break
        own = entry.coords[[i] * len(chosen)]
        if not chosen or compute_rmsds(own, entry.coords[chosen]).min() > DISTINCT:
            chosen.append(i)
    return tuple(sorted(chosen))
