"""Bonds from distances, and molecules from geometries."""

import numpy
import pytest
from rdkit import Chem

from common.molecules.bond_perception import find_bonds, perceive_molecule
from common.molecules.conformers import embed_conformers
from common.molecules.mapped_smiles import from_smiles

SMILES = ("CCO", "CC(=O)Oc1ccccc1C(=O)O", "CC(=O)N[C@@H](C)C(=O)NC", "C#N", "O=C=O", "c1ccsc1")
IONS = ("C[N+](C)(C)C", "CC(=O)[O-]")


@pytest.mark.parametrize("smiles", [*SMILES, *IONS])
def test_a_geometry_gives_its_molecule_back(smiles):
    mol = from_smiles(smiles)
    coords = embed_conformers(mol, 1, 3)[0]
    numbers = numpy.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    bonds = find_bonds(numbers, coords)
    expected = sorted(tuple(sorted((b.GetBeginAtomIdx(), b.GetEndAtomIdx()))) for b in mol.GetBonds())
    assert sorted(bonds) == expected
    found = perceive_molecule(numbers, coords, Chem.GetFormalCharge(mol))
    plain = [Chem.MolToSmiles(Chem.RemoveHs(one), isomericSmiles=False) for one in (found, mol)]
    assert plain[0] == plain[1]


def test_molecules_side_by_side_are_told_apart():
    water = numpy.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])
    coords = numpy.concatenate([water, water + numpy.array([0.0, 0.0, 3.0])])
    mol = perceive_molecule(numpy.array([8, 1, 1] * 2), coords)
    assert len(Chem.GetMolFrags(mol)) == 2


def test_what_makes_no_molecule_is_refused():
    coords = numpy.array(
        [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0]]
    )
    with pytest.raises(ValueError, match="give its fully mapped SMILES"):
        perceive_molecule(numpy.array([6, 1, 1, 1, 1, 1]), coords)
