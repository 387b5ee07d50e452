"""Which molecules can be placed atom by atom: those whose neighbours hang together."""

import collections
import typing
from collections.abc import Sequence

import numpy
from rdkit import Chem

from common.data.molecule_database import Molecule
from common.generators.trajectories import find_neighbors, label_fragments


class Connected(typing.NamedTuple):
    """Which molecules can be placed atom by atom.

    Attributes:
        is_connected: ``shape=(n_molecules,)`` bool.
        gaps: of the others, how often the shortest way between two parts leads from which element to which.
    """

    is_connected: numpy.ndarray
    gaps: collections.Counter[str]


def find_connected(molecules: Sequence[Molecule], placement_cutoff: float, radius_factor: float | None) -> Connected:
    """Tells molecules whose neighbours hang together from those that fall apart.

    Args:
        molecules: any.
        placement_cutoff, radius_factor: which atoms are neighbours, see
            :func:`common.generators.trajectories.find_neighbors`.
    """
    table = Chem.GetPeriodicTable()
    is_connected, gaps = numpy.ones(len(molecules), dtype=bool), collections.Counter[str]()
    for i, molecule in enumerate(molecules):
        labels = label_fragments(find_neighbors(molecule.numbers, molecule.coords, placement_cutoff, radius_factor))
        if not labels.any():
            continue
        is_connected[i] = False
        distances = numpy.linalg.norm(molecule.coords[:, None] - molecule.coords[None, :], axis=2)
        distances[labels[:, None] == labels[None, :]] = numpy.inf
        pair = numpy.unravel_index(distances.argmin(), distances.shape)
        gaps["-".join(sorted(table.GetElementSymbol(int(molecule.numbers[atom])) for atom in pair))] += 1
    return Connected(is_connected, gaps)
