"""A calculation is a result, whatever came of it."""

import re

import numpy
import pytest

from common.calculators.calculation import calculate
from common.calculators.interface import LevelError
from tests.calculators import made_up

NUMBERS, COORDS = numpy.array([1, 1]), numpy.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.7]])


def test_success():
    result = calculate(made_up.harmonic, NUMBERS, COORDS, 0)
    assert result.succeeded
    assert result.energy == pytest.approx(0.5 * made_up.K * 0.49)
    numpy.testing.assert_array_equal(result.forces, -made_up.K * COORDS)
    assert result.seconds > 0.0


@pytest.mark.parametrize(
    ("charge", "reason"),
    [
        (1, "the SCF does not converge"),
        (2, "ZeroDivisionError: a bug"),
        (3, "the energy is nan"),
        (4, "a force is not finite"),
        (5, r"the forces have shape \(1, 3\), expected \(2, 3\)"),
    ],
)
def test_a_failure_has_its_reason_and_no_numbers(charge, reason):
    result = calculate(made_up.moody, NUMBERS, COORDS, charge)
    assert not result.succeeded
    assert (result.energy, result.forces) == (None, None)
    assert re.fullmatch(reason, result.reason)


def test_ctrl_c_a_full_memory_and_a_missing_program_are_no_results():
    def interrupt(numbers, coords, charge):
        raise KeyboardInterrupt

    def swell(numbers, coords, charge):
        raise MemoryError

    def refuse(numbers, coords, charge):
        raise LevelError("no such program")

    with pytest.raises(LevelError):
        calculate(refuse, NUMBERS, COORDS, 0)
    with pytest.raises(KeyboardInterrupt):
        calculate(interrupt, NUMBERS, COORDS, 0)
    with pytest.raises(MemoryError):
        calculate(swell, NUMBERS, COORDS, 0)


def test_a_plain_tuple_will_do():
    result = calculate(lambda numbers, coords, charge: (1, coords.tolist()), NUMBERS, COORDS, 0)
    assert (result.energy, result.forces.dtype) == (1.0, numpy.float64)
