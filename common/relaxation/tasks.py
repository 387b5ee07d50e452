"""Entries relaxed under every candidate, over processes."""

import collections.abc
import dataclasses
import os
import pathlib

import numpy

from common.data.dataset import Entry, open_dataset, read_entries
from common.forcefields.tensors import ParameterizedMolecules
from common.molecules.mapped_smiles import compute_connectivity_key, from_mapped_smiles
from common.processes.pool import Prepared, run_in_processes
from common.relaxation.deviations import (
    compute_rmsds,
    compute_torsion_deviations,
    find_heavy_atoms,
    measure_parameter_deviations,
)
from common.relaxation.entries import Task
from common.relaxation.minimization import HeldDihedral, Minimization, minimize
from common.relaxation.records import Failure, Origin, ParameterDeviation, RelaxedMinima, RelaxedScan
from common.relaxation.scans import Scan, is_closed
from common.relaxation.surface import Surface

Load = collections.abc.Callable[[], collections.abc.Mapping[str, ParameterizedMolecules]]
"""Gives the values and topologies of each candidate; fit to be sent to a process."""


def relax_all(
    data: str | os.PathLike, tasks: collections.abc.Sequence[Task], load: Load, n_workers: int
) -> list[RelaxedScan | RelaxedMinima]:
    """Relaxes entries, in the order of the tasks.

    Args:
        data: folder of data sets.
        tasks: what to relax.
        load: gives the candidates.
        n_workers: number of processes.

    Raises:
        FileNotFoundError, ValueError: data or parameters are missing, damaged or do not belong together.
    """
    prepared = Prepared(_make_relaxer, (pathlib.Path(data), load))
    sizes = [len(task.conformers) for task in tasks]
    n_workers = max(1, min(n_workers, len(tasks)))
    return list(run_in_processes(prepared, tasks, n_workers, sizes, "relax", "geometry"))


def _make_relaxer(data: pathlib.Path, load: Load) -> "Relaxer":
    return Relaxer(data, load())


@dataclasses.dataclass(frozen=True)
class Relaxer:
    """Relaxes what a task names under all candidates."""

    data: pathlib.Path
    molecules: collections.abc.Mapping[str, ParameterizedMolecules]

    def __call__(self, task: Task) -> RelaxedScan | RelaxedMinima:
        [entry] = read_entries(open_dataset(self.data / task.row.source), [task.row.row])
        row = task.row
        origin = Origin(row.source, row.row, entry.entry, row.smiles, compute_connectivity_key(row.smiles), row.split)
        chosen = numpy.array(task.conformers)
        if task.scan is None:
            return self.relax_minima(origin, entry, chosen)
        return self.relax_scan(origin, entry, Scan(task.scan.atoms, task.scan.angles[chosen]), chosen)

    def relax_scan(self, origin: Origin, entry: Entry, scan: Scan, chosen: numpy.ndarray) -> RelaxedScan:
        """The profile of a scan, of the points that all candidates relax."""
        held = HeldDihedral(scan.atoms, numpy.radians(scan.angles))
        results, good, failures = self._minimize(entry, chosen, held)
        places = numpy.flatnonzero(good)
        places = places[numpy.argsort(scan.angles[places], kind="stable")]
        reference = entry.energy[chosen[places]]
        lowest = int(numpy.argmin(reference)) if len(reference) else 0
        return RelaxedScan(
            origin=origin,
            atoms=scan.atoms,
            angles=scan.angles[places].tolist(),
            reference=_shift(reference, lowest),
            energies={name: _shift(result.energy[places], lowest) for name, result in results.items()},
            closed=is_closed(numpy.sort(scan.angles)),
            failures=failures,
        )

    def relax_minima(self, origin: Origin, entry: Entry, chosen: numpy.ndarray) -> RelaxedMinima:
        """The minima that all candidates reach from quantum minima, and how far these lie."""
        results, good, failures = self._minimize(entry, chosen, None)
        kept = chosen[good]
        coords = entry.coords[kept]
        mol = from_mapped_smiles(origin.smiles)
        heavy = find_heavy_atoms([atom.GetAtomicNum() for atom in mol.GetAtoms()])
        ends = {name: result.coords[good] for name, result in results.items()}
        reference = entry.energy[kept] if entry.has_energies else numpy.zeros(0)
        lowest = int(numpy.argmin(reference)) if len(reference) else 0
        deviations = {name: compute_torsion_deviations(mol, end, coords) for name, end in ends.items()}
        return RelaxedMinima(
            origin=origin,
            conformers=kept.tolist(),
            reference=_shift(reference, lowest),
            energies={name: _shift(result.energy[good], lowest) for name, result in results.items()},
            rmsd_heavy={name: compute_rmsds(end, coords, heavy).tolist() for name, end in ends.items()},
            rmsd_all={name: compute_rmsds(end, coords).tolist() for name, end in ends.items()},
            tfd={name: [] if own is None else own.tolist() for name, own in deviations.items()},
            parameters={name: self._list_deviations(origin.smiles, end, coords) for name, end in ends.items()},
            failures=failures,
        )

    def _minimize(
        self, entry: Entry, chosen: numpy.ndarray, held: HeldDihedral | None
    ) -> tuple[dict[str, Minimization], numpy.ndarray, list[Failure]]:
        """What each candidate makes of some conformers, which of them all relaxed, and which not."""
        results = {
            name: minimize(Surface(one.topologies[entry.smiles], one.force_field), entry.coords[chosen], held)
            for name, one in self.molecules.items()
        }
        good = numpy.all([result.converged for result in results.values()], axis=0)
        failures = [
            Failure(int(conformer), name, reason)
            for name, result in results.items()
            for conformer, reason in zip(chosen, result.failures, strict=True)
            if reason
        ]
        return results, good, failures

    def _list_deviations(self, smiles: str, coords: numpy.ndarray, others: numpy.ndarray) -> list[ParameterDeviation]:
        # by the parameters of the first candidate, so that all are told by the same types
        first = next(iter(self.molecules.values()))
        found = measure_parameter_deviations(first.topologies[smiles], first.force_field, coords, others)
        return [
            ParameterDeviation(type_, smirks, one.n, one.total, one.squares)
            for (type_, smirks), one in found.items()
            if one.n
        ]


def _shift(energies: numpy.ndarray, lowest: int) -> list[float]:
    return (energies - energies[lowest]).tolist() if len(energies) else []
