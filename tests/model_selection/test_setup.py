"""A fit that is set up: what the plan asks for is what the losses have."""

import dataclasses

import pytest
import torch

from common.fitting.objective import build_objective
from common.model_selection.setup import Plan, find_criterion, set_up
from tests.fitting.problems import VALENCE


def test_given_strengths_are_those_of_all_kinds(valence):
    setup = set_up(Plan(VALENCE, strength=0.3), valence.molecules, valence.statistics)
    assert set(setup.objectives["train"].prior_strengths.values()) == {0.3}
    assert setup.choice is None
    assert setup.statistics is valence.statistics  # validation molecules stay apart
    expected = build_objective(valence.statistics, "validation")
    assert torch.equal(setup.objectives["validation"].energy.matrix, expected.energy.matrix)


def test_the_weight_of_forces_and_what_is_left_out(valence):
    smirks = valence.molecules.force_field.potentials_by_type["Bonds"].parameter_keys[0].id
    plan = Plan(VALENCE, exclude={"Bonds": (smirks,)}, force_weight=0.5)
    setup = set_up(plan, valence.molecules, valence.statistics)
    assert setup.objectives["train"].force_weight == 0.5
    assert not any(type_ == "Bonds" and row == 0 for type_, row, _ in setup.trainable.names)


def test_what_is_cross_validated_trains(valence):
    setup = set_up(Plan(VALENCE, criterion="cross-validation"), valence.molecules, valence.statistics)
    assert setup.choice is not None
    assert setup.objectives["train"].prior_strengths == setup.choice.best.strengths
    assert "validation" not in setup.objectives
    assert setup.statistics.n_molecules["validation"] == 0


def test_priors_draw_to_the_centre(valence):
    start = valence.molecules.force_field
    moved = start.replace_parameters({"Bonds": start.potentials_by_type["Bonds"].parameters * 1.01})
    losses = {}
    for name, centre in (("start", None), ("moved", moved)):
        train = set_up(Plan(VALENCE, strength=1.0, centre=centre), valence.molecules, valence.statistics).objectives
        delta = train["train"].compute_delta(start)
        losses[name] = train["train"].evaluate_prior(delta, start).item()
    assert losses["start"] == pytest.approx(0.0, abs=1e-12)
    assert losses["moved"] > 1e-3


def test_a_fit_to_a_single_fold_may_do_without_priors(valence):
    one = {key: fold for key, fold in valence.statistics.folds.items() if key[1] == 0}
    statistics = dataclasses.replace(valence.statistics, folds=one)
    plan = Plan(VALENCE, criterion="cross-validation", may_do_without=True)
    assert find_criterion(plan, statistics) is None
    assert find_criterion(plan, valence.statistics) == "cross-validation"
    with pytest.raises(ValueError, match="two molecules and two folds"):
        set_up(dataclasses.replace(plan, may_do_without=False), valence.molecules, statistics)
