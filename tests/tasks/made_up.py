"""A molecule whose energy is springs between all its atoms: smooth, quick, and easy to learn."""

import time

import numpy

from common.calculators.interface import CalculationError, EnergyForces
from common.neural.atom_energies import NetworkSettings
from common.neural.painn import PaiNNSettings
from common.neural.schnet import SchNetSettings
from common.tasks.labels import Labels, make_labels

NUMBERS = numpy.array([8, 1, 1])
SMILES = "[O:1]([H:2])[H:3]"
COORDS = numpy.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])
K = 300.0  # [kcal/mol/Angstrom^2]
OFFSET = -5000.0  # [kcal/mol]

LEVEL = "function:tests.tasks.made_up:springs"
FRAGILE = "function:tests.tasks.made_up:fragile_springs"

PAINN = NetworkSettings(architecture="painn", trunk=PaiNNSettings(n_channels=8, n_interactions=1, cutoff=4.0))
SCHNET = NetworkSettings(trunk=SchNetSettings(n_channels=8, n_filters=8, n_interactions=1, n_gaussians=10, cutoff=4.0))


def springs(numbers, coords, charge):
    """½ K Σ (r - r₀)² over all pairs, around ``COORDS``."""
    i, j = numpy.triu_indices(len(numbers), 1)
    rest = numpy.linalg.norm(COORDS[i] - COORDS[j], axis=1)
    difference = coords[i] - coords[j]
    length = numpy.linalg.norm(difference, axis=1)
    pull = -K * (length - rest)[:, None] * difference / length[:, None]
    forces = numpy.zeros_like(coords)
    numpy.add.at(forces, i, pull)
    numpy.add.at(forces, j, -pull)
    return EnergyForces(OFFSET + 0.5 * K * float(((length - rest) ** 2).sum()), forces)


def fragile_springs(numbers, coords, charge):
    """The same, but a level that fails where a spring is stretched far."""
    result = springs(numbers, coords, charge)
    if result.energy > OFFSET + 2.0:
        raise CalculationError("the SCF does not converge")
    return result


def draw_coords(n: int, seed: int, width: float = 0.08) -> numpy.ndarray:
    """Displaced geometries [Angstrom], ``shape=(n, 3, 3)``."""
    return COORDS + width * numpy.random.default_rng(seed).standard_normal((n, 3, 3))


def draw_labels(n: int, seed: int, width: float = 0.08) -> Labels:
    coords = draw_coords(n, seed, width)
    found = [springs(NUMBERS, each, 0) for each in coords]
    return make_labels([0] * n, [NUMBERS] * n, list(coords), [each.energy for each in found], [e.forces for e in found])


def slow_springs(numbers, coords, charge):
    """The same, taking as long as a calculation that is worth a campaign would, in small."""
    time.sleep(0.1)
    return springs(numbers, coords, charge)


def costly_springs(numbers, coords, charge):
    """The same, slow enough that who sees it at work finds it at work a moment later."""
    time.sleep(1.0)
    return springs(numbers, coords, charge)
