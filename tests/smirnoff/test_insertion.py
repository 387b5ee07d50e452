"""A parameter more in a force field file: beside its parent, with its values, and nothing else changed."""

import pytest

from common.smirnoff.insertion import insert_child
from common.smirnoff.offxml import parse_force_field
from tests.helpers import ROOT

TEXT = (ROOT / "example" / "starter.offxml").read_text()


def test_the_child_stands_right_after_its_parent_with_its_values():
    before = parse_force_field(TEXT, "starter").sections
    parent = before["Bonds"].parameters[3]
    child = parent.smirks.replace(":1]", ";r5:1]")
    after = parse_force_field(insert_child(TEXT, "Bonds", parent.smirks, child), "starter").sections
    smirks = [parameter.smirks for parameter in after["Bonds"].parameters]
    place = smirks.index(parent.smirks)
    assert smirks[place + 1] == child
    assert smirks[: place + 1] + smirks[place + 2 :] == [parameter.smirks for parameter in before["Bonds"].parameters]
    assert after["Bonds"].parameters[place + 1].values == parent.values
    assert after["Bonds"].parameters[place + 1].id == f"{parent.id}-1"
    for name in before:
        if name != "Bonds":
            assert after[name] == before[name]


def test_a_second_child_stands_before_the_first_and_has_another_id():
    parent = parse_force_field(TEXT, "starter").sections["Angles"].parameters[0].smirks
    first, second = (parent.replace(":2]", f";{word}:2]") for word in ("r5", "$(*~[#8X1])"))
    text = insert_child(insert_child(TEXT, "Angles", parent, first), "Angles", parent, second)
    parameters = parse_force_field(text, "starter").sections["Angles"].parameters
    assert [parameter.smirks for parameter in parameters[:3]] == [parent, second, first]
    assert len({parameter.id for parameter in parameters}) == len(parameters)


def test_only_the_new_line_is_new():
    parent = parse_force_field(TEXT, "starter").sections["ProperTorsions"].parameters[0].smirks
    text = insert_child(TEXT, "ProperTorsions", parent, parent.replace(":1]", ";X4:1]"))
    lines, before = text.splitlines(), TEXT.splitlines()
    [place] = [i for i, line in enumerate(lines) if ";X4:1]" in line]
    assert lines[:place] + lines[place + 1 :] == before
    assert len(lines[place]) - len(lines[place].lstrip()) == len(lines[place - 1]) - len(lines[place - 1].lstrip())


def test_an_unknown_parent_and_a_known_child_are_refused():
    parameters = parse_force_field(TEXT, "starter").sections["Bonds"].parameters
    with pytest.raises(ValueError, match="Bonds has no parameter"):
        insert_child(TEXT, "Bonds", "[#2:1]-[#2:2]", "[#2;r5:1]-[#2:2]")
    with pytest.raises(ValueError, match="already"):
        insert_child(TEXT, "Bonds", parameters[0].smirks, parameters[1].smirks)
