"""Formulas are read whole or refused."""

import pytest

from common.molecules.formulas import NUMBERS, format_formula, parse_formula


@pytest.mark.parametrize(
    ("formula", "counts"),
    [
        ("C2H6O", {6: 2, 1: 6, 8: 1}),
        ("CH4", {6: 1, 1: 4}),
        ("CHF3", {6: 1, 1: 1, 9: 3}),
        ("C7O2H10", {6: 7, 8: 2, 1: 10}),
        ("CH3CH3", {6: 2, 1: 6}),
        ("CO", {6: 1, 8: 1}),
        ("Co", {27: 1}),
        ("HCl", {1: 1, 17: 1}),
        ("C120", {6: 120}),
    ],
)
def test_formulas_are_read(formula, counts):
    assert parse_formula(formula) == counts


@pytest.mark.parametrize("formula", ["", "C2H6X", "C2H-6", "2CH", "c2", "C0", "C2 H6", "C02", "CH4+", "(CH2)3", "Uue"])
def test_what_is_no_formula_is_refused(formula):
    with pytest.raises(ValueError, match="the formula"):
        parse_formula(formula)


@pytest.mark.parametrize("formula", ["C2H6O", "CH4", "CHF3", "C7H10O2", "H2O", "ClNa", "BrCl"])
def test_formulas_are_written_in_the_usual_order_and_read_back(formula):
    assert format_formula(parse_formula(formula)) == formula


def test_elements_are_those_of_the_periodic_table():
    assert (NUMBERS["H"], NUMBERS["Og"], len(NUMBERS)) == (1, 118, 118)
