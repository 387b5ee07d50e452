"""Conformers from bonds alone: sensible, reproducible, of the right hand, whatever the model of aromaticity."""

import numpy
import pytest
from rdkit import Chem

from common.molecules.conformers import attach_conformers, embed_conformers
from common.molecules.mapped_smiles import from_smiles
from common.molecules.stereochemistry import find_agreeing_conformers

LENGTHS = {("C", "C"): (1.35, 1.6), ("C", "H"): (1.0, 1.2), ("C", "O"): (1.3, 1.5), ("H", "O"): (0.9, 1.05)}
"""[Angstrom] of the bonds of butanol and benzene."""


@pytest.mark.parametrize("smiles", ["CCCCO", "c1ccccc1"])
def test_bonds_have_sensible_lengths_and_nothing_else_is_as_near(smiles):
    mol = from_smiles(smiles)
    coords = embed_conformers(mol, 5, seed=0)
    assert coords.shape == (5, mol.GetNumAtoms(), 3)
    assert coords.dtype == numpy.float64
    distances = numpy.linalg.norm(coords[:, :, None] - coords[:, None], axis=-1)
    for i, j in zip(*numpy.triu_indices(mol.GetNumAtoms(), 1), strict=True):
        symbols = tuple(sorted(mol.GetAtomWithIdx(int(atom)).GetSymbol() for atom in (i, j)))
        if mol.GetBondBetweenAtoms(int(i), int(j)):
            low, high = LENGTHS[symbols]
            assert ((low < distances[:, i, j]) & (distances[:, i, j] < high)).all()
        else:
            assert (distances[:, i, j] > 1.5).all()


def test_the_seed_decides():
    mol = from_smiles("CCCCO")
    first = embed_conformers(mol, 3, seed=1)
    numpy.testing.assert_array_equal(embed_conformers(mol, 3, seed=1), first)
    assert not numpy.allclose(embed_conformers(mol, 3, seed=2), first)
    assert not numpy.allclose(first[0], first[1])
    assert mol.GetNumConformers() == 0


@pytest.mark.parametrize("smiles", ["CC(=O)Nc1ccccc1", "c1ccoc1", "Cn1cncc1"])
def test_the_model_of_aromaticity_changes_nothing(smiles):
    by_rdkit = Chem.AddHs(Chem.MolFromSmiles(smiles))
    coords = embed_conformers(from_smiles(smiles), 2, seed=3)  # the last two are not aromatic in MDL's model
    numpy.testing.assert_array_equal(coords, embed_conformers(by_rdkit, 2, seed=3))


@pytest.mark.parametrize("smiles", ["C[C@H](O)F", "C[C@@H](O)F", "C/C=C/F", r"C/C=C\F"])
def test_stereochemistry_is_kept(smiles):
    mol = from_smiles(smiles)
    assert find_agreeing_conformers(mol, embed_conformers(mol, 10, seed=0)).all()


def test_an_impossible_molecule_is_named():
    with pytest.raises(ValueError, match="C1#CC1: RDKit finds no geometry"):
        embed_conformers(from_smiles("C1#CC1"), 1, seed=0, max_iterations=5)


def test_attached_conformers_are_those_and_no_others():
    mol = from_smiles("CO")
    coords = embed_conformers(mol, 3, seed=0)
    both = attach_conformers(attach_conformers(mol, coords[:1]), coords[1:])
    assert both.GetNumConformers() == 2
    for conformer, expected in zip(both.GetConformers(), coords[1:], strict=True):
        numpy.testing.assert_array_equal(conformer.GetPositions(), expected)
    assert mol.GetNumConformers() == 0


@pytest.mark.parametrize("seed", [0, 1])
def test_conformers_of_one_seed_are_unlike_one_another(seed):
    coords = embed_conformers(from_smiles("CCCC=O"), 3, seed)
    assert min(numpy.abs(coords[i] - coords[j]).max() for i in range(3) for j in range(i)) > 0.1
