"""Losses: nothing for the truth, whatever the sign of quaternions and the place of the whole."""

import pytest
import torch

from common.coarse_graining.losses import LOSSES, compute_window_losses, measure_spreads
from common.dynamics.rigid_bodies import Motion
from tests.coarse_graining.samples import make_trajectories


@pytest.fixture
def frames() -> Motion:
    return Motion(*(values[:4, 1:6] for values in make_trajectories().motion))


@pytest.fixture
def spreads():
    return measure_spreads(make_trajectories().motion)


@pytest.mark.parametrize("name", LOSSES)
def test_the_truth_costs_nothing(name, frames, spreads):
    shifted = frames._replace(positions=frames.positions + 3.0, quaternions=-frames.quaternions)
    assert compute_window_losses(name, shifted, frames, spreads).abs().max() < 1e-12


@pytest.mark.parametrize(
    ("name", "expected"),
    [("all", 0.25), ("final", 0.0), ("all-mse", 0.5), ("all-pos", 0.0), ("final-mse", 0.0)],
)
def test_velocities_of_one_frame(name, expected, frames, spreads):
    """All velocities of the first of two frames off by two spreads: half the frames, one of four parts."""
    two = Motion(*(values[:, :2] for values in frames))
    off = two.velocities.clone()
    off[:, 0] += 2.0 * spreads.velocities
    found = compute_window_losses(name, two._replace(velocities=off), two, spreads)
    torch.testing.assert_close(found, torch.full((4,), expected, dtype=torch.float64), atol=1e-12, rtol=0)


def test_windows_are_kept_apart(frames, spreads):
    off = frames.positions.clone()
    off[2, :, 1] += 1.0
    found = compute_window_losses("all", frames._replace(positions=off), frames, spreads)
    assert found[2] > 0.1
    assert found[[0, 1, 3]].abs().max() == 0.0


def test_a_move_across_the_box_is_no_error(frames, spreads):
    off = frames.positions.clone()
    off[:, :, 1] += 7.0
    moved = frames._replace(positions=off)
    assert compute_window_losses("all", moved, frames, spreads, box=7.0).abs().max() < 1e-12
