"""B3LYP-D3(BJ)/DZVP, the level of the OpenFF data sets, by PySCF: some seconds for a small molecule.

PySCF and pyscf-dispersion are optional. Density fitting, and a gradient that belongs to the energy as computed, grid
and all.
"""

import dataclasses

import numpy

from common.calculators.interface import CalculationError, EnergyForces, check_closed_shell
from common.units import BOHR_TO_ANGSTROM, HARTREE_PER_BOHR_TO_KCAL_PER_MOL_ANGSTROM, HARTREE_TO_KCAL_PER_MOL


@dataclasses.dataclass(frozen=True)
class FunctionalSettings:
    """What determines the energy; the defaults are the OpenFF default level.

    Attributes:
        functional, basis, auxiliary_basis, dispersion: by PySCF's names.
        grid_level: PySCF's quality of the integration grid, 0 to 9.
        energy_tolerance: [hartree] of the SCF.
    """

    functional: str = "b3lyp"
    basis: str = "dzvp"
    auxiliary_basis: str = "def2-universal-jkfit"
    dispersion: str = "d3bj"
    grid_level: int = 3
    energy_tolerance: float = 1e-8


OPENFF_DEFAULT = FunctionalSettings()


def compute_density_functional(
    settings: FunctionalSettings, numbers: numpy.ndarray, coords: numpy.ndarray, charge: int
) -> tuple[float, numpy.ndarray]:
    """One single point in atomic units.

    Args:
        settings: the level.
        numbers: atomic numbers, ``shape=(n_atoms,)``.
        coords: [bohr] ``shape=(n_atoms, 3)``.
        charge: [e].

    Returns:
        the energy [hartree] and its gradient [hartree/bohr] ``shape=(n_atoms, 3)``.

    Raises:
        CalculationError: the SCF does not converge, also not with the second-order solver.
    """
    from ase.data import chemical_symbols
    from pyscf import dft, gto

    symbols = [chemical_symbols[number] for number in numbers]
    mol = gto.M(
        atom=list(zip(symbols, coords, strict=True)), unit="Bohr", basis=settings.basis, charge=charge, verbose=0
    )
    field = dft.RKS(mol, xc=settings.functional).density_fit(auxbasis=settings.auxiliary_basis)
    field.disp = settings.dispersion
    field.grids.level = settings.grid_level
    field.conv_tol = settings.energy_tolerance
    energy = field.kernel()
    if not field.converged:
        field = field.newton()
        energy = field.kernel()
    if not field.converged:
        raise CalculationError("the SCF does not converge, also not with the second-order solver")
    method = field.nuc_grad_method()
    method.grid_response = True
    return float(energy), numpy.array(method.kernel())


@dataclasses.dataclass(frozen=True)
class DensityFunctional:
    """A :class:`common.calculators.interface.Calculator`."""

    settings: FunctionalSettings = OPENFF_DEFAULT

    def __call__(self, numbers: numpy.ndarray, coords: numpy.ndarray, charge: int) -> EnergyForces:
        check_closed_shell(numbers, charge)
        energy, gradient = compute_density_functional(self.settings, numbers, coords / BOHR_TO_ANGSTROM, charge)
        return EnergyForces(energy * HARTREE_TO_KCAL_PER_MOL, -gradient * HARTREE_PER_BOHR_TO_KCAL_PER_MOL_ANGSTROM)
