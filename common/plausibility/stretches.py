"""The sign and unit of forces by the bonds of hydrogen, which every organic molecule has and which hardly differ.

A hydrogen hangs on a single bond and is light: the force on it along this bond is that of the stretch, F = -k (r - r0),
and k is 600 to 1100 kcal/mol/Angstrom^2 with carbon, nitrogen and oxygen, by any quantum method. So the slope of the
force against the length says which sign the forces have and whether their unit is the right one.
"""

import numpy

from common.plausibility.bond_lengths import Bonded
from common.plausibility.doubts import Doubt

TYPICAL = 800.0
"""[kcal/mol/Angstrom^2] The constant of an X-H bond; carbon's is 700, oxygen's 1,050, by harmonic frequencies."""

ELEMENTS = (6, 7, 8)
"""What the hydrogen is bonded to for its constant to be near ``TYPICAL``."""

MIN_DEVIATION = 0.004
"""[Angstrom] Root mean square change of the bonds below which other motions drown the slope."""

MIN_POINTS = 6

MIN_CORRELATION = 0.7
"""Between length and force: of what scatters more than this nothing is said."""

PLAUSIBLE = (0.45, 2.0)
"""Of the constant over ``TYPICAL``."""

UNITS = {
    "kJ/mol": 4.184,
    "gradients in hartree/bohr": 1.0 / 1185.8,
    "eV/Angstrom": 1.0 / 23.06,
    "hartree/Angstrom": 1.0 / 627.5,
    "kcal/mol/bohr": 0.529,
    "kcal/mol/Angstrom times the Angstrom in a bohr twice": 1.89,
    "kcal/mol/nm": 0.1,
    "kJ/mol/nm": 41.84,
}
"""By what forces are too large if they are in another unit than is said."""


def estimate_constant(bonded: Bonded, coords: numpy.ndarray, forces: numpy.ndarray) -> tuple[float, float] | None:
    """The constant of the bonds of hydrogen to C, N and O, and how well it holds; None where they hardly move.

    Each bond counts by its deviations from its own mean length: which length is that of its minimum need not be known.

    Args:
        bonded: of the molecule.
        coords: [Angstrom] ``shape=(n_confs, n_atoms, 3)``.
        forces: [kcal/mol/Angstrom] the same shape.

    Returns:
        the constant [kcal/mol/Angstrom^2], negative for gradients, and the correlation of length and force, or None.
    """
    bonds = bonded.hydrogens[numpy.isin(bonded.heavier, ELEMENTS)]
    vectors = coords[:, bonds[:, 0]] - coords[:, bonds[:, 1]]
    lengths = numpy.linalg.norm(vectors, axis=-1)
    if lengths.size < MIN_POINTS or len(coords) < 2:
        return None
    along = numpy.einsum("cbx,cbx->cb", forces[:, bonds[:, 0]], vectors) / lengths
    x, y = lengths - lengths.mean(0), along - along.mean(0)
    square = float((x * x).sum())
    if square < MIN_DEVIATION**2 * x.size:
        return None
    product, spread = float((x * y).sum()), float((y * y).sum())
    if spread == 0.0:
        return None
    return -product / square, -product / (square * spread) ** 0.5


def check_stretches(bonded: Bonded, coords: numpy.ndarray, forces: numpy.ndarray) -> list[Doubt]:
    """Doubts about sign and unit of the forces; the arguments are those of :func:`estimate_constant`."""
    estimate = estimate_constant(bonded, coords, forces)
    if estimate is None or abs(estimate[1]) < MIN_CORRELATION:
        return []
    constant, _ = estimate
    seen = f"the bonds of hydrogen have a force constant of {constant:.3g} kcal/mol/A^2, where about 800 are usual"
    doubts = [Doubt("gradients", seen)] if constant < 0.0 else []
    ratio = abs(constant) / TYPICAL
    if PLAUSIBLE[0] < ratio < PLAUSIBLE[1]:
        return doubts
    unit = min(UNITS, key=lambda name: abs(numpy.log(ratio / UNITS[name])))
    if unit == "kJ/mol":
        return [*doubts, Doubt("kJ/mol", seen)]
    return [*doubts, Doubt("force unit", f"{seen}: {unit}?")]
