"""Relaxations of generated molecules, and the data that they leave."""

import numpy
import pytest

from common.calculators.tight_binding import TightBinding
from common.generation.assessment import examine
from common.generation.refinement import make_entry, refine
from common.generators.batches import Geometry
from common.molecules.mapped_smiles import from_mapped_smiles
from common.molecules.perception import PerceptionSettings
from tests.generators.made_up import make_geometry

LEVEL = TightBinding("GFN2-xTB")


@pytest.fixture(scope="module")
def methanol():
    molecule = make_geometry("CO")
    return molecule, examine(molecule, PerceptionSettings())


@pytest.fixture(scope="module")
def refined(methanol):
    geometry, examined = methanol
    return refine((geometry, examined.flat), 1.0, PerceptionSettings())


def test_a_molecule_moves_downhill_and_stays_what_it_is(methanol, refined):
    geometry, _ = methanol
    assert refined.reason == ""
    assert refined.is_same
    assert refined.drop > 0.0
    assert 0.0 < refined.rmsd < 0.3
    assert refined.max_force > 1.0
    assert len(refined.energies) == refined.n_calculations
    numpy.testing.assert_array_equal(refined.coords[0], geometry.coords)
    assert refined.energies.min() == pytest.approx(refined.energies[0] - refined.drop)


def test_energies_and_forces_belong_to_their_frames(methanol, refined):
    geometry, _ = methanol
    for i in (0, len(refined.energies) - 1):
        energy, forces = LEVEL(geometry.numbers, refined.coords[i], 0)
        assert refined.energies[i] == pytest.approx(energy, abs=1e-9)
        numpy.testing.assert_allclose(refined.forces[i], forces, atol=1e-9)


def test_properties_before_and_after_are_those_of_the_ends(refined):
    assert set(refined.before) == set(refined.after) == {"gap", "homo", "lumo"}
    assert refined.before["gap"] == pytest.approx(refined.before["lumo"] - refined.before["homo"])
    assert refined.before != refined.after


def test_the_way_is_an_entry_of_a_data_set(methanol, refined):
    geometry, examined = methanol
    entry = make_entry(examined, refined, "generated/7")
    mol = from_mapped_smiles(entry.smiles)
    assert [atom.GetAtomicNum() for atom in mol.GetAtoms()] == geometry.numbers.tolist()
    assert entry.energy.mean() == pytest.approx(0.0, abs=1e-9)
    numpy.testing.assert_allclose(entry.energy + entry.energy_offset, refined.energies)
    assert (entry.n_confs, entry.entry) == (refined.n_calculations, "generated/7")


def test_what_fails_says_why():
    helium = Geometry(numpy.array([1]), numpy.zeros((1, 3)))  # one electron
    assert "odd number" in refine((helium, "[H]"), 1.0, PerceptionSettings()).reason
