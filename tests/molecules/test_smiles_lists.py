"""SMILES as people keep them."""

import pytest

from common.molecules.mapped_smiles import compute_connectivity_key, from_mapped_smiles, from_smiles, to_mapped_smiles
from common.molecules.smiles_lists import complete_smiles, count_atoms, parse_smiles_list

MAPPED = to_mapped_smiles(from_smiles("CCO"))


def test_lists_of_either_kind_are_read_each_molecule_once():
    assert parse_smiles_list("CCO ethanol\n# comment\n\nC my methane\nCCO\n") == ["CCO", "C"]
    assert parse_smiles_list('["CCO", "C"]') == ["CCO", "C"]
    assert parse_smiles_list("[H][H]\n") == ["[H][H]"]


@pytest.mark.parametrize("text", ["", "\n# nothing\n", "[]", '["a", 1]', '["a"'])
def test_what_is_no_list_is_refused(text):
    with pytest.raises(ValueError, match=r"expected SMILES|damaged JSON"):
        parse_smiles_list(text)


def test_plain_smiles_are_completed_and_mapped_ones_stay():
    assert complete_smiles("CCO") == MAPPED
    assert complete_smiles(MAPPED) == MAPPED
    assert complete_smiles("no SMILES") == "no SMILES"
    completed = complete_smiles("C[C@H](O)[NH3+]")
    assert compute_connectivity_key(completed) == "CC([NH3+])O"
    assert len(from_mapped_smiles(completed).GetAtoms()) == 12


@pytest.mark.parametrize(("smiles", "n_atoms"), [("CCO", 9), (MAPPED, 9), ("C" * 3003, 9011), ("no SMILES", 0)])
def test_atoms_are_counted(smiles, n_atoms):
    assert count_atoms(smiles) == n_atoms
