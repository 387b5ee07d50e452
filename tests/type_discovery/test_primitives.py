"""The words of new SMIRKS: which atoms they mean, and where they are written."""

import pytest
from rdkit import Chem

from common.molecules.mapped_smiles import from_smiles
from common.smirnoff.smirks import compile_smirks
from common.type_discovery.primitives import AtomClassifier, Primitive, add_primitive, list_primitives


@pytest.mark.parametrize(
    ("smiles", "smarts", "atoms"),
    [
        ("CCO", "X4", [0, 1]),
        ("CCO", "H3", [0]),
        ("CC=O", "$(*=[#8])", [1]),
        ("C[NH3+]", "+1", [1]),
        ("c1ccoc1", "r5", [0, 1, 2, 3, 4]),
        ("c1ccoc1", "a", []),  # furan is not aromatic in the MDL model
        ("C1CC1C", "!r", [3, 4, 5, 6, 7, 8, 9, 10, 11]),
    ],
)
def test_atoms_that_have_it(smiles, smarts, atoms):
    mol = from_smiles(smiles)
    assert Primitive(smarts, "").find_atoms(mol).nonzero()[0].tolist() == atoms


def test_atoms_of_one_class_have_the_same_primitives():
    mol = from_smiles("CC(=O)Nc1ccccc1")
    primitives = list_primitives([mol])
    classifier = AtomClassifier(primitives)
    classes = classifier.classify(mol)
    for atom, number in enumerate(classes):
        assert [primitive.find_atoms(mol)[atom] for primitive in primitives] == classifier.classes[number].tolist()
    assert classes == classifier.classify(mol)


def test_elements_are_those_that_occur():
    smarts = {primitive.smarts for primitive in list_primitives([from_smiles("CCl")])}
    assert {"#1", "#6", "#17", "$(*~[#17])"} <= smarts
    assert "#8" not in smarts


@pytest.mark.parametrize(
    ("smirks", "tag", "smarts", "expected"),
    [
        ("[#6X3:1]-[#1:2]", 1, "r5", "[#6X3;r5:1]-[#1:2]"),
        ("[#6X3,#7:1]~[*:2]", 1, "$(*~[#8X1])", "[#6X3,#7;$(*~[#8X1]):1]~[*:2]"),
        ("[*:1]-[#6X4;r3:2]", 2, "H1", "[*:1]-[#6X4;r3;H1:2]"),
    ],
)
def test_primitives_are_appended_behind_everything(smirks, tag, smarts, expected):
    assert add_primitive(smirks, tag, Primitive(smarts, "")) == expected


def test_a_child_matches_only_what_its_parent_does():
    mol = from_smiles("CC(=O)NC1CCCC1")
    parent = "[#6X3,#6X4:1]-[#6X4,#7:2]"
    found = set(compile_smirks(parent).find_matches(mol))
    for primitive in list_primitives([mol]):
        for tag in (1, 2):
            child = set(compile_smirks(add_primitive(parent, tag, primitive)).find_matches(mol))
            has = primitive.find_atoms(mol)
            assert child == {match for match in found if has[match[tag - 1]]}


def test_an_unknown_tag_is_refused():
    with pytest.raises(ValueError, match="has the tag 3"):
        add_primitive("[#6:1]-[#1:2]", 3, Primitive("r5", ""))
    assert Chem.MolFromSmarts(add_primitive("[#6:1]-[#1:2]", 2, Primitive("!r", ""))) is not None
