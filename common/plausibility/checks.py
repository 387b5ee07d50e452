"""All checks of one entry."""

import numpy

from common.plausibility.bond_lengths import check_bond_lengths, list_bonds
from common.plausibility.consistency import check_consistency
from common.plausibility.doubts import Doubt
from common.plausibility.magnitudes import check_magnitudes
from common.plausibility.precision import check_precision
from common.plausibility.repeats import check_repeats
from common.plausibility.stretches import check_stretches

VERSION = 1
"""Raised whenever the same entry would raise other doubts."""

MAX_CONFS = 200
"""Looked at in each entry; of more, some throughout."""


def find_doubts(
    smiles: str, coords: numpy.ndarray, energy: numpy.ndarray, offset: float, forces: numpy.ndarray
) -> dict[str, str]:
    """What speaks against an entry, by kind: what was seen.

    Args:
        smiles: fully mapped.
        coords: [Angstrom] ``shape=(n_confs, n_atoms, 3)``.
        energy: [kcal/mol] ``shape=(n_confs,)``, relative to ``offset``; NaN where there is none.
        offset: [kcal/mol] what was subtracted from total energies.
        forces: [kcal/mol/Angstrom] as ``coords``; NaN where there are none.
    """
    if len(coords) > MAX_CONFS:  # runs of neighbours, which the differences of energy need
        n_runs = 8
        length = MAX_CONFS // n_runs
        starts = numpy.linspace(0, len(coords) - length, n_runs).astype(int)
        chosen = numpy.unique((starts[:, None] + numpy.arange(length)).ravel())
        coords, energy, forces = coords[chosen], energy[chosen], forces[chosen]
    bonded = list_bonds(smiles)
    geometry = check_bond_lengths(bonded, coords)
    has_energy = numpy.isfinite(energy)
    doubts: list[Doubt] = geometry + check_repeats(coords, energy) + check_precision(energy[has_energy], offset)
    has_forces = numpy.isfinite(forces).all((1, 2))
    if has_forces.any() and not geometry:  # of coordinates that are wrong, forces say nothing more
        doubts += check_magnitudes(coords[has_forces], forces[has_forces])
        doubts += check_stretches(bonded, coords[has_forces], forces[has_forces])
        both = has_forces & has_energy
        doubts += check_consistency(coords[both], energy[both], forces[both])
    found: dict[str, str] = {}
    for doubt in doubts:
        found.setdefault(doubt.kind, doubt.text)
    return found
