"""Lengths of bonds against covalent radii."""

import numpy
import pytest

from common.plausibility.bond_lengths import check_bond_lengths, compute_ratios, list_bonds
from tests.plausibility.samples import read_example

WATER = "[O:1]([H:2])[H:3]"
COORDS = numpy.array([[[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]]])


def test_ratios_of_normal_bonds_are_near_one():
    for entry in read_example():
        ratios = compute_ratios(list_bonds(entry.smiles), entry.coords)
        assert ratios.min() > 0.7
        assert ratios.max() < 1.35


def test_bonds_of_hydrogen_are_listed_with_the_hydrogen_first():
    bonded = list_bonds(WATER)
    assert bonded.hydrogens.tolist() == [[1, 0], [2, 0]]
    assert bonded.heavier.tolist() == [8, 8]
    assert not len(list_bonds("[H:1][H:2]").hydrogens)


@pytest.mark.parametrize(
    ("scale", "kind"), [(1.89, "bohr"), (0.529, "length unit"), (0.1, "length unit"), (33.0, "length unit")]
)
def test_another_unit_changes_all_bonds_alike(scale, kind):
    [doubt] = check_bond_lengths(list_bonds(WATER), COORDS * scale)
    assert doubt.kind == kind


def test_one_broken_bond_is_named():
    coords = COORDS.copy()
    coords[0, 2] *= 3.0
    [doubt] = check_bond_lengths(list_bonds(WATER), coords)
    assert doubt.kind == "order"
    assert "1 of 2 bonds are broken, e.g. that of atoms 1 and 3 has 2.88 A" in doubt.text


def test_an_atom_has_no_bonds():
    assert check_bond_lengths(list_bonds("[Ar:1]"), numpy.zeros((3, 1, 3))) == []
