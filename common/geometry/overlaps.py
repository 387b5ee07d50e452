"""Atoms that lie on top of each other: no geometry of a molecule, whatever the elements."""

import numpy

OVERLAP = 0.4
"""[Angstrom] Atoms closer than this overlap: half the bond of H2."""

MAX_PAIR_DISTANCES = 200_000
"""Worked on at a time when looking for overlaps, so that long trajectories need no more memory than short ones."""


def find_overlaps(coords: numpy.ndarray) -> numpy.ndarray:
    """Which conformers have two atoms closer than ``OVERLAP``.

    Args:
        coords: [Angstrom] ``shape=(n_confs, n_atoms, 3)``.

    Returns:
        ``shape=(n_confs,)`` bool.
    """
    first, second = numpy.triu_indices(coords.shape[1], 1)
    overlaps = numpy.zeros(len(coords), dtype=bool)
    step = max(1, MAX_PAIR_DISTANCES // max(1, len(first)))
    for start in range(0, len(coords), step):
        part = coords[start : start + step]
        squares = ((part[:, first] - part[:, second]) ** 2).sum(-1)
        overlaps[start : start + step] = (squares < OVERLAP**2).any(-1)
    return overlaps
