"""Distributions: the same potential agrees with itself, another does not; a dilute liquid is a gas."""

import dataclasses

import numpy
import pytest
import torch

from common.body_trajectories.systems import BodySystem
from common.dynamics.rigid_bodies import Motion
from common.rollouts.ensembles import (
    QUANTITIES,
    build_histogram,
    choose_edges,
    compare_histograms,
    compute_total_variation,
    measure_pairs,
    prepare_liquid,
    sample_pairs,
    sample_structure,
)
from tests.coarse_graining.samples import PROTOCOL, make_trajectories
from tests.rollouts.samples import make_exact, make_wrong


def draw_chains(mean: float, seed: int, n_chains: int = 200) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return mean + torch.randn(n_chains, 100, generator=generator, dtype=torch.float64)


def test_histograms_have_their_errors_from_chains():
    edges = numpy.linspace(-2.0, 2.0, 9)
    found = build_histogram(draw_chains(0.0, 0), edges)
    probability = found.density * numpy.diff(edges)
    expected = numpy.sqrt(probability * (1.0 - probability) / 20_000) / numpy.diff(edges)
    numpy.testing.assert_allclose(found.error, expected, rtol=0.3)
    assert found.density.sum() * 0.5 == pytest.approx(0.954, abs=0.01)


def test_samples_of_one_distribution_agree_and_of_two_do_not():
    edges = choose_edges([draw_chains(0.0, 0)], "distance")
    one, same, other = (build_histogram(draw_chains(mean, seed), edges) for mean, seed in ((0, 0), (0, 1), (0.1, 2)))
    assert compare_histograms(one, same) >= 0.85
    assert compare_histograms(one, other) < 0.7
    # the area between two Gaussians that are 0.1 widths apart: 2 Φ(0.05) - 1
    assert compute_total_variation(one, other) == pytest.approx(0.04, abs=0.012)
    assert compute_total_variation(one, same) < 0.015


def test_quantities_of_a_pair():
    positions = torch.tensor([[[0.0, 0.0, 0.0], [0.0, 0.0, 2.0]]], dtype=torch.float64)
    half = 0.5**0.5
    quaternions = torch.tensor([[[1.0, 0.0, 0.0, 0.0], [half, half, 0.0, 0.0]]], dtype=torch.float64)
    found = measure_pairs(Motion(positions, quaternions, positions, positions))
    assert found["distance"].item() == 2.0
    assert found["polar angle"].item() == pytest.approx(1.0)
    assert found["mutual angle"].item() == pytest.approx(0.0, abs=1e-12)


def test_chains_of_a_potential_have_its_distribution():
    """Deeper wells draw the bodies together."""
    data = make_trajectories()
    start = Motion(*(values.flatten(0, 1)[::8] for values in data.motion))
    protocol = dataclasses.replace(PROTOCOL, step=0.05, equilibration_time=3.0, friction=1.0)
    exact, wrong = (sample_pairs(one, data.system, start, protocol, 40) for one in (make_exact(), make_wrong()))
    assert set(exact) == set(QUANTITIES)
    assert exact["distance"].shape == (42, 40)
    assert wrong["distance"].mean() < exact["distance"].mean() - 0.02


def test_a_dilute_liquid_is_compressed_and_has_no_structure_far_away():
    data = make_trajectories()
    liquid = BodySystem((data.system.bodies[0],) * 8, data.system.site_terms, None, 9.0, 4.5, "reduced")
    protocol = dataclasses.replace(PROTOCOL, kt=1.0, step=0.02, interval=0.1, equilibration_time=0.5)
    start = prepare_liquid(liquid, make_exact(), protocol)
    assert start.positions.shape == (1, 8, 3)
    found = sample_structure(make_exact(), liquid, start, protocol, 60)
    assert found.values[found.distances < 0.6].max() < 0.5
    assert found.values[found.distances > 3.5].mean() == pytest.approx(1.0, abs=0.25)
