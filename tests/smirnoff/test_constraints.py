"""The unconstrained force field: no constraint of a bond, and nothing else changed."""

import pytest

from common.smirnoff.constraints import remove_constraints
from common.smirnoff.offxml import parse_force_field
from tests.helpers import ROOT, SHARED

STARTER = (ROOT / "example" / "starter.offxml").read_text()
BOND = '<Constraint smirks="[#1:1]-[*:2]" id="c-h"></Constraint>'
SHORT = '<Constraint smirks="[#1:1]-[*:2]" id="c-h"/>'


@pytest.mark.parametrize("text", [STARTER, STARTER.replace(BOND, SHORT)])
def test_bonds_lose_their_constraints_and_water_keeps_its_own(text):
    found, before = (parse_force_field(one, "x").sections for one in (remove_constraints(text), text))
    assert len(before["Constraints"].parameters) >= 3
    assert [parameter.id for parameter in found["Constraints"].parameters] == ["c-water-oh", "c-water-hh"]
    for name, section in before.items():
        if name != "Constraints":
            assert found[name] == section


def test_without_constraints_the_text_stays_as_it_is():
    text = remove_constraints(STARTER)
    assert text != STARTER
    assert remove_constraints(text) == text


def test_sage_becomes_its_own_unconstrained_file():
    folder = SHARED / "force-fields"
    if not folder.is_dir():
        pytest.skip("needs Sage's files, which are not part of the project")
    ours = parse_force_field(remove_constraints((folder / "openff-2.1.0.offxml").read_text()), "x")
    theirs = parse_force_field((folder / "openff_unconstrained-2.1.0.offxml").read_text(), "x")
    assert ours.sections == theirs.sections
