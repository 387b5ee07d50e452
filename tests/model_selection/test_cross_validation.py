"""Cross-validation of priors: the losses are those of separate fits, by the other way of solving."""

import numpy
import pytest
import torch

from common.fitting.objective import Objective
from common.fitting.quadratic_program import build_valence_problem, solve_valence
from common.model_selection.cross_validation import CrossValidation, build_folds
from common.sufficient_statistics.quadratic import QuadraticForm

STRENGTHS = [1e-8, 1e-3, 1.0, 1e3]


def build(problem):
    objective, trainable = problem.build()
    folds = build_folds(problem.statistics)
    valence = build_valence_problem(trainable, problem.columns, objective.linearization, objective.features)
    return objective, folds, valence


def fit_separately(objective: Objective, folds, valence, strengths) -> list[float]:
    """The loss on each fold of a fit to the others."""
    prior = objective.prior.combine(strengths).matrix
    losses = []
    for fold in folds:
        solution = solve_valence(QuadraticForm(fold.rest.matrix + prior), valence)
        losses.append(fold.left_out.evaluate(solution.delta).item())
    return losses


def test_folds_make_up_the_whole(valence):
    folds = build_folds(valence.statistics, force_weight=0.3)
    assert sum(fold.weight for fold in folds) == pytest.approx(1.0)
    whole = sum(fold.weight * fold.left_out.matrix for fold in folds)
    for fold in folds:
        again = fold.weight * fold.left_out.matrix + (1.0 - fold.weight) * fold.rest.matrix
        assert torch.allclose(again, whole, rtol=1e-10, atol=1e-10 * whole.abs().max())


@pytest.mark.parametrize("strength", STRENGTHS)
def test_losses_equal_separate_fits(valence, strength):
    objective, folds, problem = build(valence)
    strengths = {kind: strength * 3.0**i for i, kind in enumerate(objective.prior.kinds)}
    validation = CrossValidation(folds, objective.prior, problem)
    expected = fit_separately(objective, folds, problem, strengths)
    assert validation.compute_losses(strengths) == pytest.approx(expected, rel=1e-9)
    assert validation(strengths) == pytest.approx(numpy.average(expected, weights=[fold.weight for fold in folds]))


def test_what_was_solved_before_changes_nothing(valence):
    """The active limits of one choice are the guess for the next, and no more than a guess."""
    objective, folds, problem = build(valence)
    choices = [dict.fromkeys(objective.prior.kinds, strength) for strength in STRENGTHS]
    validation = CrossValidation(folds, objective.prior, problem)
    for strengths in (*choices, *reversed(choices)):
        fresh = CrossValidation(folds, objective.prior, problem).compute_losses(strengths)
        assert validation.compute_losses(strengths) == pytest.approx(fresh, rel=1e-9)


def test_sources_weigh_as_in_the_fit(valence):
    sources = sorted({source for source, _ in valence.statistics.folds})
    plain = build_folds(valence.statistics)
    doubled = build_folds(valence.statistics, source_weights=dict.fromkeys(sources, 2.0))
    for one, other in zip(plain, doubled, strict=True):
        assert torch.allclose(one.left_out.matrix, other.left_out.matrix, rtol=1e-12)


def test_two_folds_are_the_least(valence):
    with pytest.raises(ValueError, match="two molecules and two folds"):
        build_folds(valence.statistics, source_weights=dict.fromkeys((s for s, _ in valence.statistics.folds), 0.0))
