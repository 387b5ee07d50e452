"""Flexible SPC water by OpenMM: its forces, its geometry, its symmetry."""

import numpy
import pytest

from common.interop import openmm_water
from common.molecules.mapped_smiles import from_mapped_smiles

pytest.importorskip("openmm")

DIFFERENCE_TOLERANCE = 0.02  # [kcal/mol/Angstrom] of forces of some ten: single precision, and Ewald sums cut off


@pytest.fixture(scope="module")
def water():
    return openmm_water.FlexibleWater(16, 8.0)


@pytest.fixture(scope="module")
def coords(water):
    start = water.make_start(1)
    return start + 0.05 * numpy.random.default_rng(2).normal(size=start.shape)


def test_forces_are_minus_the_gradient(water, coords):
    _, forces = water.compute(coords)
    step = 2e-3
    for atom, axis in ((0, 0), (7, 1), (47, 2)):
        moved = coords.copy()
        moved[atom, axis] += step
        above = water.compute(moved)[0]
        moved[atom, axis] -= 2.0 * step
        numeric = (water.compute(moved)[0] - above) / (2.0 * step)
        assert forces[atom, axis] == pytest.approx(numeric, abs=DIFFERENCE_TOLERANCE)
    assert abs(forces.sum(0)).max() < DIFFERENCE_TOLERANCE * len(forces)


def test_a_molecule_may_be_moved_by_an_edge(water, coords):
    moved = coords.copy()
    moved[3:6] += [8.0, 0.0, -8.0]
    assert water.compute(moved)[0] == pytest.approx(water.compute(coords)[0], abs=1e-2)


def test_starts_are_relaxed_and_differ(water):
    first, second = water.make_start(1), water.make_start(2)
    assert abs(first - second).max() > 1.0
    lengths = numpy.linalg.norm(first[1::3] - first[0::3], axis=1)
    assert abs(lengths - openmm_water.BOND_LENGTH).max() < 0.06
    assert water.compute(first)[0] / 16 < -8.0  # [kcal/mol] bound to each other


def test_its_smiles_has_its_atoms(water):
    mol = from_mapped_smiles(water.smiles)
    assert [atom.GetAtomicNum() for atom in mol.GetAtoms()] == [8, 1, 1] * 16
    assert len(water.masses) == 48


def test_a_small_box_is_refused():
    with pytest.raises(ValueError, match="too small for a liquid"):
        openmm_water.FlexibleWater(2, 4.0)
