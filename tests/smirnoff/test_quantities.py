"""Units: values with known answers, and expressions that must be refused."""

import math

import pytest

from common.smirnoff.quantities import MAX_LENGTH, parse_quantity

BOND_K = "kilocalorie / mole / angstrom ** 2"
ANGLE_K = "kilocalorie / mole / radian ** 2"
ENERGY = "kilocalorie / mole"

ROUNDING = 1e-15
"""Relative; a conversion is a few multiplications in float64."""


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("419.98 * angstrom**-2 * mole**-1 * kilocalorie", BOND_K, 419.98),
        ("340.0*kilocalories_per_mole/angstrom**2", BOND_K, 340.0),
        ("340.0 * kilocalorie_per_mole / angstrom ^ 2", BOND_K, 340.0),
        ("418.4 * kilojoule / (mole * nanometer**2)", BOND_K, 1.0),
        ("1 kilocalorie/mole/angstrom/angstrom", BOND_K, 1.0),
        ("100000 cal mol^-1 nm**(-2)", BOND_K, 1.0),
        ("1.0 * mole**-1 * degree**-2 * kilocalorie", ANGLE_K, (180.0 / math.pi) ** 2),
        ("-4.184 * kilojoules_per_mole", ENERGY, -1.0),
        ("1.2e-05 * mole**-1 * kilocalorie", ENERGY, 1.2e-5),
        ("0.1529 * nanometers", "angstrom", 1.529),
        ("1 * bohr", "angstrom", 0.529177210903),
        ("180.0 * degrees", "radian", math.pi),
        ("2 * 3 * radian / 4", "radian", 1.5),
        ("-0.834 * elementary_charge", "elementary_charge", -0.834),
        ("0.5", "", 0.5),
        ("2 * dimensionless", "", 2.0),
    ],
)
def test_known_values(text, unit, value):
    assert parse_quantity(text, unit) == pytest.approx(value, rel=ROUNDING)


@pytest.mark.parametrize("value", [0.1 + 0.2, -1.0 / 3.0, 5e-324, 1.7976931348623157e308, 719.6424928981])
@pytest.mark.parametrize(
    ("spelled", "unit"),
    [
        ("angstrom**-2 * mole**-1 * kilocalorie", BOND_K),
        ("mole**-1 * radian**-2 * kilocalorie", ANGLE_K),
        ("mole**-1 * kilocalorie", ENERGY),
        ("angstrom", "angstrom"),
        ("radian", "radian"),
        ("elementary_charge", "elementary_charge"),
    ],
)
def test_units_used_inside_keep_every_bit(value, spelled, unit):
    assert parse_quantity(f"{value!r} * {spelled}", unit) == value


@pytest.mark.parametrize(
    ("text", "unit", "reason"),
    [
        ("1.5", "angstrom", "unit is missing"),
        ("1.5 * degree", "angstrom", "does not fit"),
        ("300 * kilocalorie * angstrom**-2", BOND_K, "does not fit"),
        ("100 * kilocalorie / mole", ANGLE_K, "does not fit"),
        ("1 * angstrom", "", "plain number"),
        ("1 * furlong", "angstrom", "unknown unit 'furlong'"),
        ("1 * kilocalories_per_furlong", ENERGY, "unknown unit 'furlong'"),
        ("", "angstrom", "the end"),
        ("1.5 angstrom)", "angstrom", "unexpected '\\)'"),
        ("(1.5 * angstrom", "angstrom", "not closed"),
        ("1.5 * * angstrom", "angstrom", "should stand"),
        ("1 + 1 * angstrom", "angstrom", "unexpected '\\+'"),
        ("1.5; angstrom", "angstrom", "unexpected '; angstrom'"),
        ("nan * angstrom", "angstrom", "unknown unit 'nan'"),
        ("1e999 * angstrom", "angstrom", "not finite"),
        ("10**10**10 * angstrom", "angstrom", "not finite"),
        ("1 / 0 * angstrom", "angstrom", "not finite"),
        ("2 ** angstrom", "angstrom", "exponent"),
        ("(-1) ** 0.5 * angstrom", "angstrom", "negative"),
        ("__import__('os').system('true')", "angstrom", "unexpected"),
        ("(" * (MAX_LENGTH + 1), "angstrom", "longer"),
        ("(" * MAX_LENGTH, "angstrom", "should stand"),
    ],
)
def test_refuses(text, unit, reason):
    with pytest.raises(ValueError, match=reason):
        parse_quantity(text, unit)
