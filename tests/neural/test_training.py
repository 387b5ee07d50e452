"""Training: the loss goes down, states go on bit for bit, ranks and schedules do what they say."""

import dataclasses

import numpy
import pytest
import torch

from common.data.dataset import Entry
from common.data.trajectories import Trajectory
from common.neural.frames import FrameSet
from common.neural.training import Trainer, TrainingSettings, compute_batch, compute_errors, compute_loss
from common.potentials.neural import NeuralPotential
from common.processes.ranks import Ranks
from tests.neural.systems import ETHANOL, displace, make_network
from tests.observables.systems import ETHANOL_SMILES

SETTINGS = TrainingSettings(max_epochs=6, batch_size=40, learning_rate=3e-3, schedule="constant", warm_up_steps=3)


@pytest.fixture(scope="module")
def frames():
    """Ethanol with energies and forces of another network."""
    coords = displace(60)
    teacher = make_network("schnet", seed=9).double()
    energies, forces = NeuralPotential(teacher, ETHANOL).compute_energies_and_forces(coords)
    entry = Entry(ETHANOL_SMILES, coords.numpy(), energies.numpy(), forces.numpy())
    return FrameSet([Trajectory(entry, numpy.ones(9))], dict.fromkeys((1, 6, 8), 0.0))


def make_trainer(frames, settings=SETTINGS, ranks=None, architecture="schnet"):
    return Trainer(make_network(architecture), settings, frames, range(50), range(50, 60), ranks or Ranks(0, 1))


def test_the_loss_is_that_of_its_formula(frames):
    network, batch = make_network("schnet"), frames.select(range(5))
    energies, forces = compute_batch(network, batch, differentiable=False)
    expected = 0.05 * (energies - batch.energies).square().mean() + 0.95 * (forces - batch.forces).square().mean()
    found = compute_loss(network, batch, (0.05, 0.95), (5, 5 * 27))
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    errors = compute_errors(network, frames, range(5))
    assert errors.compute_loss((0.05, 0.95)) == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("architecture", ["schnet", "painn"])
def test_it_learns(frames, architecture):
    trainer = make_trainer(frames, dataclasses.replace(SETTINGS, max_epochs=25), architecture=architecture)
    first = trainer.validate()
    while not trainer.is_finished:
        trainer.run_epoch()
        trainer.validate()
    assert trainer.best_loss < 0.3 * first.compute_loss((0.05, 0.95))


def test_it_goes_on_bit_for_bit(frames):
    settings = dataclasses.replace(SETTINGS, averaging=0.9, schedule="plateau")
    whole = make_trainer(frames, settings)
    half = make_trainer(frames, settings)
    for _ in range(3):
        half.run_epoch()
        half.validate()
    resumed = make_trainer(frames, settings)
    resumed.set_state(half.get_state())
    for trainer in (whole, resumed):
        while not trainer.is_finished:
            trainer.run_epoch()
            trainer.validate()
    for name, value in whole.best_weights.items():
        assert torch.equal(value, resumed.best_weights[name])
    assert whole.n_steps == resumed.n_steps


def test_parts_are_dealt_to_ranks_and_add_up(frames):
    """The rows that two ranks compute are disjoint and together those of one."""
    collected = []

    class Spy(Ranks):
        def sum_in_place(self, tensor):
            collected.append(tensor.clone())
            return tensor

    for rank, size in ((0, 1), (0, 2), (1, 2)):
        trainer = make_trainer(frames, ranks=Spy(rank, size))
        trainer._make_step(torch.arange(50))
    one, first, second = collected
    assert torch.equal(first + second, one)
    assert (first.abs().sum(1) > 0).tolist() == [True, False]


def test_the_rate_rises_falls_and_ends(frames):
    trainer = make_trainer(frames, dataclasses.replace(SETTINGS, schedule="cosine", warm_up_steps=10))
    assert trainer.learning_rate == pytest.approx(0.2 * 3e-3)
    trainer.n_steps = 5
    assert 0.2 * 3e-3 < trainer.learning_rate < 3e-3
    trainer.n_steps = 12
    assert trainer.learning_rate < 1e-8

    plateau = make_trainer(frames, dataclasses.replace(SETTINGS, schedule="plateau", decay=0.5, patience=1))
    plateau.best_loss = 0.0
    for _ in range(4):
        plateau.validate()
    assert plateau.factor == 0.25
    plateau.factor = 1e-9
    assert plateau.is_finished


def test_stale_training_stops(frames):
    trainer = make_trainer(frames, dataclasses.replace(SETTINGS, early_stopping=2))
    trainer.best_loss = 0.0
    trainer.validate()
    assert not trainer.is_finished
    trainer.validate()
    assert trainer.is_finished


def test_without_validation_the_last_weights_are_kept(frames):
    trainer = Trainer(make_network("schnet"), SETTINGS, frames, range(20), [], Ranks(0, 1))
    trainer.run_epoch()
    assert trainer.validate() is None
    for name, value in trainer.network.state_dict().items():
        assert torch.equal(value, trainer.best_weights[name])


def test_long_gradients_are_clipped(frames):
    trainer = make_trainer(frames, dataclasses.replace(SETTINGS, clipping=1e-3))
    trainer.run_epoch()
    length = torch.cat([p.grad.reshape(-1) for p in trainer.network.parameters()]).norm().item()
    assert length == pytest.approx(1e-3, rel=1e-4)
