"""A ``.pt`` file as a level of theory."""

import dataclasses

import numpy
import pytest
import torch

from common.calculators.force_field import ForceField
from common.calculators.interface import CalculationError
from common.forcefields.energy import compute_energy, compute_forces
from common.forcefields.parameter_file import save_parameters

EXACT = 1e-12  # [kcal/mol] the same function, called with one conformer in place of three


@pytest.fixture(scope="module")
def file(parity_molecules, tmp_path_factory):
    path = tmp_path_factory.mktemp("parameters") / "parity.pt"
    save_parameters(path, parity_molecules)
    return path


def get_atoms(topology):
    return topology.atomic_nums.numpy(), int(topology.formal_charges.sum())


def test_energy_and_forces_are_those_of_the_force_field(file, parity_molecules, parity_energies):
    record = parity_energies[3]
    topology = parity_molecules.topologies[record["smiles"]]
    coords = torch.tensor(record["coords"], dtype=torch.float64)
    numbers, charge = get_atoms(topology)
    calculator = ForceField(file, record["smiles"])
    energy = compute_energy(topology, parity_molecules.force_field, coords)
    forces = compute_forces(topology, parity_molecules.force_field, coords)
    for k in range(len(coords)):
        found = calculator(numbers, coords[k].numpy(), charge)
        assert found.energy == pytest.approx(energy[k].item(), abs=EXACT)
        numpy.testing.assert_allclose(found.forces, forces[k].numpy(), atol=EXACT)


def test_a_molecule_is_found_by_its_atoms(file, parity_molecules, parity_energies):
    record = parity_energies[3]
    numbers, charge = get_atoms(parity_molecules.topologies[record["smiles"]])
    by_atoms = ForceField(file)(numbers, numpy.array(record["coords"][0]), charge)
    by_name = ForceField(file, record["smiles"])(numbers, numpy.array(record["coords"][0]), charge)
    assert by_atoms.energy == by_name.energy


def test_molecules_that_share_their_atoms_must_be_named(tmp_path, parity_molecules):
    topologies = parity_molecules.topologies
    smiles, topology = next(iter(topologies.items()))
    twin = dataclasses.replace(parity_molecules, topologies={smiles: topology, f"{smiles} twin": topology})
    save_parameters(tmp_path / "twins.pt", twin)
    numbers, charge = get_atoms(topology)
    with pytest.raises(CalculationError, match=r"2 molecules have these atoms.*name one, as smirnoff:FILE:SMILES"):
        ForceField(tmp_path / "twins.pt")(numbers, numpy.zeros((len(numbers), 3)), charge)


def test_atoms_that_are_not_there(file):
    with pytest.raises(CalculationError, match="0 molecules have these atoms"):
        ForceField(file)(numpy.array([2, 2]), numpy.zeros((2, 3)), 0)


def test_a_molecule_that_is_not_there(file):
    with pytest.raises(ValueError, match=r"no parameters for \[He:1\]"):
        ForceField(file, "[He:1]")


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.pt"):
        ForceField(tmp_path / "none.pt")
