"""Mapped SMILES: atoms in the order of their numbers, the aromaticity of SMIRNOFF, and nothing lost on the way."""

import numpy
import pytest
from rdkit import Chem

from common.molecules import mapped_smiles
from common.molecules.mapped_smiles import (
    compute_connectivity_key,
    from_mapped_smiles,
    from_smiles,
    make_connectivity_key,
    perceive,
    remember_connectivity_keys,
    to_mapped_smiles,
)

MOLECULES = ["CCO", "C[N+](C)(C)CC(=O)[O-]", "C[C@H](O)F", "C/C=C/F", "c1ccc2[nH]ccc2c1", "[H][H]", "OO", "C#N"]


def shuffle(mol: Chem.Mol, seed: int) -> Chem.Mol:
    order = numpy.random.default_rng(seed).permutation(mol.GetNumAtoms())
    return Chem.RenumberAtoms(mol, order.tolist())


@pytest.mark.parametrize("smiles", MOLECULES)
def test_there_and_back_whatever_the_order(smiles):
    for seed in range(3):
        mol = shuffle(from_smiles(smiles), seed)
        back = from_mapped_smiles(to_mapped_smiles(mol))
        assert [a.GetAtomicNum() for a in back.GetAtoms()] == [a.GetAtomicNum() for a in mol.GetAtoms()]
        assert [a.GetFormalCharge() for a in back.GetAtoms()] == [a.GetFormalCharge() for a in mol.GetAtoms()]
        bonds = [{frozenset((b.GetBeginAtomIdx(), b.GetEndAtomIdx())) for b in m.GetBonds()} for m in (mol, back)]
        assert bonds[0] == bonds[1]
        assert to_mapped_smiles(back) == to_mapped_smiles(mol)


def test_numbers_are_places():
    mol = from_mapped_smiles("[H:3][O:1][H:2]")
    assert [atom.GetSymbol() for atom in mol.GetAtoms()] == ["O", "H", "H"]
    assert not any(atom.GetAtomMapNum() for atom in mol.GetAtoms())


@pytest.mark.parametrize(
    ("smiles", "message"),
    [
        ("[H:1][O:2]C", "not fully mapped; every atom, hydrogens included, needs its own map number from 1 to 3"),
        ("[H:1][O:1][H:2]", "not fully mapped"),
        ("[H:1][O:2][H:4]", "not fully mapped"),
        ("[H:1", "RDKit cannot read this SMILES"),
        ("", "RDKit cannot read this SMILES"),
        ("[C:1]([H:2])([H:3])([H:4])([H:5])[H:6]", r"\[C:1\].*valence"),
    ],
)
def test_mistakes_are_named(smiles, message):
    with pytest.raises(ValueError, match=message):
        from_mapped_smiles(smiles)


def test_hydrogens_must_be_atoms_to_be_mapped():
    with pytest.raises(ValueError, match="CO: hydrogens must be explicit"):
        to_mapped_smiles(Chem.MolFromSmiles("CO"))


def test_any_smiles_gets_its_hydrogens_behind_its_atoms():
    mol = from_smiles("OCC")
    assert "".join(atom.GetSymbol() for atom in mol.GetAtoms()) == "OCCHHHHHH"
    with pytest.raises(ValueError, match="'C1': RDKit cannot read"):
        from_smiles("C1")


@pytest.mark.parametrize(
    ("smiles", "n_aromatic"),
    [("c1ccccc1", 6), ("c1ccncc1", 6), ("c1ccoc1", 0), ("c1cc[nH]c1", 0), ("c1ccc2ccccc2c1", 10), ("O=c1cc[nH]cc1", 0)],
)
def test_aromaticity_is_that_of_mdl(smiles, n_aromatic):
    """Six-membered rings alone, and no exocyclic double bond: RDKit's own model would call all of these aromatic."""
    assert sum(atom.GetIsAromatic() for atom in from_smiles(smiles).GetAtoms()) == n_aromatic
    assert any(atom.GetIsAromatic() for atom in Chem.MolFromSmiles(smiles).GetAtoms())


def test_perceiving_leaves_the_argument_as_it_is():
    mol = Chem.AddHs(Chem.MolFromSmiles("c1ccoc1"))
    perceive(mol)
    assert sum(atom.GetIsAromatic() for atom in mol.GetAtoms()) == 5


def test_a_key_is_the_molecule_without_order_and_stereochemistry():
    first, second = from_smiles("C[C@H](O)F"), from_smiles("C[C@@H](O)F")
    keys = {
        compute_connectivity_key(to_mapped_smiles(shuffle(mol, seed))) for mol in (first, second) for seed in (0, 1)
    }
    assert len(keys) == 1
    others = {compute_connectivity_key(to_mapped_smiles(from_smiles(one))) for one in ("CC(O)F", "CCOF", "CC([O-])F")}
    assert len(others) == 3
    assert keys < others


def test_keys_that_are_known_are_not_computed_again(monkeypatch):
    monkeypatch.setattr(mapped_smiles, "_known_keys", {})
    mapped = to_mapped_smiles(from_smiles("OCC"))
    assert compute_connectivity_key(mapped) == make_connectivity_key(from_mapped_smiles(mapped)) == "CCO"
    remember_connectivity_keys({mapped: "known"})
    assert compute_connectivity_key(mapped) == "known"
