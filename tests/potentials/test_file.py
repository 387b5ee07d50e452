"""Potentials from files, and files that are none."""

import pytest
import torch

from common.files.tensor_file import read_tensors, write_tensors
from common.forcefields.parameter_file import save_parameters
from common.potentials.file import NetworkFile, is_network_file, load_network, load_potential, save_network
from common.potentials.smirnoff import SmirnoffPotential
from tests.neural.systems import ETHANOL, displace, make_network


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "potential.pt"
    save_network(path, NetworkFile(make_network("painn"), {6: -23_000.0, 1: -300.0}, {"seed": 4}))
    return path


def test_a_network_survives_a_round_trip_bit_for_bit(path):
    contents = load_network(path)
    assert contents.network.settings == make_network("painn").settings
    assert contents.reference_energies == {6: -23_000.0, 1: -300.0}
    assert contents.provenance == {"seed": 4}
    for name, value in make_network("painn").state_dict().items():
        assert torch.equal(contents.network.state_dict()[name], value)


def test_a_system_gets_its_potential(path):
    assert is_network_file(path)
    potential = load_potential(path, "unused", ETHANOL, dtype=torch.float64)
    assert potential.compute_energies(displace(2)).dtype == torch.float64


def test_a_force_field_file_is_a_potential_too(tmp_path, parity_molecules, parity_energies):
    record = parity_energies[3]
    path = tmp_path / "force-field.pt"
    save_parameters(path, parity_molecules)
    assert not is_network_file(path)
    topology = parity_molecules.topologies[record["smiles"]]
    potential = load_potential(path, record["smiles"], topology.atomic_nums)
    coords = torch.tensor(record["coords"], dtype=torch.float64)
    expected = SmirnoffPotential(topology, parity_molecules.force_field).compute_energies(coords)
    torch.testing.assert_close(potential.compute_energies(coords), expected, rtol=0, atol=0)
    with pytest.raises(ValueError, match="no parameters for"):
        load_potential(path, "[H:1][H:2]", torch.tensor([1, 1]))
    with pytest.raises(ValueError, match="gas phase"):
        load_potential(path, record["smiles"], topology.atomic_nums, torch.tensor([20.0, 20.0, 20.0]))


def test_what_is_missing_or_no_potential_is_named(tmp_path, path):
    with pytest.raises(FileNotFoundError, match=r"missing\.pt"):
        load_network(tmp_path / "missing.pt")
    text = tmp_path / "text.pt"
    text.write_text("no tensors")
    with pytest.raises(ValueError, match=r"text\.pt: damaged"):
        load_network(text)
    other = tmp_path / "other.pt"
    write_tensors({"format": 1, "kind": "something else"}, other)
    with pytest.raises(ValueError, match="is no neural potential"):
        load_network(other)


def test_weights_of_another_size_are_refused(tmp_path, path):
    plain = read_tensors(path)
    plain["settings"]["trunk"]["n_channels"] = 14
    write_tensors(plain, path)
    with pytest.raises(ValueError, match="do not fit"):
        load_network(path)


def test_another_version_is_refused(path):
    write_tensors({**read_tensors(path), "format": 99}, path)
    with pytest.raises(ValueError, match="format 99"):
        load_network(path)
