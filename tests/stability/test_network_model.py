"""A network as what is learnt: its quantum loss and its batches."""

import pytest
import torch

from common.potentials.neural import NeuralPotential
from common.stability.network_model import NetworkModel
from tests.neural.systems import ETHANOL, displace, make_network


@pytest.fixture
def frames():
    generator = torch.Generator().manual_seed(1)
    return (
        displace(60),
        torch.randn(60, generator=generator).double(),
        torch.randn(60, 9, 3, generator=generator).double(),
    )


def make_model(frames, batch_size, molecule_idxs=None):
    potential = NeuralPotential(make_network("schnet").double(), ETHANOL)
    return NetworkModel(potential, *frames, (0.05, 0.95), batch_size, molecule_idxs)


def test_parts_add_up_to_the_loss(frames):
    model = make_model(frames, 100)
    parts = model.compute_quantum_losses((0,))
    assert len(parts) == 3
    energies, forces = model.potential.compute_energies_and_forces(frames[0])
    expected = 0.05 * (energies - frames[1]).square().mean() + 0.95 * (forces - frames[2]).square().mean()
    assert sum(part().item() for part in parts) == pytest.approx(expected.item(), rel=1e-10)


def test_a_batch_is_drawn_for_each_step_and_can_be_drawn_again(frames):
    model = make_model(frames, 10)
    losses = [sum(part().item() for part in model.compute_quantum_losses(key)) for key in ((0, 1), (0, 2), (0, 1))]
    assert losses[0] == losses[2] != losses[1]


def test_molecules_have_energies_of_their_own(frames):
    model = make_model(frames, 10, torch.tensor([0, 0, 0, 1, 1, 1, 1, 1, 1]))
    parts = model.compute(model.prepare(frames[0][:5]))
    assert parts.shape == (5, 2)
    torch.testing.assert_close(parts.sum(1), model.potential.compute_energies(frames[0][:5]), atol=1e-10, rtol=0)
