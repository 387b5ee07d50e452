"""Correlations in time against motions whose correlation is known."""

import math

import ase
import ase.md.analysis
import ase.units
import pytest
import torch

from common.observables.correlations import (
    compute_diffusivity,
    compute_mean_squared_displacement,
    compute_velocity_autocorrelation,
)


def test_an_oscillation_is_a_cosine():
    times = torch.arange(4000, dtype=torch.float64)
    phases = torch.linspace(0.0, 2.0 * math.pi, 31, dtype=torch.float64)[:-1]
    velocities = torch.cos(0.05 * times[:, None, None] + phases[None, :, None]).expand(-1, -1, 3)
    found = compute_velocity_autocorrelation(velocities, 100)
    torch.testing.assert_close(found, torch.cos(0.05 * times[:100]), atol=0.02, rtol=0)
    assert found[0] == 1.0


def test_white_noise_has_no_memory():
    velocities = torch.randn(20_000, 2, 3, generator=torch.Generator().manual_seed(1))
    assert compute_velocity_autocorrelation(velocities, 10)[1:].abs().max() < 0.02


def test_times_beyond_the_trajectory_are_unknown():
    assert compute_velocity_autocorrelation(torch.ones(5, 1, 3), 8).isnan().tolist() == [False] * 5 + [True] * 3


def test_a_random_walk_diffuses():
    """D = step²/2 per axis and time step; the diffusivity comes out in 1e-9 m²/s."""
    steps = 0.1 * torch.randn(4000, 200, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    walk = torch.cumsum(steps, 0)
    displacement = compute_mean_squared_displacement(walk, torch.ones(200), 50)
    assert displacement[0] == 0.0
    assert displacement[10].item() == pytest.approx(3 * 0.01 * 10, rel=0.03)
    expected = 0.01 / 2.0 / 4.0 * 1e4  # [Angstrom²/fs] at 4 fs a step, times 1e4
    assert compute_diffusivity(displacement, 4.0) == pytest.approx(expected, rel=0.03)


def test_diffusivity_agrees_with_ase():
    """ASE follows each walker from the first frame alone and fits from there: many walkers make the two comparable."""
    steps = 0.1 * torch.randn(60, 3000, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    walk = torch.cumsum(steps - steps.mean(1, keepdim=True), 0)
    frames = [ase.Atoms("Ar3000", frame) for frame in walk.numpy()]
    theirs = ase.md.analysis.DiffusionCoefficient(frames, 4.0 * ase.units.fs).get_diffusion_coefficients()[0][0]
    ours = compute_diffusivity(compute_mean_squared_displacement(walk, torch.ones(3000), 30), 4.0)
    assert ours == pytest.approx(theirs * ase.units.fs * 1e4, rel=0.04)  # both within 2 % of the truth


def test_the_drift_of_the_whole_is_no_diffusion():
    walk = torch.arange(100.0)[:, None, None] * torch.ones(1, 5, 3)
    assert compute_mean_squared_displacement(walk, torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]), 20).max() < 1e-6


def test_too_few_times_have_no_slope():
    assert math.isnan(compute_diffusivity(torch.tensor([0.0, math.nan]), 1.0))
