"""Features of energies against the energies themselves."""

import pytest
import torch

from common.forcefields.energy import compute_energy
from common.stability.energy_features import compute_energy_features
from common.sufficient_statistics.linearization import Linearization
from tests.helpers import change_parameters

VALENCE = ("Bonds", "Angles", "ProperTorsions", "ImproperTorsions")


@pytest.mark.parametrize("index", [3, 20, 60])
def test_differences_of_energies_are_exact(parity_molecules, parity_energies, index):
    """f(x)·(φ - φ̄) is the change of the energy, but for a constant that all frames share."""
    record = parity_energies[index]
    topology, force_field = parity_molecules.topologies[record["smiles"]], parity_molecules.force_field
    coords = torch.tensor(record["coords"], dtype=torch.float64)
    other = change_parameters(force_field, VALENCE, seed=1)
    linearization = Linearization(force_field)
    features = compute_energy_features(topology, linearization, coords)
    found = features @ (linearization.compute(other) - linearization.compute(force_field))
    expected = compute_energy(topology, other, coords) - compute_energy(topology, force_field, coords)
    torch.testing.assert_close(found - found.mean(), expected - expected.mean(), atol=1e-8, rtol=0)


def test_only_the_rows_of_the_molecule_have_features(parity_molecules, parity_energies):
    record = parity_energies[3]
    topology = parity_molecules.topologies[record["smiles"]]
    linearization = Linearization(parity_molecules.force_field)
    features = compute_energy_features(topology, linearization, torch.tensor(record["coords"], dtype=torch.float64))
    used = {linearization.find_rows()[k] for k in torch.nonzero(features.abs().sum(0))[:, 0].tolist()}
    expected = {(type_, row) for type_ in VALENCE for row in topology.parameters[type_].parameter_idxs.tolist()}
    assert used == expected
