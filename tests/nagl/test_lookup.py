"""The look-up table: keyed by InChI, handed out in the order of the molecule's atoms."""

import numpy
import pytest
from rdkit import Chem

from common.molecules.mapped_smiles import from_mapped_smiles, from_smiles, perceive
from common.nagl.lookup import LookupTable
from common.nagl.weights import LookupEntry

ACETATE = "[C:1]([C:2](=[O:3])[O-:4])([H:5])([H:6])[H:7]"
CHARGES = (-0.25, 0.875, -0.8125, -0.8125, 0.03125, -0.0625, 0.03125)
"""Numbers that single precision holds; the hydrogens differ, to be told apart."""


def make_table(mapped_smiles: str, charges: tuple[float, ...]) -> LookupTable:
    inchi = Chem.MolToInchi(from_mapped_smiles(mapped_smiles), "/LargeMolecules /FixedH")
    return LookupTable({inchi: LookupEntry(mapped_smiles, charges)})


def test_the_same_order_gives_the_entry_as_it_is():
    found = make_table(ACETATE, CHARGES).find_charges(from_mapped_smiles(ACETATE))
    assert found.tolist() == list(CHARGES)


def test_heavy_atoms_keep_their_charges_in_any_order():
    mol = from_mapped_smiles(ACETATE)
    table = make_table(ACETATE, CHARGES)
    rng = numpy.random.default_rng(0)
    for _ in range(20):
        order = rng.permutation(7).tolist()
        found = table.find_charges(perceive(Chem.RenumberAtoms(mol, order)))
        by_origin = dict(zip(order, found.tolist(), strict=True))
        assert [by_origin[i] for i in range(4)] == list(CHARGES[:4])
        assert sorted(found) == sorted(CHARGES)


def test_the_charged_atom_is_found_where_the_others_are_alike():
    """Both oxygens are oxygens, yet the entry gives the one drawn with the charge another value."""
    table = make_table(ACETATE, (-0.25, 0.875, -0.5, -1.125, 0.0, 0.0, 0.0))
    swapped = from_mapped_smiles("[C:1]([C:2](=[O:4])[O-:3])([H:5])([H:6])[H:7]")
    assert table.find_charges(swapped).tolist()[2:4] == [-1.125, -0.5]


def test_another_way_of_drawing_the_charges_finds_the_entry():
    """Diazomethane, drawn with the charge on carbon or on nitrogen, has one InChI."""
    entry = "[C:1](=[N+:2]=[N-:3])([H:4])[H:5]"
    table = make_table(entry, (-0.5, 0.25, -0.25, 0.25, 0.25))
    other = from_mapped_smiles("[C-:1]([N+:2]#[N:3])([H:4])[H:5]")
    assert table.find_charges(other).tolist() == [-0.5, 0.25, -0.25, 0.25, 0.25]


def test_isotopes_share_an_entry():
    table = make_table("[O:1]([H:2])[H:3]", (-0.75, 0.375, 0.375))
    assert table.find_charges(from_mapped_smiles("[O:1]([2H:2])[2H:3]")).tolist() == [-0.75, 0.375, 0.375]


@pytest.mark.parametrize(
    "smiles",
    [
        "CC(=O)O",  # another protonation state
        "C=C(O)[O-]",  # another charge of other hydrogens
        "CC[O-]",  # another formula
        "COC=O",  # an isomer of the acid
        "c1ccccc1",
    ],
)
def test_other_molecules_are_not_found(smiles):
    mol = from_smiles(smiles)
    assert make_table(ACETATE, CHARGES).find_charges(mol) is None


def test_an_entry_of_another_molecule_is_refused():
    inchi = Chem.MolToInchi(from_mapped_smiles(ACETATE), "/LargeMolecules /FixedH")
    table = LookupTable({inchi: LookupEntry("[O:1]([H:2])[H:3]", (-0.75, 0.375, 0.375))})
    with pytest.raises(ValueError, match="charges of another molecule"):
        table.find_charges(from_mapped_smiles(ACETATE))
