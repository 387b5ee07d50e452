"""Frames that stay in a pool, and the time that they stand for."""

import pytest
import torch

from common.observables.distributions import AngleDistribution
from common.replicas.epochs import Frames
from common.stability.pool import collect_samples, score, thin
from tests.neural.systems import displace
from tests.observables.systems import make_ethanol


def make_frames(weights):
    n = len(weights)
    coords = displace(n)
    numbers = torch.arange(n)
    return Frames(coords, coords, numbers % 5, numbers, torch.tensor(weights, dtype=torch.float64))


def test_few_frames_all_stay():
    frames = make_frames([1.0, 2.0, 3.0])
    assert thin(frames, 3, torch.Generator()) is frames


def test_thinning_keeps_the_number_and_the_time():
    frames = make_frames([1.0] * 90 + [50.0] * 3)
    kept = thin(frames, 20, torch.Generator().manual_seed(1))
    assert len(kept.weights) in (19, 20, 21)
    assert kept.weights.sum().item() == pytest.approx(240.0, rel=0.06)
    assert (kept.steps >= 90).sum() == 3  # those that stand for long stay for certain, with their own time
    assert kept.weights[kept.steps >= 90].tolist() == [50.0] * 3


def test_every_frame_stays_as_often_as_its_time_asks_for():
    weights = [1.0, 2.0, 3.0, 4.0] * 5
    total = torch.zeros(20, dtype=torch.float64)
    for seed in range(400):
        kept = thin(make_frames(weights), 6, torch.Generator().manual_seed(seed))
        total[kept.steps] += kept.weights
    torch.testing.assert_close(total / 400, torch.tensor(weights, dtype=torch.float64), rtol=0.25, atol=0)


def test_frames_are_scored_in_the_order_of_their_blocks():
    frames = make_frames([1.0] * 10)
    observables = {"adf": AngleDistribution(make_ethanol())}
    epoch = score(frames, frames.replicas % 2, lambda coords: coords.sum((1, 2))[:, None], observables, False)
    assert epoch.blocks.tolist() == sorted(epoch.blocks.tolist())
    torch.testing.assert_close(epoch.energies[:, 0], epoch.coords.sum((1, 2)))
    torch.testing.assert_close(epoch.values["adf"][:, 0], observables["adf"].compute(epoch.coords))


def test_molecules_of_frames_are_samples_too():
    frames = make_frames([1.0, 2.0])
    epoch = score(frames, frames.replicas, lambda coords: coords[:, :3, 0], {}, False)
    samples = collect_samples([epoch, epoch])
    assert len(samples.energies) == 12
    assert samples.epochs.tolist() == [0] * 6 + [1] * 6
    torch.testing.assert_close(samples.log_weights.exp()[:6], torch.tensor([1.0, 1.0, 1.0, 2.0, 2.0, 2.0]).double())
