"""The force constant of the bonds of hydrogen."""

import numpy
import pytest

from common.plausibility.bond_lengths import list_bonds
from common.plausibility.stretches import check_stretches, estimate_constant

SMILES = "[O:1]([H:2])[H:3]"
CONSTANT = 1000.0


def stretch(constant: float, width: float = 0.02) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Water with harmonic O-H bonds at random lengths."""
    lengths = 0.96 + numpy.random.default_rng(0).normal(0.0, width, (8, 2))
    directions = numpy.array([[1.0, 0.0, 0.0], [-0.25, 0.968, 0.0]])
    coords, forces = numpy.zeros((8, 3, 3)), numpy.zeros((8, 3, 3))
    coords[:, 1:] = lengths[:, :, None] * directions
    forces[:, 1:] = -constant * (lengths - 0.96)[:, :, None] * directions
    forces[:, 0] = -forces[:, 1:].sum(1)
    return coords, forces


def test_a_harmonic_bond_gives_its_constant():
    constant, correlation = estimate_constant(list_bonds(SMILES), *stretch(CONSTANT))
    assert constant == pytest.approx(CONSTANT)
    assert correlation == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("factor", "kinds"),
    [
        (1.0, []),
        (-1.0, ["gradients"]),
        (4.184, ["kJ/mol"]),
        (1.0 / 627.5, ["force unit"]),
        (-1.0 / 1185.8, ["gradients", "force unit"]),
    ],
)
def test_sign_and_unit_are_told(factor, kinds):
    doubts = check_stretches(list_bonds(SMILES), *stretch(factor * CONSTANT))
    assert [doubt.kind for doubt in doubts] == kinds


def test_bonds_that_hardly_move_and_single_conformers_say_nothing():
    assert estimate_constant(list_bonds(SMILES), *stretch(CONSTANT, 1e-4)) is None
    coords, forces = stretch(CONSTANT)
    assert estimate_constant(list_bonds(SMILES), coords[:1], forces[:1]) is None
    assert estimate_constant(list_bonds(SMILES), coords, 0.0 * forces) is None
