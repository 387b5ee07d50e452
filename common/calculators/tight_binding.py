"""GFN2-xTB and GFN1-xTB by tblite: a millisecond for a small molecule."""

import dataclasses
import typing

import numpy

from common.calculators.interface import CalculationError, EnergyForces, check_closed_shell
from common.units import BOHR_TO_ANGSTROM, HARTREE_PER_BOHR_TO_KCAL_PER_MOL_ANGSTROM, HARTREE_TO_KCAL_PER_MOL

GFN2 = "GFN2-xTB"

METHODS = (GFN2, "GFN1-xTB")
"""Bannwarth, Ehlert, Grimme, JCTC 15, 1652 (2019); Grimme, Bannwarth, Shushkov, JCTC 13, 1989 (2017)."""


class ElectronicStructure(typing.NamedTuple):
    """What a single point says of the electrons.

    Attributes:
        energy: [kcal/mol].
        homo: [kcal/mol] energy of the highest occupied orbital.
        lumo: [kcal/mol] energy of the lowest unoccupied orbital.
        charges: [e] Mulliken charges, ``shape=(n_atoms,)``.
        dipole: [e Angstrom] ``shape=(3,)``; of an ion, about the origin.
    """

    energy: float
    homo: float
    lumo: float
    charges: numpy.ndarray
    dipole: numpy.ndarray

    @property
    def gap(self) -> float:
        """[kcal/mol] between the frontier orbitals."""
        return self.lumo - self.homo


def compute_tight_binding(
    method: str, numbers: numpy.ndarray, coords: numpy.ndarray, charge: int
) -> tuple[float, numpy.ndarray]:
    """One single point in atomic units; the same geometry gives the same bits, whatever was computed before.

    Args:
        method: one of ``METHODS``.
        numbers: atomic numbers, ``shape=(n_atoms,)``.
        coords: [bohr] ``shape=(n_atoms, 3)``.
        charge: [e].

    Returns:
        the energy [hartree] and its gradient [hartree/bohr] ``shape=(n_atoms, 3)``.

    Raises:
        CalculationError: the SCF does not converge, or an element has no parameters.
    """
    energy, gradient = _run(method, numbers, coords, charge, ("energy", "gradient"))
    return float(energy), gradient


def _run(
    method: str, numbers: numpy.ndarray, coords: numpy.ndarray, charge: int, wanted: tuple[str, ...]
) -> list[numpy.ndarray]:
    """The results of a single point that tblite knows by these names, as copies."""
    from tblite.exceptions import TBLiteRuntimeError, TBLiteValueError
    from tblite.interface import Calculator

    # tblite's objects live in this function alone: one that is alive when the interpreter ends complains of it
    try:
        calculator = Calculator(method, numbers, coords, charge=float(charge))
        calculator.set("verbosity", 0)
        result = calculator.singlepoint()
        return [numpy.array(result.get(name)) for name in wanted]
    except (TBLiteRuntimeError, TBLiteValueError) as error:
        raise CalculationError(f"{method}: {str(error).strip()}") from error


@dataclasses.dataclass(frozen=True)
class TightBinding:
    """A :class:`common.calculators.interface.Calculator`."""

    method: str

    def __call__(self, numbers: numpy.ndarray, coords: numpy.ndarray, charge: int) -> EnergyForces:
        check_closed_shell(numbers, charge)
        energy, gradient = compute_tight_binding(self.method, numbers, coords / BOHR_TO_ANGSTROM, charge)
        return EnergyForces(energy * HARTREE_TO_KCAL_PER_MOL, -gradient * HARTREE_PER_BOHR_TO_KCAL_PER_MOL_ANGSTROM)

    def compute_electronic_structure(
        self, numbers: numpy.ndarray, coords: numpy.ndarray, charge: int
    ) -> ElectronicStructure:
        """Frontier orbitals, charges and dipole of a closed-shell molecule; arguments and errors as for a call.

        Raises:
            CalculationError: the SCF does not converge, or there is no unoccupied orbital.
        """
        check_closed_shell(numbers, charge)
        names = ("energy", "orbital-energies", "orbital-occupations", "charges", "dipole")
        energy, orbitals, occupations, charges, dipole = _run(
            self.method, numbers, coords / BOHR_TO_ANGSTROM, charge, names
        )
        n_occupied = round(float(occupations.sum()) / 2.0)
        if n_occupied == len(orbitals):
            raise CalculationError(f"{self.method}: all {n_occupied} orbitals are occupied, there is no gap")
        homo, lumo = (float(orbitals[i]) * HARTREE_TO_KCAL_PER_MOL for i in (n_occupied - 1, n_occupied))
        return ElectronicStructure(
            float(energy) * HARTREE_TO_KCAL_PER_MOL, homo, lumo, charges, dipole * BOHR_TO_ANGSTROM
        )
