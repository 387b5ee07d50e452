"""The choice of prior strengths: the search finds the least, and each criterion does what it says."""

import json
import math

import numpy
import pytest

from common.fitting.exact_fit import fit_valence
from common.fitting.objective import build_objective
from common.model_selection.prior_choice import GRID, LEAST_GAIN, choose_prior, search_strengths
from tests.fitting.problems import VALENCE, WITH_VDW

KINDS = (("Bonds", "k"), ("Bonds", "length"), ("Angles", "k"))


def make_bowl(*centre: float):
    def evaluate(strengths):
        squares = [(math.log10(strengths[kind]) - middle) ** 2 for kind, middle in zip(KINDS, centre, strict=True)]
        return numpy.array([1.0 + sum(squares)])

    return evaluate


def test_the_search_finds_the_least_to_half_a_decade():
    shared, best, trials = search_strengths(KINDS, make_bowl(-3.2, 0.4, 2.6))
    assert shared == 1.0  # nearest to the mean
    found = [math.log10(best.strengths[kind]) for kind in KINDS]
    assert found == pytest.approx([-3.0, 0.5, 2.5])
    assert best.value == min(trial.value for trial in trials)
    assert len({tuple(trial.strengths.values()) for trial in trials}) == len(trials)  # nothing is solved twice


def test_where_it_is_flat_all_kinds_share():
    _, best, _ = search_strengths(
        KINDS, lambda strengths: numpy.array([1.0 + 1e-6 * math.log10(strengths[KINDS[0]]) ** 2])
    )
    assert len(set(best.strengths.values())) == 1


@pytest.mark.parametrize(
    ("gains", "is_followed"), [((5.0, 0.0, 0.0, 0.0, 0.0), False), ((1.2, 0.8, 1, 1.1, 0.9), True)]
)
def test_what_one_fold_alone_gains_may_be_luck(gains, is_followed):
    """The first kind gains by another strength than the others, by as much in sum: in all folds, or in one."""

    def evaluate(strengths):
        first, *others = (math.log10(strengths[kind]) for kind in KINDS)
        return 10.0 + sum(other**2 for other in others) + 0.1 * numpy.array(gains) * (first - 2.0) ** 2

    _, best, _ = search_strengths(KINDS, evaluate)
    assert math.log10(best.strengths[KINDS[1]]) == pytest.approx(0.0)
    assert (best.strengths[KINDS[0]] == 100.0) == is_followed


def test_the_search_stays_on_the_grid():
    _, best, _ = search_strengths(KINDS, make_bowl(-20.0, 20.0, 0.0))
    assert [math.log10(best.strengths[kind]) for kind in KINDS] == pytest.approx([GRID[0], GRID[-1], 0.0])


@pytest.mark.parametrize("criterion", ["cross-validation", "evidence"])
def test_data_choose_a_strength_for_each_kind(valence, criterion):
    objective, trainable = valence.build()
    choice = choose_prior(criterion, valence.statistics, {"train": objective}, trainable, VALENCE, {})
    assert set(choice.best.strengths) == set(objective.prior.kinds)
    assert choice.best.value == pytest.approx(min(trial.value for trial in choice.trials), rel=2 * LEAST_GAIN)
    assert choice.best.value <= choice.best_shared.value
    assert choice.open_ends == ()
    plain = json.loads(json.dumps(choice.to_plain()))
    assert plain["strengths"]["Bonds.length"] == choice.best.strengths["Bonds", "length"]
    assert plain["criterion"] == criterion
    force_field = fit_valence(
        objective.with_strengths(choice.best.strengths), trainable, VALENCE, valence.molecules.force_field
    ).force_field
    validation = build_objective(valence.statistics, "validation")
    assert validation.compute_loss(force_field) < validation.compute_loss(valence.molecules.force_field)


def test_vdw_has_the_strength_that_all_share(with_vdw):
    objective, trainable = with_vdw.build()
    choice = choose_prior("cross-validation", with_vdw.statistics, {"train": objective}, trainable, WITH_VDW, {})
    assert choice.best.strengths["vdW", "epsilon"] == choice.best.strengths["vdW", "sigma"] > 0.0


def test_validation_chooses_one_strength_between_the_extremes(valence):
    objective, trainable = valence.build()
    validation = build_objective(valence.statistics, "validation")
    objectives = {"train": objective, "validation": validation}
    choice = choose_prior("validation", valence.statistics, objectives, trainable, VALENCE, {})
    assert len(set(choice.best.strengths.values())) == 1
    assert choice.best.value < validation.compute_loss(valence.molecules.force_field).item()
    assert choice.best.value <= choice.trials[0].value
    assert choice.best.value < choice.trials[-1].value


def test_nothing_to_choose_is_an_error(valence):
    objective, trainable = valence.build()
    with pytest.raises(ValueError, match="raise validation_fraction"):
        choose_prior("validation", valence.statistics, {"train": objective}, trainable, VALENCE, {})
    columns = {"ProperTorsions": {"k": VALENCE["ProperTorsions"]["k"].__class__()}}
    objective, trainable = valence.build(columns=columns)
    with pytest.raises(ValueError, match="give widths"):
        choose_prior("cross-validation", valence.statistics, {"train": objective}, trainable, columns, {})
