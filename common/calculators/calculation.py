"""One calculation as a result, whatever came of it."""

import dataclasses
import time

import numpy

from common.calculators.interface import CalculationError, Calculator, EnergyForces, LevelError


@dataclasses.dataclass(frozen=True)
class Calculation:
    """What came of one calculation: energy and forces, or the reason why there are none.

    Attributes:
        energy: [kcal/mol]; None where the calculation failed.
        forces: [kcal/mol/Angstrom] ``shape=(n_atoms, 3)`` float64; None where it failed.
        reason: why it failed; "" where it did not.
        seconds: it took, by the clock.
    """

    energy: float | None
    forces: numpy.ndarray | None
    reason: str
    seconds: float

    @property
    def succeeded(self) -> bool:
        return not self.reason


def calculate(calculator: Calculator, numbers: numpy.ndarray, coords: numpy.ndarray, charge: int) -> Calculation:
    """Runs one calculation; a failure is a result with a reason: it cost as much, and must not be tried again.

    Args:
        calculator: the level.
        numbers: atomic numbers, ``shape=(n_atoms,)``.
        coords: [Angstrom] ``shape=(n_atoms, 3)``.
        charge: [e].

    Raises:
        MemoryError, LevelError: no calculation can be done here.
    """
    start = time.perf_counter()
    try:
        energy, forces = _check(calculator(numbers, coords, charge), len(numbers))
    except (MemoryError, LevelError):
        raise  # says something of the machine, not of this geometry
    except CalculationError as error:
        return Calculation(None, None, str(error), time.perf_counter() - start)
    except Exception as error:  # programs and users' functions raise what they like; it must cost this task alone
        reason = f"{type(error).__name__}: {error}"
        return Calculation(None, None, reason, time.perf_counter() - start)
    return Calculation(energy, forces, "", time.perf_counter() - start)


def _check(result: EnergyForces, n_atoms: int) -> EnergyForces:
    energy, forces = float(result[0]), numpy.asarray(result[1], dtype=numpy.float64)
    if forces.shape != (n_atoms, 3):
        raise CalculationError(f"the forces have shape {forces.shape}, expected ({n_atoms}, 3)")
    if not numpy.isfinite(energy):
        raise CalculationError(f"the energy is {energy}")
    if not numpy.isfinite(forces).all():
        raise CalculationError("a force is not finite")
    return EnergyForces(energy, forces)
