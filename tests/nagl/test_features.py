"""What the network is told: each feature against what chemistry says, and what it has no place for."""

import numpy
import pytest
from rdkit import Chem

from common.molecules.mapped_smiles import from_smiles
from common.nagl.features import check_features, compute_atom_features

ELEMENTS = {"name": "atomic_element", "categories": ["H", "C", "N", "O"]}
BONDS = {"name": "atom_connectivity", "categories": [1, 2, 3, 4]}
CHARGE = {"name": "atom_average_formal_charge"}


def make_ring(size: int) -> dict:
    return {"name": "atom_in_ring_of_size", "ring_size": size}


def compute(smiles: str, *features: dict) -> list[list[float]]:
    return compute_atom_features(from_smiles(smiles), features).tolist()


def test_features_stand_side_by_side_in_their_order():
    found = compute_atom_features(from_smiles("O"), [ELEMENTS, BONDS])
    assert found.dtype == numpy.float32
    oxygen, hydrogen = [0, 0, 0, 1, 0, 1, 0, 0], [1, 0, 0, 0, 1, 0, 0, 0]
    assert found.tolist() == [oxygen, hydrogen, hydrogen]


def test_charges_are_averages_over_resonance_forms():
    acetate = [row[0] for row in compute("CC(=O)[O-]", CHARGE)]
    assert acetate == [0.0, 0.0, -0.5, -0.5, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("smiles", "size", "members"),
    [
        ("C1CC1C", 3, {0, 1, 2}),
        ("C1CC1C", 4, set()),
        ("c1ccc2[nH]ccc2c1", 5, {3, 4, 5, 6, 7}),
        ("c1ccc2[nH]ccc2c1", 6, {0, 1, 2, 3, 7, 8}),
        ("CCO", 5, set()),
    ],
)
def test_ring_members(smiles, size, members):
    assert {i for i, (value,) in enumerate(compute(smiles, make_ring(size))) if value} == members


def test_features_follow_their_atoms():
    mol = from_smiles("OC1CCCN1")
    order = numpy.random.default_rng(0).permutation(mol.GetNumAtoms())
    features = [ELEMENTS, BONDS, CHARGE, make_ring(5)]
    found = compute_atom_features(Chem.RenumberAtoms(mol, order.tolist()), features)
    numpy.testing.assert_array_equal(found, compute_atom_features(mol, features)[order])


def test_what_has_no_place_is_named():
    with pytest.raises(ValueError, match="element Si is outside of what the charge model knows"):
        compute("[SiH4]", ELEMENTS)
    with pytest.raises(ValueError, match="number of bonds 5 is outside"):
        compute("P(F)(F)(F)(F)F", BONDS)


def test_a_feature_that_cannot_be_computed_is_named():
    check_features([ELEMENTS, BONDS, CHARGE, make_ring(3)])
    with pytest.raises(ValueError, match="atom features atom_mass are not known here; known are atomic_element"):
        check_features([ELEMENTS, {"name": "atom_mass"}])
