"""Bonds from coordinates, and names of molecules."""

import numpy
import pytest
from rdkit import Chem

from common.molecules.conformers import embed_conformers
from common.molecules.perception import (
    PerceptionError,
    PerceptionSettings,
    name_enantiomer,
    name_molecule,
    perceive_bonds,
)


def embed(smiles):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    return numpy.array([atom.GetAtomicNum() for atom in mol.GetAtoms()]), embed_conformers(mol, 1, 5)[0]


@pytest.mark.parametrize(
    "smiles", ["C", "CCO", "c1ccccc1", "CC(=O)NC", "N#CC=C", "C[C@H](F)O", "F/C=C/F", "c1cn[nH]c1", "O=C1CCO1"]
)
def test_molecules_are_recognised(smiles):
    mol = perceive_bonds(*embed(smiles))
    assert name_molecule(mol) == Chem.CanonSmiles(smiles)
    assert mol.GetNumConformers() == 1


def test_the_names_of_imines_do_not_keep_their_hydrogen():
    numbers, coords = embed("CC(N)=N")
    assert name_molecule(perceive_bonds(numbers, coords), ignore_isomerism=True) == "CC(=N)N"


@pytest.mark.parametrize(
    ("numbers", "coords", "reason"),
    [
        ([6, 1, 1, 1], [[0, 0, 0], [0, 0, 1.08], [0.94, 0, -0.54], [-0.94, 0, -0.54]], "no valences fit|radical"),
        ([1, 1, 1, 1], [[0, 0, 0], [0, 0, 0.74], [9, 0, 0], [9, 0, 0.74]], "several fragments"),
        ([8, 1], [[0, 0, 0], [0, 0, 0.97]], "no valences fit|radical"),
        ([8], [[0, 0, 0]], "radical"),
        ([1], [[0, 0, 0]], "radical"),
    ],
    ids=["methyl", "two hydrogens", "hydroxyl", "oxygen", "hydrogen"],
)
def test_what_is_no_molecule_is_refused_with_a_reason(numbers, coords, reason):
    with pytest.raises(PerceptionError, match=reason):
        perceive_bonds(numpy.array(numbers), numpy.array(coords, dtype=float))


def test_charges_fragments_and_radicals_where_they_are_allowed():
    nitromethane, ammonium = embed("C[N+](=O)[O-]"), embed("[NH4+]")
    with pytest.raises(PerceptionError):
        perceive_bonds(*nitromethane)
    mol = perceive_bonds(*nitromethane, PerceptionSettings(allow_charged_fragments=True))
    assert name_molecule(mol) == "C[N+](=O)[O-]"
    with pytest.raises(PerceptionError):
        perceive_bonds(*ammonium)
    mol = perceive_bonds(*ammonium, PerceptionSettings(charges=(0, 1), allow_charged_fragments=True))
    assert Chem.GetFormalCharge(mol) == 1


def test_mirror_images_have_each_others_names():
    numbers, coords = embed("C[C@H](F)O")
    left, right = (name_molecule(perceive_bonds(numbers, sign * coords)) for sign in (1.0, -1.0))
    assert left != right
    assert name_enantiomer(left) == right
    assert name_enantiomer("CCO") == "CCO"
    assert name_molecule(perceive_bonds(numbers, coords), ignore_isomerism=True) == "CC(O)F"
