"""Whether energies and forces are of one potential, by differences of energy between conformers that are near.

From x1 to x2 a potential rises by -1/2 (F1 + F2).(x2 - x1), up to third order of the step. Conformers are superposed
first, which turns the forces along; along an optimisation, a scan or a trajectory, neighbours are near enough.
"""

import numpy

from common.plausibility.doubts import Doubt

MAX_PAIRS = 24
"""Pairs of conformers looked at in an entry."""

MAX_STEP = 0.25
"""[Angstrom] Root mean square distance of two conformers beyond which nothing is said."""

MIN_PAIRS = 3

MIN_WORK = 0.05
"""[kcal/mol] Root mean square of what the forces predict below which the energies' own noise counts."""

MIN_CORRELATION = 0.8
"""Between predicted and found differences, for their ratio to mean something."""

MAX_UNRELATED = 0.2
"""Below this correlation, of steps that are small, energies and forces have nothing to do with each other."""

SMALL_STEP = 0.06
"""[Angstrom] Steps for which the trapezoid rule holds to a few per cent."""

UNITS = {
    "the energies in kJ/mol, the forces in kcal/mol": 4.184,
    "the energies in kcal/mol, the forces in kJ/mol": 1.0 / 4.184,
    "the energies in hartree": 1.0 / 627.5,
    "the energies in eV": 1.0 / 23.06,
    "the forces in hartree/bohr": 1185.8,
    "the forces in hartree/Angstrom": 627.5,
    "the forces in eV/Angstrom": 23.06,
    "the forces by bohr, or the coordinates in bohr": 0.529,
    "the forces by bohr": 1.89,
}
"""Ratios of found to predicted differences, and what makes them."""

PLAUSIBLE = (0.6, 1.6)


def superpose_pairs(first: numpy.ndarray, second: numpy.ndarray) -> numpy.ndarray:
    """The proper rotations that bring each of ``second`` nearest to ``first``, ``shape=(n_pairs, 3, 3)``.

    Kabsch, Acta Cryst. A32, 922 (1976); ``second @ rotation.transpose`` lies on ``first``.

    Args:
        first, second: about their centres, ``shape=(n_pairs, n_atoms, 3)``.
    """
    u, _, vt = numpy.linalg.svd(first.transpose(0, 2, 1) @ second)
    u[:, :, 2] *= numpy.sign(numpy.linalg.det(u) * numpy.linalg.det(vt))[:, None]
    return u @ vt


def compare_differences(
    coords: numpy.ndarray, energy: numpy.ndarray, forces: numpy.ndarray
) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """Differences of energy between neighbouring conformers as found and as the forces predict, and the steps.

    Args:
        coords: [Angstrom] ``shape=(n_confs, n_atoms, 3)``.
        energy: [kcal/mol] ``shape=(n_confs,)``.
        forces: [kcal/mol/Angstrom] as ``coords``.

    Returns:
        found and predicted [kcal/mol] and root mean square steps [Angstrom], of those pairs that are near.
    """
    starts = numpy.unique(numpy.linspace(0, len(coords) - 2, min(MAX_PAIRS, len(coords) - 1)).astype(int))
    centred = coords - coords.mean(1, keepdims=True)
    first, second = centred[starts], centred[starts + 1]
    back = superpose_pairs(first, second).transpose(0, 2, 1)
    steps = second @ back - first
    mean_forces = 0.5 * (forces[starts] + forces[starts + 1] @ back)
    sizes = numpy.sqrt((steps**2).sum(-1).mean(-1))
    near = (sizes < MAX_STEP) & (sizes > 1e-6)
    predicted = -(mean_forces * steps).sum((1, 2))
    return (energy[starts + 1] - energy[starts])[near], predicted[near], sizes[near]


def check_consistency(coords: numpy.ndarray, energy: numpy.ndarray, forces: numpy.ndarray) -> list[Doubt]:
    """Doubts about sign and units of forces and energies; the arguments are those of :func:`compare_differences`."""
    if len(coords) < MIN_PAIRS + 1:
        return []
    found, predicted, sizes = compare_differences(coords, energy, forces)
    norms = float((found**2).sum()), float((predicted**2).sum())
    if len(found) < MIN_PAIRS or norms[1] < MIN_WORK**2 * len(found):
        return []
    product = float((found * predicted).sum())
    correlation = product / max((norms[0] * norms[1]) ** 0.5, 1e-300)
    ratio = (norms[0] / norms[1]) ** 0.5
    seen = f"energies of near conformers change by {ratio * numpy.sign(correlation):.3g} times what the forces say"
    if correlation <= -MIN_CORRELATION:
        return [Doubt("gradients", seen)]
    if correlation < MIN_CORRELATION:
        is_small = float(numpy.median(sizes)) < SMALL_STEP and len(found) >= 2 * MIN_PAIRS
        if abs(correlation) < MAX_UNRELATED and is_small:
            return [Doubt("unrelated", f"of near conformers, energies and forces correlate by {correlation:.2f} only")]
        return []
    if PLAUSIBLE[0] < ratio < PLAUSIBLE[1]:
        return []
    unit = min(UNITS, key=lambda name: abs(numpy.log(ratio / UNITS[name])))
    return [Doubt("energy unit", f"{seen}: {unit}?")]
