"""The compiled SchNet against the one that torch differentiates."""

import pytest
import torch

from common.neural.compiled import CompiledSchNet
from common.neural.pairs import compute_pair_vectors, list_pairs
from tests.neural.systems import ETHANOL, displace, make_network

ENERGY_TOLERANCE = 1e-4  # [kcal/mol] float32 sums of energies of some ten kcal/mol
FORCE_TOLERANCE = 2e-4  # [kcal/mol/Angstrom] slopes of a table of float32 lose a digit more than its values


def compute_exactly(network, atomic_nums, coords, cell=None):
    """Energies and forces in float64 by autograd, one frame after the other."""
    double = type(network)(network.settings).double()
    double.load_state_dict(network.state_dict())
    pairs = list_pairs(len(atomic_nums))
    energies, forces = [], []
    for frame in coords:
        leaf = frame.clone().requires_grad_()
        energy = double(atomic_nums, compute_pair_vectors(leaf, pairs, cell), pairs).sum()
        forces.append(-torch.autograd.grad(energy, leaf)[0])
        energies.append(energy.detach())
    return torch.stack(energies), torch.stack(forces)


def compare(network, atomic_nums, coords, cell=None):
    compiled = CompiledSchNet(network, atomic_nums, cell)
    energies, forces = compiled(coords.float())
    expected_energies, expected_forces = compute_exactly(network, atomic_nums, coords.float().double(), cell)
    torch.testing.assert_close(energies.double(), expected_energies, atol=ENERGY_TOLERANCE, rtol=0)

    torch.testing.assert_close(forces.double(), expected_forces, atol=FORCE_TOLERANCE, rtol=0)


@pytest.mark.parametrize(
    "changes", [{}, {"n_interactions": 1}, {"n_channels": 32, "n_filters": 32, "n_interactions": 3}]
)
def test_equals_autograd(changes):
    compare(make_network("schnet", **changes), ETHANOL, displace(5))


def test_far_apart_it_is_right_too():
    """Distances from nearly nothing to beyond the cutoff."""
    coords = torch.tensor([[[0.0, 0.0, 0.0], [0.2, 0.0, 0.0], [3.9, 0.0, 0.0], [0.0, 5.0, 0.0]]], dtype=torch.float64)
    compare(make_network("schnet"), torch.tensor([6, 1, 8, 1]), coords)


def test_a_box_is_seen():
    generator = torch.Generator().manual_seed(4)
    edges = torch.tensor([8.5, 9.0, 8.2], dtype=torch.float64)
    coords = torch.rand(3, 12, 3, generator=generator, dtype=torch.float64) * 2.0 * edges
    atomic_nums = torch.tensor([8, 1, 1] * 4)
    compare(make_network("schnet"), atomic_nums, coords, edges)


def test_a_replica_has_the_same_bits_in_any_company():
    compiled = CompiledSchNet(make_network("schnet"), ETHANOL, None)
    coords = displace(9).float()
    energies, forces = compiled(coords)
    lost = coords.clone()
    lost[3] = torch.nan
    lost[5, 2] = torch.inf
    other_energies, other_forces = compiled(lost)
    rest = torch.tensor([0, 1, 2, 4, 6, 7, 8])
    assert torch.equal(other_energies[rest], energies[rest])
    assert torch.equal(other_forces[rest], forces[rest])
    assert other_energies[[3, 5]].isnan().all()
    assert other_forces[[3, 5]].isnan().all()
    assert torch.equal(compiled(coords[4:6])[1], forces[4:6])


def test_training_on_changes_nothing_that_was_compiled():
    network = make_network("schnet")
    compiled = CompiledSchNet(network, ETHANOL, None)
    before = compiled(displace(2).float())[1]
    for parameter in network.parameters():
        parameter.data *= 1.1
    assert torch.equal(compiled(displace(2).float())[1], before)


def test_only_a_schnet_is_compiled():
    with pytest.raises(TypeError, match="SchNet"):
        CompiledSchNet(make_network("painn"), ETHANOL, None)
