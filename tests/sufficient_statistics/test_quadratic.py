"""Quadratic forms: sums of squares of residuals that are linear in δ."""

import pytest
import torch

from common.sufficient_statistics.quadratic import QuadraticForm


@pytest.fixture
def residuals() -> torch.Tensor:
    """[Φ r], ``shape=(n_residuals, n_used + 1)``."""
    return torch.randn(9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_the_value_is_the_sum_of_squares(residuals):
    form = QuadraticForm(residuals.T @ residuals)
    delta = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)
    expected = ((residuals[:, :-1] @ delta - residuals[:, -1]) ** 2).sum()
    assert form.evaluate(delta).item() == pytest.approx(expected.item(), rel=1e-13)
    assert form.evaluate(torch.zeros(3, dtype=torch.float64)) == form.constant


def test_slope_and_curvature_are_half_the_derivatives(residuals):
    form = QuadraticForm(residuals.T @ residuals)
    zero = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(form.evaluate(zero), zero)
    assert torch.allclose(gradient, -2.0 * form.slope, rtol=1e-13)
    hessian = torch.autograd.functional.hessian(form.evaluate, zero.detach())
    assert torch.allclose(hessian, 2.0 * form.curvature, rtol=1e-13)


def test_the_least_value_is_where_the_equations_say(residuals):
    form = QuadraticForm(residuals.T @ residuals)
    best = torch.linalg.solve(form.curvature, form.slope)
    for seed in range(5):
        step = 0.1 * torch.randn(3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        assert form.evaluate(best + step) > form.evaluate(best)
