"""Adam and L-BFGS: known minima, limits, interruptions, and ends that are no minima."""

import dataclasses
import math

import pytest
import torch

from common.fitting.exact_fit import search_all
from common.fitting.optimizers import describe_end, iterate_adam, minimise_lbfgs
from tests.fitting.problems import VALENCE

CONVERGED = 1e-5
"""Of minima of order 1; found: 1e-7."""


def compute_rosenbrock(x: torch.Tensor) -> torch.Tensor:
    """(1 - x)² + 100 (y - x²)², least at (1, 1); 0.01 on top, so that a relative gradient has a meaning."""
    return 0.01 + (1.0 - x[0]) ** 2 + 100.0 * (x[1] - x[0] ** 2) ** 2


def minimise(compute_loss, start, lower=-torch.inf, upper=torch.inf, is_root=False, max_iterations=500):
    start = torch.tensor(start, dtype=torch.float64)
    lower, upper = (torch.full_like(start, limit) for limit in (lower, upper))
    is_root = torch.full(start.shape, is_root)
    return minimise_lbfgs(compute_loss, start, lower, upper, is_root, max_iterations)


def test_lbfgs_finds_a_known_minimum():
    minimum = minimise(compute_rosenbrock, [-1.2, 1.0])
    assert minimum.has_converged
    assert minimum.values.tolist() == pytest.approx([1.0, 1.0], abs=CONVERGED)
    assert minimum.loss == pytest.approx(0.01)


def test_lbfgs_keeps_limits():
    minimum = minimise(compute_rosenbrock, [0.2, 0.2], upper=0.5)
    assert minimum.has_converged
    assert minimum.values.tolist() == pytest.approx([0.5, 0.25], abs=CONVERGED)


def test_a_rooted_variable_reaches_its_minimum_and_zero():
    """The loss has no slope in the value at zero, but one in its root."""

    def compute_loss(values):
        return 1.0 + (torch.sqrt(values[0]) - 0.3) ** 2 + (torch.sqrt(values[1]) + 0.3) ** 2

    minimum = minimise(compute_loss, [1.0, 1.0], lower=0.0, is_root=True)
    assert minimum.has_converged
    assert minimum.values.tolist() == pytest.approx([0.09, 0.0], abs=CONVERGED)


def test_values_that_have_not_moved_keep_every_bit():
    start = [1.0 / 3.0, 2.0 / 7.0]
    minimum = minimise(lambda x: 1.0 + 0.0 * x.sum() + (x[0] - 0.5) ** 2, start)
    assert minimum.values[1].item() == start[1]


def test_a_loss_that_is_not_finite_at_the_start_is_an_error():
    with pytest.raises(ValueError, match="not finite at the start"):
        minimise(lambda x: torch.log(x).sum(), [-1.0])


def test_a_search_that_ends_early_says_so(with_vdw):
    objective, trainable = with_vdw.build(strength=0.01)
    minimum = search_all(objective, trainable, with_vdw.molecules.force_field, 3)
    assert not minimum.has_converged
    assert "NOT converge" in describe_end(minimum)


def test_adam_goes_on_after_an_interruption_as_if_there_had_been_none(valence):
    objective, trainable = valence.build()
    start = trainable.to_values(valence.molecules.force_field)
    whole = list(iterate_adam(objective, trainable, start, 0.01, 6))
    assert [epoch.number for epoch in whole] == [1, 2, 3, 4, 5, 6]
    last = list(iterate_adam(objective, trainable, start, 0.01, 3))[-1]
    rest = list(iterate_adam(objective, trainable, last.values, 0.01, 6, 3, last.optimizer_state))
    assert [epoch.number for epoch in rest] == [4, 5, 6]
    assert torch.equal(rest[-1].values, whole[-1].values)


def test_adams_first_step_is_the_learning_rate_against_the_slope(valence):
    """Kingma and Ba: bias correction makes the first step of every value as long as the learning rate."""
    objective, trainable = valence.build()
    start = trainable.to_values(valence.molecules.force_field)
    trial = start.clone().requires_grad_()
    (slope,) = torch.autograd.grad(objective.compute_loss(trainable.to_force_field(trial)), trial)
    [first] = iterate_adam(objective, trainable, start, 1e-4, 1)
    felt = slope.abs() > 1e-3
    assert torch.allclose((first.values - start)[felt], -1e-4 * slope.sign()[felt], rtol=1e-3)
    assert first.loss == pytest.approx(objective.compute_loss(valence.molecules.force_field).item(), rel=1e-12)


def test_adam_stays_within_limits(valence):
    lengths = {"Bonds": {"length": dataclasses.replace(VALENCE["Bonds"]["length"], lower=1.3, upper=1.4)}}
    objective, trainable = valence.build(columns=lengths)
    *_, last = iterate_adam(objective, trainable, trainable.to_values(valence.molecules.force_field), 0.05, 20)
    assert last.values.min() >= 1.3
    assert last.values.max() <= 1.4
    assert ((last.values == 1.3) | (last.values == 1.4)).any()


def test_adam_stops_where_the_loss_is_not_finite(valence):
    objective, trainable = valence.build()
    start = trainable.to_values(valence.molecules.force_field)
    start[0] = math.nan
    with pytest.raises(ValueError, match="the loss is nan in epoch 1"):
        list(iterate_adam(objective, trainable, start, 0.01, 5))
