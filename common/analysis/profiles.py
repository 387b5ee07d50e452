"""Energy profiles: what a force field makes of the path that an entry follows, against the quantum reference."""

import collections.abc
import dataclasses
import typing

import numpy
import torch

from common.forcefields.tensors import TensorTopology
from common.geometry.internal_coordinates import compute_dihedrals

MIN_SCAN_LENGTH = 8
"""Fewer conformers are no scan."""

MIN_PROFILE_LENGTH = 3
"""Fewer conformers show no profile."""

MIN_SCAN_RANGE = 60.0
"""[degree] that a scanned dihedral covers at least."""

MAX_UNEVENNESS = 0.1
"""Largest standard deviation of the steps of a scan, over their mean. A scanned dihedral is held on a grid: less than
0.001, in the example. Those of trajectories and random conformers have 0.5 to 4."""


class Scan(typing.NamedTuple):
    """A dihedral that was scanned.

    ``atoms`` are its four atoms, counted from 0; ``angles`` [degree] of each conformer.
    """

    atoms: tuple[int, int, int, int]
    angles: numpy.ndarray


@dataclasses.dataclass(frozen=True)
class Profile:
    """Energies along an entry, each relative to its own mean and then to the lowest quantum energy.

    Attributes:
        axis: what ``x`` is, with its unit.
        x: ``shape=(n_confs,)``, ascending.
        reference: quantum energies [kcal/mol] ``shape=(n_confs,)``; the lowest is 0.
        energies: by candidate [kcal/mol], so that the difference to ``reference`` is the error that is reported.
        scanned: the atoms of the scanned dihedral, or None.
    """

    axis: str
    x: list[float]
    reference: list[float]
    energies: dict[str, list[float]]
    scanned: tuple[int, ...] | None


def find_scan(topology: TensorTopology, coords: numpy.ndarray) -> Scan | None:
    """The one dihedral that the conformers cover in even steps, if there is one.

    Args:
        topology: of the molecule.
        coords: [Angstrom] ``shape=(n_confs, n_atoms, 3)``.
    """
    if len(coords) < MIN_SCAN_LENGTH or "ProperTorsions" not in topology.parameters:
        return None
    dihedrals = torch.unique(topology.parameters["ProperTorsions"].particle_idxs, dim=0)
    if len(dihedrals) == 0:
        return None
    points = torch.tensor(coords).permute(2, 0, 1)[..., dihedrals]
    angles = torch.rad2deg(compute_dihedrals(*points.unbind(-1))).numpy()
    scores = [(_compute_unevenness(column), i) for i, column in enumerate(angles.T)]
    unevenness, best = min(scores)
    if unevenness > MAX_UNEVENNESS:
        return None
    return Scan(tuple(dihedrals[best].tolist()), angles[:, best])


def _compute_unevenness(angles: numpy.ndarray) -> float:
    """Standard deviation of the steps between neighbouring angles over their mean; infinite for a short range.

    The widest step is left out: it is where a scan of less than a full turn has its ends.
    """
    ordered = numpy.sort(angles % 360.0)
    steps = numpy.sort(numpy.diff(numpy.append(ordered, ordered[0] + 360.0)))[:-1]
    if not steps.sum() > MIN_SCAN_RANGE:
        return float("inf")
    return float(steps.std() / steps.mean())


def build_profile(
    reference: numpy.ndarray, energies: collections.abc.Mapping[str, numpy.ndarray], scan: Scan | None
) -> Profile | None:
    """The profile of an entry; None where it has too few conformers.

    Args:
        reference: quantum energies [kcal/mol] ``shape=(n_confs,)``.
        energies: by candidate, likewise.
        scan: orders the conformers by angle; without it they are in the order of their quantum energies.
    """
    if len(reference) < MIN_PROFILE_LENGTH:
        return None
    order = numpy.argsort(reference if scan is None else scan.angles, kind="stable")
    x = numpy.arange(len(order)) + 1 if scan is None else scan.angles[order]
    zero = reference.min() - reference.mean()

    def shift(values: numpy.ndarray) -> list[float]:
        return (values - values.mean() - zero)[order].tolist()

    return Profile(
        axis="conformer, by quantum energy" if scan is None else "dihedral [degree]",
        x=[float(value) for value in x],
        reference=shift(reference),
        energies={name: shift(values) for name, values in energies.items()},
        scanned=None if scan is None else scan.atoms,
    )
