"""Soft histograms against the sum of Gaussians that they are."""

import pytest
import torch

from common.observables.histograms import compute_soft_histogram

CUT_TOLERANCE = 1e-5  # what Gaussians hold beyond their reach


@pytest.mark.parametrize(("step", "width"), [(0.1, 0.04), (0.1, 0.3), (1.0, 1.0)])
def test_it_is_a_sum_of_gaussians(step, width):
    values = torch.tensor([[0.5, 1.234, 2.9], [0.0, 3.1, 1.0]], dtype=torch.float64)
    found = compute_soft_histogram(values, 0.5 * step, step, 30, width)
    centres = 0.5 * step + step * torch.arange(30, dtype=torch.float64)
    density = torch.distributions.Normal(values[..., None], width).log_prob(centres).exp()
    torch.testing.assert_close(found, step * density.sum(1), atol=CUT_TOLERANCE, rtol=0)


def test_values_far_outside_do_not_count_and_do_no_harm():
    values = torch.tensor([[-1e6, 1e9, 0.55]], dtype=torch.float64)
    found = compute_soft_histogram(values, 0.05, 0.1, 10, 0.1)
    assert found.sum().item() == pytest.approx(1.0, abs=CUT_TOLERANCE)


def test_frames_do_not_mix():
    values = torch.tensor([[0.2], [0.8]], dtype=torch.float64)
    both = compute_soft_histogram(values, 0.05, 0.1, 10, 0.1)
    torch.testing.assert_close(both[1:], compute_soft_histogram(values[1:], 0.05, 0.1, 10, 0.1), atol=0, rtol=0)
