"""Radial functions against their formulas."""

import math

import pytest
import torch

from common.neural.radial import GaussianBasis, SincBasis, compute_cosine_cutoff

FLOAT32_TOLERANCE = 1e-6  # a few roundings of numbers of order 1
EXACT = 1e-12


@pytest.fixture(autouse=True)
def float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_gaussians_follow_their_formula():
    basis = GaussianBasis(5.0, 25)
    distances = torch.tensor([0.0, 1.09, 2.5, 4.99, 7.0])
    centres = torch.linspace(0.0, 5.0, 25)
    width = centres[1] - centres[0]
    expected = torch.exp(-0.5 * ((distances[:, None] - centres) / width) ** 2)
    torch.testing.assert_close(basis(distances), expected, atol=EXACT, rtol=0)


def test_a_gaussian_is_one_at_its_centre_and_falls_as_its_neighbour():
    basis = GaussianBasis(6.0, 13)
    values = basis(torch.tensor([1.5]))[0]
    assert values.argmax() == 3
    assert values[3] == pytest.approx(1.0, abs=EXACT)
    assert values[2].item() == pytest.approx(math.exp(-0.5), abs=EXACT)


def test_far_gaussians_do_not_underflow():
    assert GaussianBasis(5.0, 25).float()(torch.tensor([0.0], dtype=torch.float32)).min() > 0.0


@pytest.mark.parametrize(("cutoff", "n_gaussians"), [(5.0, 1), (0.0, 25), (math.nan, 25)])
def test_impossible_bases_are_refused(cutoff, n_gaussians):
    with pytest.raises(ValueError, match="at least two"):
        GaussianBasis(cutoff, n_gaussians)


def test_waves_vanish_at_the_cutoff():
    basis = SincBasis(5.0, 20)
    assert basis(torch.tensor([5.0])).abs().max() < EXACT
    assert basis(torch.tensor([1.25]))[0, 1].item() == pytest.approx(math.sin(0.5 * math.pi) / 1.25, abs=EXACT)


def test_the_cutoff_is_smooth_where_it_ends():
    distances = torch.tensor([0.0, 2.5, 5.0 - 1e-6, 5.0, 6.0], requires_grad=True)
    values = compute_cosine_cutoff(distances, 5.0)
    torch.testing.assert_close(values, torch.tensor([1.0, 0.5, 0.0, 0.0, 0.0]), atol=1e-11, rtol=0)
    (slope,) = torch.autograd.grad(values.sum(), distances)
    assert slope[2:].abs().max() < FLOAT32_TOLERANCE
