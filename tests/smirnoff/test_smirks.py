"""SMIRKS: tags in their order, every match, and nothing that RDKit leaves out by default."""

import pytest

from common.molecules.mapped_smiles import from_smiles
from common.smirnoff.smirks import compile_smirks


def test_atoms_come_in_the_order_of_the_tags():
    mol = from_smiles("CO")  # C, O, three H on C, one on O
    assert compile_smirks("[#1:3]-[#8:2]-[#6:1]").find_matches(mol) == [(0, 1, 5)]
    assert compile_smirks("[#8:1]-[#6]").find_matches(mol) == [(1,)]  # what has no tag counts, and is not returned


def test_symmetric_matches_are_all_found():
    assert sorted(compile_smirks("[#1:1]-[#8:2]-[#1:3]").find_matches(from_smiles("O"))) == [(1, 0, 2), (2, 0, 1)]


def test_no_match_of_a_large_molecule_is_left_out():
    mol = from_smiles("C" * 400)
    assert len(compile_smirks("[#6:1]-[#1:2]").find_matches(mol)) == 2 * 400 + 2  # RDKit's own limit is 1,000
    assert len(compile_smirks("[*:1]~[*:2]").find_matches(mol)) == 2 * mol.GetNumBonds()


def test_chirality_counts():
    pattern = compile_smirks("[C@:1]([#9:2])([#17:3])([#35:4])[#1:5]")
    matches = [pattern.find_matches(from_smiles(smiles)) for smiles in ("[C@](F)(Cl)(Br)[H]", "[C@@](F)(Cl)(Br)[H]")]
    assert [len(found) for found in matches] == [1, 0]


def test_bonds_between_tags():
    pattern = compile_smirks("[*:1]~[*:2](~[*:3])~[*:4]")
    assert pattern.n_tags == 4
    assert [pattern.joins(1, other) for other in (0, 2, 3)] == [True] * 3
    assert not pattern.joins(0, 3)


def test_a_pattern_is_compiled_once():
    assert compile_smirks("[#6:1]~[#7:2]") is compile_smirks("[#6:1]~[#7:2]")


@pytest.mark.parametrize(
    ("smirks", "message"),
    [
        ("[#6:1", "not a valid SMIRKS"),
        ("", "not a valid SMIRKS"),
        ("[#6:1]~[#7:3]", "its tags are not 1, 2"),
        ("[#6:1]~[#7:1]", "its tags are not 1, 2"),
        ("[#6:2]", "its tags are not 1, 2"),
    ],
)
def test_mistakes_are_named(smirks, message):
    with pytest.raises(ValueError, match=message):
        compile_smirks(smirks)
