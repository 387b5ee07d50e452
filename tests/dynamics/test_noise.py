"""Noise that belongs to its replica."""

import torch

from common.dynamics.noise import BLOCK_STEPS, ReplicaNoise
from common.processes.generators import make_generator


def draw_all(replicas, n_steps):
    noise = ReplicaNoise([make_generator(7, replica) for replica in replicas], 4, torch.float64, "cpu")
    return torch.stack([noise.draw() for _ in range(n_steps)])


def test_a_replica_has_the_same_noise_in_any_company():
    n_steps = 2 * BLOCK_STEPS + 3
    assert torch.equal(draw_all([0, 1, 2, 3], n_steps)[:, 2:], draw_all([2, 3], n_steps))


def test_those_that_stay_go_on():
    noise = ReplicaNoise([make_generator(7, replica) for replica in range(4)], 4, torch.float64, "cpu")
    drawn = [noise.draw() for _ in range(10)]
    noise.keep(torch.tensor([True, False, True, True]))
    later = [noise.draw() for _ in range(BLOCK_STEPS)]
    expected = draw_all(range(4), 10 + BLOCK_STEPS)
    assert torch.equal(torch.stack(drawn), expected[:10])
    assert torch.equal(torch.stack(later), expected[10:, [0, 2, 3]])


def test_numbers_are_normal_and_replicas_independent():
    numbers = draw_all(range(3), 4 * BLOCK_STEPS).permute(1, 0, 2, 3).reshape(3, -1)
    assert numbers.mean(1).abs().max() < 0.1  # 2,400 numbers: five standard errors
    assert (numbers.std(1) - 1.0).abs().max() < 0.08
    correlation = torch.corrcoef(numbers) - torch.eye(3)
    assert correlation.abs().max() < 0.1
