"""The numbers of a section: units, terms that are counted, defaults, and which attribute is wrong."""

import math

import pytest

from common.smirnoff.values import AUTO_IDIVF, RMIN_HALF_TO_SIGMA, Reader, read_attributes, read_values

TORSION = {"k1": "1*kilocalorie/mole", "periodicity1": "2", "phase1": "180*degree"}


def read(section: str, attributes: dict[str, str], section_attributes=None, n_tags: int = 4):
    return read_values(section, Reader(attributes), section_attributes or {}, n_tags)


def test_values_come_in_the_order_of_the_columns_in_inside_units():
    bond = {"k": "418.4*kilojoule/mole/angstrom**2", "length": "0.1*nanometer"}
    assert read("Bonds", bond) == ((pytest.approx(100.0), pytest.approx(1.0)),)
    assert read("ProperTorsions", TORSION) == ((1.0, 2.0, math.pi, AUTO_IDIVF["ProperTorsions"]),)


def test_terms_are_counted_from_one_without_a_gap():
    second = {"k2": "0.5*kilocalorie/mole", "periodicity2": "3", "phase2": "0*degree"}
    assert [row[1] for row in read("ProperTorsions", TORSION | second)] == [2.0, 3.0]
    with pytest.raises(ValueError, match="'k2' is missing"):
        read("ProperTorsions", TORSION | {"k3": "0.5*kilocalorie/mole"})
    with pytest.raises(ValueError, match="'phase2' has no 'k2'"):
        read("ProperTorsions", TORSION | {"phase2": "0*degree"})


def test_the_minimum_of_lennard_jones_is_at_twice_rmin_half():
    [(epsilon, sigma)] = read("vdW", {"epsilon": "0.1*kilocalorie/mole", "rmin_half": "1.5*angstrom"})
    assert sigma == pytest.approx(1.5 * RMIN_HALF_TO_SIGMA)
    r = 3.0
    slope = -24.0 * epsilon * (2.0 * (sigma / r) ** 12 - (sigma / r) ** 6) / r
    assert slope == pytest.approx(0.0, abs=1e-12)


def test_the_last_increment_balances_the_others():
    one = {"charge_increment1": "0.1*elementary_charge"}
    assert read("ChargeIncrementModel", one, n_tags=2) == ((0.1,), (-0.1,))
    with pytest.raises(ValueError, match="1 charge increments for 3 tagged atoms"):
        read("ChargeIncrementModel", one, n_tags=3)


def test_constraints_have_no_values():
    assert read("Constraints", {"distance": "1*angstrom"}, n_tags=2) == ()


@pytest.mark.parametrize(
    ("section", "attributes", "message"),
    [
        ("Bonds", {"k": "1*kilocalorie/mole/angstrom**2"}, "attribute 'length' is missing"),
        ("Bonds", {"k": "1*kilocalorie/mole", "length": "1*angstrom"}, "attribute k='1.kilocalorie/mole'"),
        ("ProperTorsions", TORSION | {"idivf1": "0"}, "'idivf1' is 0"),
        ("ProperTorsions", TORSION | {"periodicity1": "1.5"}, "'periodicity1' is 1.5"),
        ("ProperTorsions", TORSION | {"k1_bondorder1": "1"}, "fractional bond orders"),
        ("vdW", {"epsilon": "1*kilocalorie/mole"}, "one of the attributes 'sigma' and 'rmin_half'"),
    ],
)
def test_the_wrong_attribute_is_named(section, attributes, message):
    with pytest.raises(ValueError, match=message):
        read(section, attributes)


def test_a_section_has_the_defaults_of_the_specification():
    numbers = read_attributes("vdW", {})
    assert (numbers["scale_12"], numbers["scale_13"], numbers["scale_14"], numbers["scale_15"]) == (0.0, 0.0, 0.5, 1.0)
    assert read_attributes("Electrostatics", {"scale14": "0.8"})["scale_14"] == 0.8
    assert read_attributes("Bonds", {}) == {}


@pytest.mark.parametrize(
    ("section", "attributes", "message"),
    [
        ("Bonds", {"potential": "Morse"}, "potential='Morse' is not supported"),
        ("vdW", {"combining_rules": "Waldman-Hagler"}, "combining_rules='Waldman-Hagler'"),
        ("vdW", {"scale13": "0.5"}, "scale13='0.5' is not supported, only 0.0"),
    ],
)
def test_a_switch_that_is_not_supported_is_named(section, attributes, message):
    with pytest.raises(ValueError, match=message):
        read_attributes(section, attributes)
