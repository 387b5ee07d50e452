"""Conformers that occur more than once in an entry."""

import numpy

from common.plausibility.doubts import Doubt

DIGITS = 6
"""Decimal places [Angstrom] to which coordinates of repeated conformers agree."""

MAX_DIFFERENCE = 0.1
"""[kcal/mol] Energies of one geometry at one level of theory differ less."""


def check_repeats(coords: numpy.ndarray, energy: numpy.ndarray) -> list[Doubt]:
    """Doubts about conformers that are the same.

    Args:
        coords: [Angstrom] ``shape=(n_confs, n_atoms, 3)``.
        energy: [kcal/mol] ``shape=(n_confs,)``.
    """
    first: dict[bytes, int] = {}
    repeated, differing = 0, 0.0
    for i, conformer in enumerate(numpy.round(coords, DIGITS) + 0.0):
        j = first.setdefault(conformer.tobytes(), i)
        if j != i:
            repeated += 1
            differing = max(differing, abs(float(energy[i] - energy[j])))
    if not repeated:
        return []
    doubts = [Doubt("duplicates", f"{repeated} of {len(coords)} conformers repeat another")]
    if differing > MAX_DIFFERENCE:
        doubts.append(
            Doubt("unrelated", f"the same geometry occurs with energies that differ by {differing:.1f} kcal/mol")
        )
    return doubts
