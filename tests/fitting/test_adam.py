"""Epochs in closed form are those by autograd, in one go or in pieces."""

import dataclasses
import math

import pytest
import torch

from common.fitting.adam import Epochs, begin, build_delta, run_epochs
from common.fitting.objective import build_objective
from common.fitting.optimizers import iterate_adam
from common.sufficient_statistics.quadratic import QuadraticForm

TOLERANCE = 1e-11
"""Relative, after a thousand epochs; found: 1e-13."""


def begin_at_the_reference(problem, trainable) -> Epochs:
    return begin(trainable.to_values(problem.molecules.force_field))


@pytest.mark.parametrize("strength", [0.0, 0.1])
def test_a_thousand_epochs_are_those_by_autograd(valence, strength):
    objective, trainable = valence.build(strength)
    start = begin_at_the_reference(valence, trainable)
    expected = {e.number: e for e in iterate_adam(objective, trainable, start.values, 0.01, 1000)}
    stops = [1, 2, 10, 1000]
    found = list(run_epochs({"train": objective}, trainable, 0.01, stops, start))
    assert [epochs.number for epochs in found] == stops
    for epochs in found:
        wanted = expected[epochs.number]
        assert epochs.loss == pytest.approx(wanted.loss, rel=TOLERANCE)
        assert (epochs.values - wanted.values).abs().max() <= TOLERANCE * wanted.values.abs().max()
        state, reference = epochs.optimizer_state["state"][0], wanted.optimizer_state["state"][0]
        assert state.keys() == reference.keys()
    assert found[-1].loss < 0.9 * found[0].loss
    assert found[-1].best.loss == math.inf


def test_in_pieces_as_in_one_go_to_the_last_bit(valence):
    objective, trainable = valence.build(0.1)
    objectives = {"train": objective, "validation": build_objective(valence.statistics, "validation")}
    start = begin_at_the_reference(valence, trainable)
    [whole] = run_epochs(objectives, trainable, 0.01, [120], start)
    *_, half = run_epochs(objectives, trainable, 0.01, [7, 50], start)
    [rest] = run_epochs(objectives, trainable, 0.01, [120], half)
    assert torch.equal(rest.values, whole.values)
    assert rest.best.epoch == whole.best.epoch
    assert torch.equal(rest.best.values, whole.best.values)


def test_the_best_epoch_is_that_of_the_least_validation_loss(valence, with_vdw):
    for problem, n_epochs in ((valence, 200), (with_vdw, 12)):
        objective, trainable = problem.build()
        validation = build_objective(problem.statistics, "validation")
        start = begin_at_the_reference(problem, trainable)
        losses = {
            epoch.number: validation.compute_loss(trainable.to_force_field(epoch.values)).item()
            for epoch in iterate_adam(objective, trainable, start.values, 0.02, n_epochs)
        }
        objectives = {"train": objective, "validation": validation}
        [found] = run_epochs(objectives, trainable, 0.02, [n_epochs], start)
        assert found.best.epoch == min(losses, key=losses.get)
        assert found.best.loss == pytest.approx(min(losses.values()), rel=TOLERANCE)


def test_a_loss_that_is_not_finite_is_told_with_its_epoch(valence):
    objective, trainable = valence.build()
    broken = dataclasses.replace(objective, energy=QuadraticForm(objective.energy.matrix * math.nan))
    with pytest.raises(ValueError, match="the loss is nan in epoch 1; lower LEARNING_RATE"):
        list(run_epochs({"train": broken}, trainable, 0.01, [5], begin_at_the_reference(valence, trainable)))


def test_delta_is_that_of_the_force_field(valence, with_vdw):
    for problem in (valence, with_vdw):
        objective, trainable = problem.build()
        values = trainable.clamp(1.01 * begin_at_the_reference(problem, trainable).values)
        expected = objective.compute_delta(trainable.to_force_field(values))
        assert torch.allclose(build_delta(objective, trainable)(values), expected, rtol=1e-13, atol=1e-13)
