"""Energies that have lost their digits."""

import numpy
import pytest

from common.plausibility.precision import UNITS, check_precision

SIZES = {"hartree": -800.0, "eV": -21769.0, "kcal/mol": -502000.0, "kJ/mol": -2100000.0}


@pytest.mark.parametrize("unit", UNITS)
def test_float32_is_found_in_whatever_unit_it_happened(unit):
    total = SIZES[unit] + numpy.random.default_rng(0).normal(0.0, 5.0 / UNITS[unit], 12)
    spoilt = total.astype(numpy.float32).astype(numpy.float64) * UNITS[unit]
    [doubt] = check_precision(spoilt - spoilt.mean(), spoilt.mean())
    assert doubt.kind == "single precision"
    assert f"near {SIZES[unit]:.0f} {unit} are float32 numbers" in doubt.text
    exact = total * UNITS[unit]
    assert check_precision(exact - exact.mean(), exact.mean()) == []


def test_relative_energies_are_small_enough_for_single_precision():
    energies = numpy.random.default_rng(0).normal(0.0, 5.0, 12).astype(numpy.float32).astype(numpy.float64)
    assert check_precision(energies, 0.0) == []


def test_few_or_equal_energies_say_nothing():
    assert check_precision(numpy.array([0.0, 1.0, 2.0]), -512.0) == []
    assert check_precision(numpy.zeros(9), -512.0 * 627.5) == []
