"""Labels -> RDKit stereochemistry, against RDKit's own reading of SMILES and of embedded coordinates."""

import numpy
import pytest
from rdkit import Chem

from common.molecules.conformers import attach_conformers, embed_conformers
from common.molecules.mapped_smiles import from_smiles, perceive, to_mapped_smiles
from common.molecules.stereochemistry import (
    LABELLINGS,
    apply_labels,
    compute_cip_labels,
    compute_rdkit_labels,
    find_agreeing_conformers,
)

LABELLED = [  # alone, several, dependent on each other, in rings, on double bonds, on S, P and N
    "C[C@H](O)F",
    "C[C@H](O)[C@@H](C)N",
    "C[C@H](O)[C@@H](O)[C@@H](C)O",
    "C[C@H](O)[C@H](O)[C@@H](C)O",
    r"C/C=C/[C@@H](/C=C\C)O",
    r"C[C@H](O)[C@H](/C=C/C)/C=C\C",
    "OC[C@H]1O[C@@H](O)[C@H](O)[C@@H](O)[C@@H]1O",
    "C[C@@H]1CC(=O)N1",
    "C/C=N/O",
    "F/C=C/C=C/Cl",
    r"O=C1/C=C\CCCCCCC1",
    "C[S@](=O)CC",
    "C[P@](=O)(O)OC",
    "C[N@@]1C[C@H]1C",
]


def remove_stereochemistry(mol: Chem.Mol) -> Chem.Mol:
    copy = Chem.Mol(mol)
    Chem.RemoveStereochemistry(copy)
    return perceive(copy)


@pytest.mark.parametrize("compute_labels", LABELLINGS)
@pytest.mark.parametrize("smiles", LABELLED)
def test_labels_give_back_the_molecule_they_came_from(smiles, compute_labels):
    mol = from_smiles(smiles)
    labels = compute_labels(mol)
    assert labels
    found = apply_labels(remove_stereochemistry(mol), labels, compute_labels)
    assert to_mapped_smiles(found) == to_mapped_smiles(mol)


def test_textbook_labels():
    assert compute_rdkit_labels(from_smiles("C[C@H](N)C(=O)O")) == {1: "S"}  # L-alanine
    assert compute_rdkit_labels(from_smiles("C/C=C/C")) == {frozenset((1, 2)): "E"}
    # esomeprazole, the S sulfoxide, cut down to what decides its label
    assert compute_cip_labels(from_smiles("CC[S@](=O)c1ncc[nH]1")) == {2: "S"}


def test_undefined_centres_stay_undefined():
    mol = from_smiles("C[C@H](O)C(F)Cl")
    labels = compute_rdkit_labels(mol)
    assert set(labels) == {1}
    assert compute_rdkit_labels(apply_labels(remove_stereochemistry(mol), labels, compute_rdkit_labels)) == labels


@pytest.mark.parametrize(
    ("smiles", "labels", "message"),
    [
        ("CC", {0: "R"}, "no arrangement of the atoms has the stereochemistry R at 0"),
        ("CC=C", {frozenset((1, 2)): "E"}, "E at 1-2"),
        ("CC", {frozenset((0, 1)): "Z"}, "cannot be either"),
        ("C#N", {frozenset((0, 1)): "Z"}, "cannot be either"),
    ],
)
def test_impossible_labels(smiles, labels, message):
    with pytest.raises(ValueError, match=message):
        apply_labels(from_smiles(smiles), labels, compute_rdkit_labels)


def test_labels_of_inverting_nitrogen_are_passed_over():
    found = apply_labels(from_smiles("CN(CC)F"), {1: "R"}, compute_rdkit_labels)
    assert compute_rdkit_labels(found) == {}


@pytest.mark.parametrize("smiles", [*LABELLED[:11], "C[S@](=O)CC"])
def test_embedded_coordinates_agree_and_their_mirror_image_does_not(smiles):
    mol = from_smiles(smiles)
    coords = embed_conformers(mol, 1, seed=7)
    has_centres = any(isinstance(place, int) for place in compute_rdkit_labels(mol))
    both = numpy.concatenate([coords, coords * [1.0, 1.0, -1.0]])
    assert find_agreeing_conformers(mol, both).tolist() == [True, not has_centres]


def test_rdkit_sees_the_same_in_the_coordinates():
    mol = from_smiles("C[C@H](O)[C@H](/C=C/C)F")
    coords = embed_conformers(mol, 1, seed=7)
    copy = attach_conformers(remove_stereochemistry(mol), coords)
    Chem.AssignStereochemistryFrom3D(copy)
    assert to_mapped_smiles(copy) == to_mapped_smiles(mol)
    assert find_agreeing_conformers(mol, coords).all()


def test_cis_is_not_trans():
    cis, trans = from_smiles(r"C/C=C\C"), from_smiles("C/C=C/C")
    for mol, other in ((cis, trans), (trans, cis)):
        assert find_agreeing_conformers(mol, embed_conformers(mol, 1, seed=7)).tolist() == [True]
        assert find_agreeing_conformers(other, embed_conformers(mol, 1, seed=7)).tolist() == [False]


def test_rotation_and_translation_change_nothing():
    mol = from_smiles(r"C[C@H](O)[C@H](/C=C/C)/C=C\C")
    coords = embed_conformers(mol, 1, seed=7)
    rotation = numpy.linalg.qr(numpy.random.default_rng(1).normal(size=(3, 3)))[0]
    rotation *= numpy.linalg.det(rotation)  # +1 or -1: a proper rotation
    assert find_agreeing_conformers(mol, coords @ rotation.T + 5.0).all()
