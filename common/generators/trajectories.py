"""A molecule as a sequence of placements: one atom after another, each beside an atom that is already there.

N. W. A. Gebauer, M. Gastegger, S. S. P. Hessmann, K.-R. Müller, K. T. Schütt, Nature Communications 13, 973 (2022).
Atoms are numbered by their distance to the centre of mass. The first is placed from there. Then a focus is drawn among
the atoms that are available, again and again: of its neighbours that are not placed the one nearest to the centre
comes next; where there is none the answer is "stop", and the atom is not available any more. So a molecule of N atoms
takes 2 N steps, N placements and N stops.
"""

import typing

import numba
import numpy
from ase.data import atomic_masses, covalent_radii

STOP = -1
"""In place of the next atom: nothing more beside this focus."""

ORIGIN = -1
"""In place of the focus: the centre of the molecule, in the first step."""


class Trajectory(typing.NamedTuple):
    """The steps of one molecule.

    Attributes:
        focus: the atom beside which the next comes, ``shape=(2 n_atoms,)``; ``ORIGIN`` in the first step.
        atom: the one that is placed, ``shape=(2 n_atoms,)``; ``STOP`` where none is.
        placed_at: the step in which each atom is placed, ``shape=(n_atoms,)``.
    """

    focus: numpy.ndarray
    atom: numpy.ndarray
    placed_at: numpy.ndarray


def sort_atoms(numbers: numpy.ndarray, coords: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """The order of the atoms by their distance to the centre of mass, and the coordinates in it, centred.

    Atoms at one distance keep their order, which symmetric molecules have: it must not matter.

    Args:
        numbers: atomic numbers, ``shape=(n_atoms,)``.
        coords: [Angstrom] ``shape=(n_atoms, 3)``.

    Returns:
        indices ``shape=(n_atoms,)``, and coordinates ``shape=(n_atoms, 3)`` float64.
    """
    masses = atomic_masses[numbers]
    centred = numpy.asarray(coords, dtype=numpy.float64)
    centred = centred - masses @ centred / masses.sum()
    order = numpy.argsort((centred * centred).sum(axis=1), kind="stable")
    return order, centred[order]


def find_neighbors(
    numbers: numpy.ndarray, coords: numpy.ndarray, placement_cutoff: float, radius_factor: float | None
) -> numpy.ndarray:
    """Which atoms may be placed beside which.

    Args:
        numbers: atomic numbers, ``shape=(n_atoms,)``.
        coords: [Angstrom] ``shape=(n_atoms, 3)``.
        placement_cutoff: [Angstrom] no neighbours are further apart.
        radius_factor: nor further than this times the sum of their covalent radii; None where that does not matter.

    Returns:
        ``shape=(n_atoms, n_atoms)`` bool, False on the diagonal.
    """
    distances = numpy.linalg.norm(coords[:, None] - coords[None, :], axis=2)
    limits = numpy.full_like(distances, placement_cutoff)
    if radius_factor is not None:
        radii = covalent_radii[numbers]
        limits = numpy.minimum(limits, radius_factor * (radii[:, None] + radii[None, :]))
    numpy.fill_diagonal(distances, numpy.inf)
    return distances <= limits


def label_fragments(neighbors: numpy.ndarray) -> numpy.ndarray:
    """The connected parts of a molecule: the lowest atom of its part for each atom, ``shape=(n_atoms,)``."""
    labels = numpy.arange(len(neighbors))
    linked = neighbors | numpy.eye(len(neighbors), dtype=bool)
    while True:
        lowest = numpy.where(linked, labels[None, :], len(labels)).min(axis=1)
        if (lowest == labels).all():
            return labels
        labels = lowest


def draw_trajectory(neighbors: numpy.ndarray, random: numpy.random.Generator) -> Trajectory:
    """One of the many sequences in which a molecule may be placed.

    Args:
        neighbors: what :func:`find_neighbors` gives for atoms that are sorted as :func:`sort_atoms` does.
        random: draws the focus of each step.

    Raises:
        ValueError: the molecule is not connected.
    """
    n_atoms = len(neighbors)
    if label_fragments(neighbors).any():
        raise ValueError("not connected: some atoms are no neighbours of any that can be placed before them")
    starts = numpy.concatenate([[0], numpy.cumsum(neighbors.sum(axis=1))])
    focus, atom, placed_at = (numpy.empty(n, dtype=numpy.int64) for n in (2 * n_atoms, 2 * n_atoms, n_atoms))
    draw_placements(starts, numpy.nonzero(neighbors)[1], random.random(2 * n_atoms), focus, atom, placed_at)
    return Trajectory(focus, atom, placed_at)


@numba.njit(cache=True)
def draw_placements(neighbor_starts, neighbors, numbers, focus, atom, placed_at):  # pragma: no cover
    """What :func:`draw_trajectory` does, for those that have many molecules; they are connected.

    Args:
        neighbor_starts: of the molecule's atoms, and the end, ``shape=(n_atoms + 1,)``.
        neighbors: where those are places, atoms counted in the molecule.
        numbers: uniform between 0 and 1, ``shape=(2 n_atoms,)``.
        focus, atom, placed_at: filled.
    """
    n_atoms = len(neighbor_starts) - 1
    placed_at[:n_atoms] = -1
    available = numpy.empty(n_atoms, numpy.int64)
    available[0], n_available = 0, 1
    focus[0], atom[0], placed_at[0] = ORIGIN, 0, 0
    for step in range(1, 2 * n_atoms):
        which = int(numbers[step] * n_available)
        current = available[which]
        focus[step], atom[step] = current, STOP
        for k in range(neighbor_starts[current], neighbor_starts[current + 1]):
            neighbor = neighbors[k]
            if placed_at[neighbor] < 0:
                atom[step], placed_at[neighbor] = neighbor, step
                available[n_available] = neighbor
                n_available += 1
                break
        else:
            available[which : n_available - 1] = available[which + 1 : n_available]
            n_available -= 1
