"""Units by their names."""

import pytest

from common.own_data.units import parse_units
from common.units import BOHR_TO_ANGSTROM, EV_TO_KCAL_PER_MOL, HARTREE_TO_KCAL_PER_MOL


def test_force_is_energy_over_length_unless_it_has_its_own_unit():
    units = parse_units("Hartree", "bohr")
    assert units.force == units.energy / units.length == HARTREE_TO_KCAL_PER_MOL / BOHR_TO_ANGSTROM
    assert parse_units("eV", "Angstrom", "hartree/bohr").force == units.force
    assert parse_units("eV", "A").energy == EV_TO_KCAL_PER_MOL
    assert parse_units("kJ/mol", "nm").energy * 4.184 == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("cal", "bohr"), "'cal': no unit of energy"),
        (("eV", "feet"), "'feet': no unit of length"),
        (("eV", "bohr", "eV"), "'eV': no unit of force"),
        (("eV", "bohr", "eV/feet"), "'feet': no unit of length"),
    ],
)
def test_unknown_units_are_named(names, message):
    with pytest.raises(ValueError, match=message):
        parse_units(*names)
