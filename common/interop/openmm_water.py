"""Flexible SPC water in a periodic box, by OpenMM: classical reference data for a liquid.

SPC/Fw of Y. Wu, H. L. Tepper, G. A. Voth, J. Chem. Phys. 124, 024503 (2006), table I; particle-mesh Ewald,
Lennard-Jones switched off towards half the box. Not quantum data: a potential that learns from it learns this model.
"""

import numpy

from common.interop.openmm_export import NANOMETER_PER_ANGSTROM, load_openmm
from common.units import KILOJOULE_PER_KILOCALORIE

BOND_LENGTH, BOND_STIFFNESS = 1.012, 1059.162
"""[Angstrom], [kcal/mol/Angstrom²] of k/2 (r - r0)²."""

ANGLE, ANGLE_STIFFNESS = 113.24, 75.90
"""[degree], [kcal/mol/radian²] of k/2 (θ - θ0)²."""

OXYGEN_CHARGE, SIGMA, EPSILON = -0.82, 3.165492, 0.1554253
"""[e], [Angstrom], [kcal/mol]."""

MASSES = (15.9994, 1.008, 1.008)
"""[amu]"""

EWALD_TOLERANCE = 1e-5
LARGEST_CUTOFF = 9.0
"""[Angstrom]"""

SWITCH_SHARE = 0.85
"""Of the cutoff, where Lennard-Jones begins to be switched off."""

SMALLEST_EDGE = 7.0
"""[Angstrom] of a box in which a molecule does not meet its own image within the first shell."""

MINIMIZATION_STEPS = 500


class FlexibleWater:
    """A cubic box of water molecules; atoms in the order O, H, H."""

    def __init__(self, n_molecules: int, edge: float):
        """Builds the system of ``n_molecules`` in a box of ``edge`` [Angstrom].

        Raises:
            ValueError: the box is too small.
            RuntimeError: OpenMM is not installed.
        """
        if edge < SMALLEST_EDGE:
            raise ValueError(f"a box of {edge:g} Å is too small for a liquid; at least {SMALLEST_EDGE:g} Å are needed")
        self._openmm = openmm = load_openmm()
        self.n_molecules, self.edge = n_molecules, edge
        system = openmm.System()
        system.setDefaultPeriodicBoxVectors(*(NANOMETER_PER_ANGSTROM * edge * row for row in numpy.eye(3)))
        for mass in MASSES * n_molecules:
            system.addParticle(mass)
        for force in (self._make_bonds(), self._make_angles(), self._make_nonbonded()):
            system.addForce(force)
        platform = openmm.Platform.getPlatformByName("CPU")
        self._context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform, {"Threads": "1"})

    def _make_bonds(self):
        stiffness = BOND_STIFFNESS * KILOJOULE_PER_KILOCALORIE / NANOMETER_PER_ANGSTROM**2
        bonds = self._openmm.HarmonicBondForce()
        for oxygen in range(0, 3 * self.n_molecules, 3):
            for hydrogen in (oxygen + 1, oxygen + 2):
                bonds.addBond(oxygen, hydrogen, NANOMETER_PER_ANGSTROM * BOND_LENGTH, stiffness)
        return bonds

    def _make_angles(self):
        angles = self._openmm.HarmonicAngleForce()
        for oxygen in range(0, 3 * self.n_molecules, 3):
            stiffness = ANGLE_STIFFNESS * KILOJOULE_PER_KILOCALORIE
            angles.addAngle(oxygen + 1, oxygen, oxygen + 2, numpy.radians(ANGLE), stiffness)
        return angles

    def _make_nonbonded(self):
        force = self._openmm.NonbondedForce()
        force.setNonbondedMethod(force.PME)
        cutoff = NANOMETER_PER_ANGSTROM * min(LARGEST_CUTOFF, 0.499 * self.edge)
        force.setCutoffDistance(cutoff)
        force.setUseSwitchingFunction(True)
        force.setSwitchingDistance(SWITCH_SHARE * cutoff)
        force.setEwaldErrorTolerance(EWALD_TOLERANCE)
        force.setUseDispersionCorrection(False)  # a constant at constant volume
        epsilon = EPSILON * KILOJOULE_PER_KILOCALORIE
        for oxygen in range(0, 3 * self.n_molecules, 3):
            force.addParticle(OXYGEN_CHARGE, NANOMETER_PER_ANGSTROM * SIGMA, epsilon)
            for _ in range(2):
                force.addParticle(-0.5 * OXYGEN_CHARGE, NANOMETER_PER_ANGSTROM, 0.0)
            for first, second in ((0, 1), (0, 2), (1, 2)):
                force.addException(oxygen + first, oxygen + second, 0.0, NANOMETER_PER_ANGSTROM, 0.0)
        return force

    @property
    def smiles(self) -> str:
        """Mapped SMILES of all molecules."""
        parts = (f"[O:{k}]([H:{k + 1}])[H:{k + 2}]" for k in range(1, 3 * self.n_molecules, 3))
        return ".".join(parts)

    @property
    def masses(self) -> numpy.ndarray:
        """[amu] ``shape=(n_atoms,)``."""
        return numpy.array(MASSES * self.n_molecules)

    def compute(self, coords: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
        """The energy [kcal/mol], ``shape=()``, and the forces [kcal/mol/Angstrom], ``shape=(n_atoms, 3)``.

        Args:
            coords: [Angstrom] ``shape=(n_atoms, 3)``, inside the box or not.
        """
        unit = self._openmm.unit
        self._context.setPositions(NANOMETER_PER_ANGSTROM * coords)
        state = self._context.getState(getEnergy=True, getForces=True)
        energy = state.getPotentialEnergy().value_in_unit(unit.kilocalories_per_mole)
        forces = state.getForces(asNumpy=True).value_in_unit(unit.kilocalories_per_mole / unit.angstrom)
        return numpy.array(energy), numpy.array(forces, dtype=numpy.float64)

    def make_start(self, seed: int) -> numpy.ndarray:
        """A relaxed geometry [Angstrom] of molecules that began on a lattice, turned at random."""
        random = numpy.random.default_rng(seed)
        n_cells = int(numpy.ceil(self.n_molecules ** (1 / 3)))
        sites = numpy.stack(numpy.meshgrid(*[numpy.arange(n_cells)] * 3, indexing="ij"), -1).reshape(-1, 3)
        chosen = sites[random.permutation(len(sites))[: self.n_molecules]] * (self.edge / n_cells)
        half = numpy.radians(0.5 * ANGLE)
        shape = BOND_LENGTH * numpy.array(
            [[0.0, 0.0, 0.0], [numpy.sin(half), numpy.cos(half), 0.0], [-numpy.sin(half), numpy.cos(half), 0.0]]
        )
        coords = numpy.concatenate([site + shape @ _draw_rotation(random) for site in chosen])
        self._context.setPositions(NANOMETER_PER_ANGSTROM * coords)
        self._openmm.LocalEnergyMinimizer.minimize(self._context, maxIterations=MINIMIZATION_STEPS)
        positions = self._context.getState(getPositions=True).getPositions(asNumpy=True)
        return numpy.array(positions.value_in_unit(self._openmm.unit.angstrom), dtype=numpy.float64)


def _draw_rotation(random: numpy.random.Generator) -> numpy.ndarray:
    rotation, triangle = numpy.linalg.qr(random.standard_normal((3, 3)))
    rotation = rotation * numpy.sign(numpy.diagonal(triangle))
    return rotation * numpy.sign(numpy.linalg.det(rotation))
