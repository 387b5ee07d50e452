"""Normalization: one Lewis structure for each way of drawing a group."""

import pytest
from rdkit import Chem

from common.molecules.mapped_smiles import from_smiles
from common.nagl.normalization import RULES, normalize


def write(mol: Chem.Mol) -> str:
    return Chem.CanonSmiles(Chem.MolToSmiles(Chem.RemoveHs(mol)))


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        ("CN(=O)=O", "C[N+](=O)[O-]"),
        ("C[S+2]([O-])([O-])C", "CS(C)(=O)=O"),
        ("c1ccn(=O)cc1", "c1cc[n+]([O-])cc1"),
        ("CS(C)=O", "C[S+](C)[O-]"),
        ("C[P+]([O-])([O-])C", "CP(C)(=O)[O-]"),
        ("C[C+](N)N(C)C", "CC(=[NH2+])N(C)C"),
        ("C[N-]C=[N+](C)C", "CN=CN(C)C"),
        ("[S-]c1cccc[n+]1C", "S=c1ccccn1C"),
        ("[O-]C=CC=[N+](C)C", "O=CC=CN(C)C"),
        ("[O-]c1cc[n+](C)cc1", "O=c1ccn(C)cc1"),
        ("NC=[N+](C)C", "[NH2+]=CN(C)C"),
        ("NC=CC=[N+](C)C", "[NH2+]=CC=CN(C)C"),
        ("c1cc(=[N+](C)C)cc[nH]1", "CN(C)c1cc[nH+]cc1"),
        ("O=S(C)CCS(=O)C", "[O-][S+](C)CC[S+](C)[O-]"),
    ],
)
def test_groups_are_brought_to_one_drawing(drawn, expected):
    assert write(normalize(from_smiles(drawn))) == Chem.CanonSmiles(expected)


@pytest.mark.parametrize("smiles", ["CCO", "CC(=O)Nc1ccccc1", "CS(C)(=O)=O", "C[N+](=O)[O-]", "[O-][n+]1ccccc1"])
def test_what_is_drawn_so_already_stays(smiles):
    assert write(normalize(from_smiles(smiles))) == Chem.CanonSmiles(smiles)


@pytest.mark.parametrize("smiles", ["CS(C)=O", "CN(=O)=O", "[O-]c1cc[n+](C)cc1", "CCO"])
def test_atoms_keep_their_order_and_the_molecule_its_charge(smiles):
    mol = from_smiles(smiles)
    normalized = normalize(mol)
    assert [a.GetAtomicNum() for a in normalized.GetAtoms()] == [a.GetAtomicNum() for a in mol.GetAtoms()]
    pairs = [{tuple(sorted((b.GetBeginAtomIdx(), b.GetEndAtomIdx()))) for b in m.GetBonds()} for m in (mol, normalized)]
    assert pairs[0] == pairs[1]
    assert Chem.GetFormalCharge(normalized) == Chem.GetFormalCharge(mol)


def test_the_argument_stays_as_it_is():
    mol = from_smiles("CS(C)=O")
    before = Chem.MolToSmiles(mol)
    normalize(mol)
    assert Chem.MolToSmiles(mol) == before


def test_double_bonds_are_localized():
    orders = [bond.GetBondTypeAsDouble() for bond in normalize(from_smiles("c1ccncc1")).GetBonds()]
    assert set(orders) == {1.0, 2.0}


def test_every_rule_is_a_reaction_of_one_molecule_with_itself():
    from rdkit.Chem import rdChemReactions

    for rule in RULES:
        reaction = rdChemReactions.ReactionFromSmarts(rule)
        assert (reaction.GetNumReactantTemplates(), reaction.GetNumProductTemplates()) == (1, 1), rule
        assert reaction.Validate()[1] == 0, rule
