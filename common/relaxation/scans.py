"""Torsion scans, told from other paths by their geometries, and the barriers of their profiles.

A scan is an entry whose conformers hold one proper dihedral on an even grid; no data set has to say so.
"""

import itertools
import typing

import numpy
import torch

from common.forcefields.tensors import TensorTopology, ValenceParameterMap
from common.geometry.internal_coordinates import compute_dihedrals

MIN_SCAN_LENGTH = 8
"""Fewer conformers are no scan."""

MIN_SCAN_RANGE = 60.0
"""[degree] that a scanned dihedral covers at least."""

MAX_UNEVENNESS = 0.1
"""Largest standard deviation of the steps of a scan, over their mean. A scanned dihedral is held on a grid: less than
0.001, in the example. Those of trajectories and random conformers have 0.5 to 4."""

MIN_BARRIER = 0.5
"""[kcal/mol] A maximum of the quantum profile that rises less above either minimum beside it is no barrier."""

SHIFT = 1
"""Points by which the maximum and minima of a force field may lie elsewhere than those of the reference."""


class Scan(typing.NamedTuple):
    """A dihedral that was scanned.

    ``atoms`` are its four atoms, counted from 0; ``angles`` [degree] of each conformer.
    """

    atoms: tuple[int, int, int, int]
    angles: numpy.ndarray


def find_scan(topology: TensorTopology, coords: numpy.ndarray) -> Scan | None:
    """The one dihedral that the conformers cover in even steps, if there is one.

    Args:
        topology: of the molecule.
        coords: [Angstrom] ``shape=(n_confs, n_atoms, 3)``.
    """
    torsions = topology.parameters.get("ProperTorsions")
    if len(coords) < MIN_SCAN_LENGTH or not isinstance(torsions, ValenceParameterMap):
        return None
    dihedrals = torch.unique(torsions.particle_idxs, dim=0)
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


class Barrier(typing.NamedTuple):
    """A maximum of a profile and the lower one of the minima beside it, as places in the profile."""

    top: int
    bottom: int


def is_closed(angles: numpy.ndarray) -> bool:
    """Whether a scan goes all the way round: no step between neighbouring angles is much wider than the others.

    Args:
        angles: [degree] ascending, ``shape=(n_points,)``.
    """
    steps = numpy.diff(numpy.append(angles, angles[0] + 360.0))
    return bool(steps[-1] < 1.5 * numpy.median(steps))


def find_barriers(energies: numpy.ndarray, closed: bool) -> list[Barrier]:
    """The maxima between two minima of a profile, each with the lower of the two; none where it has one minimum.

    A maximum that rises by less than ``MIN_BARRIER`` above either minimum is passed over, and these minima become one.

    Args:
        energies: [kcal/mol] along the scan, ``shape=(n_points,)``.
        closed: whether the last point is a neighbour of the first.
    """
    n = len(energies)
    first = int(numpy.argmax(energies)) if closed else 0
    places = [(first + i) % n for i in range(n + closed)]  # a closed path begins and ends at its highest point
    path = energies[places]
    turns = _drop_small_rises(path, [i for i in range(len(path)) if _is_turn(path, i)], closed)
    barriers = []
    for i, turn in enumerate(turns[:-1]):
        beside = [turns[i - 1], turns[i + 1]] if i else [turns[1], turns[-2]] if closed else []
        if beside and all(path[turn] > path[other] for other in beside):
            bottom = min(beside, key=lambda j: path[j])
            if path[turn] - path[bottom] >= MIN_BARRIER:
                barriers.append(Barrier(places[turn], places[bottom]))
    return barriers


def _drop_small_rises(path: numpy.ndarray, turns: list[int], closed: bool) -> list[int]:
    """Maxima and minima in turn, without those between which the path hardly rises, the smallest rise first."""
    turns = list(turns)
    while len(turns) > 3:
        rises = [abs(path[b] - path[a]) for a, b in itertools.pairwise(turns)]
        least = int(numpy.argmin(rises))
        if rises[least] >= MIN_BARRIER:
            break
        if not closed and least in (0, len(rises) - 1):  # the end of the path takes the place of the turn beside it
            del turns[1 if least == 0 else -2]
        else:
            least = min(max(least, 1), len(rises) - 2)  # the ends of a closed path stay
            del turns[least : least + 2]
    return turns


def _is_turn(path: numpy.ndarray, i: int) -> bool:
    """Whether a profile has a maximum, a minimum or an end there; of equal values the first counts."""
    if i in (0, len(path) - 1):
        return True
    before, after = path[i] - path[i - 1], path[i + 1] - path[i]
    return bool(before > 0.0 >= after or before < 0.0 <= after)


def measure_barrier(energies: numpy.ndarray, barrier: Barrier, closed: bool) -> float:
    """The height [kcal/mol] that a profile has at a barrier of the reference: top and bottom may lie a point aside.

    Args:
        energies: [kcal/mol] of a force field, at the points of the reference.
        barrier: of the reference.
        closed: whether the last point is a neighbour of the first.
    """
    n = len(energies)

    def take(place: int) -> numpy.ndarray:
        around = [place + shift for shift in range(-SHIFT, SHIFT + 1)]
        return energies[[i % n for i in around] if closed else [i for i in around if 0 <= i < n]]

    return float(take(barrier.top).max() - take(barrier.bottom).min())
