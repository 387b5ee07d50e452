"""A geometry brought to a minimum of any level of theory, in few calculations.

Quasi-Newton steps with the Hessian of Broyden, Fletcher, Goldfarb and Shanno (Nocedal, Wright, Numerical Optimization,
2nd edition, section 6.1), which starts from springs between atoms that are one, two and three bonds apart: half as many
calculations as from a multiple of the unit matrix, for molecules of a dozen atoms. The idea is Schlegel's (Theor. Chim.
Acta 66, 333, 1984) and Lindh's (Chem. Phys. Lett. 241, 423, 1995); pairs alone, without angles, are enough here.
"""

import dataclasses
from collections.abc import Callable

import numpy
from ase.data import covalent_radii

from common.calculators.interface import Calculator, EnergyForces

BOND_FACTOR = 1.25
"""Atoms nearer than this times the sum of their covalent radii are bonded."""

SPRINGS = (1000.0, 200.0, 10.0)
"""[kcal/mol/Angstrom^2] between atoms one, two and three bonds apart."""

LEAST_CURVATURE = 120.0
"""[kcal/mol/Angstrom^2] Softer directions are taken to be as stiff as this: the springs know nothing of torsions."""

MAX_STEP = 0.2
"""[Angstrom] No atom moves further in one step."""

LEAST_STEP = 1e-4
"""[Angstrom] Where steps shorter than this are still uphill, energy and forces do not belong together."""


@dataclasses.dataclass(frozen=True)
class Relaxation:
    """What a relaxation came to.

    Attributes:
        coords: [Angstrom] ``shape=(n_atoms, 3)``.
        energy: [kcal/mol].
        max_force: [kcal/mol/Angstrom] the largest force on an atom.
        n_calculations: how many energies it took.
        converged: True where ``max_force`` is below what was asked for.
    """

    coords: numpy.ndarray
    energy: float
    max_force: float
    n_calculations: int
    converged: bool


def relax(
    calculator: Calculator,
    numbers: numpy.ndarray,
    coords: numpy.ndarray,
    charge: int = 0,
    max_force: float = 1.0,
    max_calculations: int = 200,
    on_step: Callable[[numpy.ndarray, float, numpy.ndarray], None] | None = None,
) -> Relaxation:
    """Moves the atoms downhill until no force is larger than asked.

    Args:
        calculator: the level of theory.
        numbers: atomic numbers, ``shape=(n_atoms,)``.
        coords: [Angstrom] where to start, ``shape=(n_atoms, 3)``.
        charge: [e].
        max_force: [kcal/mol/Angstrom] on any atom at the end.
        max_calculations: after so many it ends, converged or not.
        on_step: called with coordinates, energy and forces of every calculation.

    Raises:
        CalculationError: the level fails at a geometry on the way.
    """

    def calculate(at: numpy.ndarray) -> EnergyForces:
        result = calculator(numbers, at, charge)
        if on_step is not None:
            on_step(at, *result)
        return result

    x = numpy.array(coords, dtype=numpy.float64)
    energy, forces = calculate(x)
    hessian = build_spring_hessian(numbers, x)
    longest = MAX_STEP
    n_calculations = 1
    while _find_largest(forces) > max_force and n_calculations < max_calculations and longest > LEAST_STEP:
        step = _find_step(hessian, forces, longest)
        new_energy, new_forces = calculate(x + step)
        n_calculations += 1
        hessian = _update(hessian, step.ravel(), (forces - new_forces).ravel())
        if new_energy > energy:
            longest = 0.5 * _find_largest(step)
            continue
        x, energy, forces = x + step, new_energy, new_forces
        longest = min(MAX_STEP, 2.0 * longest)
    largest = _find_largest(forces)
    return Relaxation(x, float(energy), largest, n_calculations, largest <= max_force)


def build_spring_hessian(numbers: numpy.ndarray, coords: numpy.ndarray) -> numpy.ndarray:
    """The second derivatives of springs along all pairs up to three bonds apart, none of them stretched.

    Args:
        numbers: atomic numbers, ``shape=(n_atoms,)``.
        coords: [Angstrom] ``shape=(n_atoms, 3)``.

    Returns:
        [kcal/mol/Angstrom^2] ``shape=(3 n_atoms, 3 n_atoms)``.
    """
    n_atoms = len(numbers)
    delta = coords[:, None] - coords[None, :]
    distances = numpy.linalg.norm(delta, axis=2) + numpy.eye(n_atoms)
    radii = covalent_radii[numbers]
    bonded = (distances < BOND_FACTOR * (radii[:, None] + radii[None, :])) & ~numpy.eye(n_atoms, dtype=bool)
    reached = numpy.eye(n_atoms, dtype=bool)
    stiffness = numpy.zeros((n_atoms, n_atoms))
    for spring in SPRINGS:
        further = (reached @ bonded) & ~reached
        stiffness[further] = spring
        reached |= further
    direction = delta / distances[..., None]
    blocks = stiffness[..., None, None] * direction[..., :, None] * direction[..., None, :]
    hessian = -blocks.transpose(0, 2, 1, 3)
    atoms = numpy.arange(n_atoms)
    hessian[atoms, :, atoms, :] = blocks.sum(axis=1)
    return hessian.reshape(3 * n_atoms, 3 * n_atoms)


def _find_step(hessian: numpy.ndarray, forces: numpy.ndarray, longest: float) -> numpy.ndarray:
    curvatures, modes = numpy.linalg.eigh(hessian)
    curvatures = numpy.maximum(numpy.abs(curvatures), LEAST_CURVATURE)
    step = (modes @ ((modes.T @ forces.ravel()) / curvatures)).reshape(-1, 3)
    return step * min(1.0, longest / _find_largest(step))


def _update(hessian: numpy.ndarray, step: numpy.ndarray, change: numpy.ndarray) -> numpy.ndarray:
    """The Hessian after a step changed the gradient; as it is where the curvature along the step is not positive."""
    along = float(step @ change)
    if along <= 1e-6 * float(step @ step):
        return hessian
    product = hessian @ step
    curvature = float(step @ product)
    if curvature <= 0.0:  # the six motions of the whole have no springs
        return hessian + numpy.outer(change, change) / along
    return hessian + numpy.outer(change, change) / along - numpy.outer(product, product) / curvature


def _find_largest(vectors: numpy.ndarray) -> float:
    return float(numpy.linalg.norm(vectors, axis=1).max())
