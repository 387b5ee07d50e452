"""Labels -> RDKit stereochemistry, against RDKit's own reading of SMILES and of embedded coordinates."""

import numpy
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from common.molecules.mapped_smiles import from_mapped_smiles, perceive, to_mapped_smiles
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


def make_molecule(smiles: str) -> Chem.Mol:
    return from_mapped_smiles(to_mapped_smiles(perceive(Chem.AddHs(Chem.MolFromSmiles(smiles)))))


def remove_stereochemistry(mol: Chem.Mol) -> Chem.Mol:
    copy = Chem.Mol(mol)
    Chem.RemoveStereochemistry(copy)
    return perceive(copy)


def embed(mol: Chem.Mol) -> numpy.ndarray:
    """One conformer [Angstrom] ``shape=(1, n_atoms, 3)``."""
    copy = Chem.Mol(mol)
    assert AllChem.EmbedMolecule(copy, randomSeed=7) == 0
    return copy.GetConformer().GetPositions()[None]


@pytest.mark.parametrize("compute_labels", LABELLINGS)
@pytest.mark.parametrize("smiles", LABELLED)
def test_labels_give_back_the_molecule_they_came_from(smiles, compute_labels):
    mol = make_molecule(smiles)
    labels = compute_labels(mol)
    assert labels
    found = apply_labels(remove_stereochemistry(mol), labels, compute_labels)
    assert to_mapped_smiles(found) == to_mapped_smiles(mol)


def test_textbook_labels():
    assert compute_rdkit_labels(make_molecule("C[C@H](N)C(=O)O")) == {1: "S"}  # L-alanine
    assert compute_rdkit_labels(make_molecule("C/C=C/C")) == {frozenset((1, 2)): "E"}
    # esomeprazole, the S sulfoxide, cut down to what decides its label
    assert compute_cip_labels(make_molecule("CC[S@](=O)c1ncc[nH]1")) == {2: "S"}


def test_undefined_centres_stay_undefined():
    mol = make_molecule("C[C@H](O)C(F)Cl")
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
        apply_labels(make_molecule(smiles), labels, compute_rdkit_labels)


def test_labels_of_inverting_nitrogen_are_passed_over():
    found = apply_labels(make_molecule("CN(CC)F"), {1: "R"}, compute_rdkit_labels)
    assert compute_rdkit_labels(found) == {}


@pytest.mark.parametrize("smiles", [*LABELLED[:11], "C[S@](=O)CC"])
def test_embedded_coordinates_agree_and_their_mirror_image_does_not(smiles):
    mol = make_molecule(smiles)
    coords = embed(mol)
    has_centres = any(isinstance(place, int) for place in compute_rdkit_labels(mol))
    both = numpy.concatenate([coords, coords * [1.0, 1.0, -1.0]])
    assert find_agreeing_conformers(mol, both).tolist() == [True, not has_centres]


def test_rdkit_sees_the_same_in_the_coordinates():
    mol = make_molecule("C[C@H](O)[C@H](/C=C/C)F")
    coords = embed(mol)[0]
    copy = remove_stereochemistry(mol)
    conformer = Chem.Conformer(len(coords))
    conformer.SetPositions(coords)
    copy.AddConformer(conformer)
    Chem.AssignStereochemistryFrom3D(copy)
    assert to_mapped_smiles(copy) == to_mapped_smiles(mol)
    assert find_agreeing_conformers(mol, coords[None]).all()


def test_cis_is_not_trans():
    cis, trans = make_molecule(r"C/C=C\C"), make_molecule("C/C=C/C")
    for mol, other in ((cis, trans), (trans, cis)):
        assert find_agreeing_conformers(mol, embed(mol)).tolist() == [True]
        assert find_agreeing_conformers(other, embed(mol)).tolist() == [False]


def test_rotation_and_translation_change_nothing():
    mol = make_molecule(r"C[C@H](O)[C@H](/C=C/C)/C=C\C")
    coords = embed(mol)
    rotation = numpy.linalg.qr(numpy.random.default_rng(1).normal(size=(3, 3)))[0]
    rotation *= numpy.linalg.det(rotation)  # +1 or -1: a proper rotation
    assert find_agreeing_conformers(mol, coords @ rotation.T + 5.0).all()
