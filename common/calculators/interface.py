"""What every level of theory is to its callers: a function of atoms, coordinates and charge."""

import typing

import numpy


class EnergyForces(typing.NamedTuple):
    """What a calculation gives.

    Attributes:
        energy: [kcal/mol] total energy, of whatever zero the level has.
        forces: [kcal/mol/Angstrom] ``shape=(n_atoms, 3)`` float64, minus the gradient.
    """

    energy: float
    forces: numpy.ndarray


class CalculationError(RuntimeError):
    """The level gives no energy for this geometry; the message is the reason, e.g. an SCF that does not converge."""


class LevelError(RuntimeError):
    """The level cannot be had here, e.g. since its program is missing: that says nothing of any geometry."""


class Calculator(typing.Protocol):
    """A level of theory."""

    def __call__(self, numbers: numpy.ndarray, coords: numpy.ndarray, charge: int) -> EnergyForces:
        """The energy and forces of one geometry.

        Args:
            numbers: atomic numbers, ``shape=(n_atoms,)`` int64.
            coords: [Angstrom] ``shape=(n_atoms, 3)`` float64.
            charge: [e] of the whole molecule.

        Raises:
            CalculationError: the level fails at this geometry.
            LevelError: the level cannot be had here.
        """
        ...


def check_closed_shell(numbers: numpy.ndarray, charge: int) -> None:
    """The quantum levels here pair all electrons: an odd number of them is a wrong charge more often than a radical.

    Raises:
        CalculationError: the number of electrons is odd.
    """
    n_electrons = int(numpy.sum(numbers)) - charge
    if n_electrons % 2:
        raise CalculationError(f"{n_electrons} electrons at charge {charge}: an odd number, which this level cannot do")
