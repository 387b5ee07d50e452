"""Finite differences of states give the forces that made them, to second order of the interval."""

import dataclasses

import pytest
import torch

from common.coarse_graining.targets import collect_frames
from tests.coarse_graining.samples import make_trajectories


def compute_errors(stride: int) -> tuple[float, float]:
    """Relative root mean square errors of forces and torques."""
    data = make_trajectories().select(frames=slice(None, None, stride))
    _, forces, torques = collect_frames(data, "finite-differences")
    exact = [values[:, 1:-1].flatten(0, 1) for values in (data.forces, data.torques)]
    return tuple(
        float((found - own).square().mean().sqrt() / own.square().mean().sqrt())
        for found, own in zip((forces, torques), exact, strict=True)
    )


def test_differences_give_forces_and_torques():
    fine, coarse = compute_errors(1), compute_errors(2)
    assert max(fine) < 0.3
    for near, far in zip(fine, coarse, strict=True):
        assert 2.0 < far / near < 6.0  # four, less what terms of higher order take where sites collide


def test_stored_forces_are_taken_as_they_are():
    data = make_trajectories()
    motion, forces, torques = collect_frames(data, "forces")
    assert torch.equal(forces, data.forces.flatten(0, 1))
    assert torch.equal(torques, data.torques.flatten(0, 1))
    assert torch.equal(motion.positions, data.motion.positions.flatten(0, 1))


def test_forces_that_are_not_there_are_asked_for():
    with pytest.raises(ValueError, match="no forces are stored"):
        collect_frames(dataclasses.replace(make_trajectories(), forces=None), "forces")
