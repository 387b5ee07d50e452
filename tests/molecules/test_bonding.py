"""Whether a geometry still shows its molecule."""

import numpy
import pytest

from common.molecules.bonding import is_bonded_as_drawn
from common.molecules.conformers import embed_conformers
from common.molecules.mapped_smiles import from_smiles


@pytest.fixture(scope="module")
def ethanol():
    mol = from_smiles("CCO")
    return mol, embed_conformers(mol, 1, 0)[0]


def test_a_conformer_is_bonded_as_drawn(ethanol):
    assert is_bonded_as_drawn(*ethanol)


def test_a_broken_bond_is_seen(ethanol):
    mol, coords = ethanol
    direction = coords[2] - coords[1]
    moved = coords.copy()
    moved[2] += 0.8 * direction / numpy.linalg.norm(direction)
    assert not is_bonded_as_drawn(mol, moved)


def test_a_bond_that_was_not_drawn_is_seen(ethanol):
    mol, coords = ethanol
    moved = coords.copy()
    moved[8] = coords[0] + [0.0, 0.0, 1.0]  # the hydroxyl's hydrogen, put beside the other carbon
    assert not is_bonded_as_drawn(mol, moved)


def test_atoms_may_turn_about_bonds(ethanol):
    mol, coords = ethanol
    for other in embed_conformers(mol, 10, 5):
        assert is_bonded_as_drawn(mol, other)
    assert is_bonded_as_drawn(mol, coords @ numpy.diag([1.0, 1.0, -1.0]))
