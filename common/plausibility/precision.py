"""Total energies that have been through single precision: near -800 hartree its numbers are 0.04 kcal/mol apart."""

import numpy

from common.plausibility.doubts import Doubt
from common.units import EV_TO_KCAL_PER_MOL, HARTREE_TO_KCAL_PER_MOL, KILOJOULE_PER_KILOCALORIE

UNITS = {
    "hartree": HARTREE_TO_KCAL_PER_MOL,
    "eV": EV_TO_KCAL_PER_MOL,
    "kcal/mol": 1.0,
    "kJ/mol": 1.0 / KILOJOULE_PER_KILOCALORIE,
}
"""[kcal/mol] In which energies may have been rounded."""

MIN_SPACING = 0.004
"""[kcal/mol] Rounding to less than this hurts nobody."""

MIN_CONFS = 4

ON_GRID = 1e-3
"""How near a single-precision number all energies lie, as a part of the distance between two of them."""


def check_precision(energy: numpy.ndarray, offset: float) -> list[Doubt]:
    """Doubts about the digits of total energies.

    Args:
        energy: [kcal/mol] ``shape=(n_confs,)``, relative to ``offset``.
        offset: [kcal/mol] what was subtracted from total energies.
    """
    if len(energy) < MIN_CONFS or numpy.ptp(energy) == 0.0:
        return []
    for unit, factor in UNITS.items():
        total = (energy + offset) / factor
        rounded = total.astype(numpy.float32)
        spacing = numpy.spacing(numpy.abs(rounded).max()).astype(numpy.float64)
        if spacing * factor < MIN_SPACING:
            continue
        distance = numpy.abs(total - rounded.astype(numpy.float64)).max()
        if distance < ON_GRID * spacing:
            return [
                Doubt(
                    "single precision",
                    f"all {len(energy)} energies near {total.mean():.0f} {unit} are float32 numbers, which are "
                    f"{spacing * factor:.3f} kcal/mol apart",
                )
            ]
    return []
