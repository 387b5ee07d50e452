"""What all levels share."""

import numpy
import pytest

from common.calculators.interface import CalculationError, check_closed_shell


@pytest.mark.parametrize(("numbers", "charge"), [([8, 1, 1], 0), ([8, 1], -1), ([7, 1, 1, 1, 1], 1), ([1], 1)])
def test_an_even_number_of_electrons_passes(numbers, charge):
    check_closed_shell(numpy.array(numbers), charge)


@pytest.mark.parametrize(("numbers", "charge"), [([8, 1, 1], 1), ([8, 1], 0), ([1], 0)])
def test_an_odd_number_is_named(numbers, charge):
    with pytest.raises(CalculationError, match=f"{sum(numbers) - charge} electrons at charge {charge}"):
        check_closed_shell(numpy.array(numbers), charge)
