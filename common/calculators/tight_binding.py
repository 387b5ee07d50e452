"""GFN2-xTB and GFN1-xTB by tblite: a millisecond for a small molecule."""

import dataclasses

import numpy

from common.calculators.interface import CalculationError, EnergyForces, check_closed_shell
from common.units import BOHR_TO_ANGSTROM, HARTREE_PER_BOHR_TO_KCAL_PER_MOL_ANGSTROM, HARTREE_TO_KCAL_PER_MOL

METHODS = ("GFN2-xTB", "GFN1-xTB")
"""Bannwarth, Ehlert, Grimme, JCTC 15, 1652 (2019); Grimme, Bannwarth, Shushkov, JCTC 13, 1989 (2017)."""


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
    from tblite.exceptions import TBLiteRuntimeError, TBLiteValueError
    from tblite.interface import Calculator

    # tblite's objects live in this function alone: one that is alive when the interpreter ends complains of it
    try:
        calculator = Calculator(method, numbers, coords, charge=float(charge))
        calculator.set("verbosity", 0)
        result = calculator.singlepoint()
        return float(result.get("energy")), numpy.array(result.get("gradient"))
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
