"""How strongly the priors hold: chosen by the data, one strength for each kind of parameter.

Bond lengths are known far better beforehand than torsions, and a single strength for all lets the one drift or holds
the other too firmly. The search begins with the best strength that all share and then moves one kind at a time, in
steps of a decade and of half of one, for as long as it pays: the loss has to fall by more than its standard error over
the folds, since of many small gains some are luck, and luck takes the hold of priors that a molecule not seen needs.
"""

import collections.abc
import dataclasses
import math
import typing

import numpy

from common.fitting.exact_fit import fit_valence
from common.fitting.objective import Objective
from common.fitting.priors import Kind, Strengths
from common.fitting.quadratic_program import build_valence_problem
from common.fitting.source_weights import SourceWeights
from common.forcefields.trainable import Trainable, TrainedColumns
from common.model_selection.cross_validation import CrossValidation, build_folds
from common.model_selection.evidence import Evidence
from common.sufficient_statistics.statistics import Statistics

Criterion = typing.Literal["cross-validation", "evidence", "validation"]
"""What a strength is chosen by: the loss on molecules left out, the marginal likelihood, the validation loss."""

GRID = tuple(range(-8, 5))
"""Decades of the strengths that may be chosen [kcal²/mol²]."""

STEPS = (1.0, 0.5)
"""Of the search by kind, in decades."""

MAX_SWEEPS = 4
"""Over all kinds, for each step."""

LEAST_GAIN = 1e-4
"""A step by which the loss falls by a smaller part is not worth it: it is where the loss is flat."""

N_ESTIMATES = 3
"""So often the evidence's trust in the data is estimated anew, each time at the strengths that it has led to."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """One choice of strengths and what came of it.

    Attributes:
        strengths: by kind [kcal²/mol²].
        value: of the criterion: a mean loss [kcal²/mol²], or minus the logarithm of the evidence.
        loss_train: [kcal²/mol²] of the fit, without priors; None where it was not looked at.
    """

    strengths: dict[Kind, float]
    value: float
    loss_train: float | None = None


@dataclasses.dataclass(frozen=True)
class PriorChoice:
    """The strengths that were chosen.

    Attributes:
        criterion: by what.
        best: the choice.
        trials: all that were tried, in order.
        open_ends: kinds whose strength lies at an end of the grid: the best may lie beyond.
    """

    criterion: Criterion
    best: Trial
    trials: tuple[Trial, ...]
    open_ends: tuple[Kind, ...]

    @property
    def best_shared(self) -> Trial:
        """The best of those where all kinds share one strength."""
        return min((one for one in self.trials if len(set(one.strengths.values())) == 1), key=lambda one: one.value)

    def to_plain(self) -> dict[str, typing.Any]:
        """For JSON; kinds are written as "Bonds.k"."""

        def describe(trial: Trial) -> dict[str, typing.Any]:
            return dataclasses.asdict(trial) | {"strengths": name_kinds(trial.strengths)}

        return {
            "criterion": self.criterion,
            "strengths": name_kinds(self.best.strengths),
            "value": self.best.value,
            "value_shared": self.best_shared.value,
            "trials": [describe(trial) for trial in self.trials],
            "open_ends": [".".join(kind) for kind in self.open_ends],
        }


def name_kinds(strengths: Strengths) -> dict[str, float]:
    """Strengths by names like "Bonds.k", as files have them."""
    return {".".join(kind): strength for kind, strength in strengths.items()}


def choose_prior(
    criterion: Criterion,
    statistics: Statistics,
    objectives: collections.abc.Mapping[str, Objective],
    trainable: Trainable,
    trained: TrainedColumns,
    source_weights: SourceWeights,
) -> PriorChoice:
    """Chooses the strengths of the priors of the valence terms; those of vdW get the best that all share.

    Args:
        criterion: what the best is.
        statistics: in folds, unless validation data are to choose.
        objectives: the loss on the training split, with a prior, and for "validation" on that.
        trainable, trained: what is trained.
        source_weights: as the objectives were built with.

    Raises:
        ValueError: there is no prior, or the data that the criterion needs are not there.
    """
    train = objectives["train"]
    if train.prior is None or not train.prior.row_kinds:
        raise ValueError("no trained valence parameter has a prior whose strength could be chosen: give widths")
    if criterion == "validation":
        return _choose_by_validation(objectives, trainable, trained)
    folds = build_folds(statistics, train.force_weight, source_weights)
    problem = build_valence_problem(trainable, trained, train.linearization, train.features)
    kinds = tuple(dict.fromkeys(train.prior.row_kinds))
    if criterion == "cross-validation":
        shared, best, trials = search_strengths(kinds, CrossValidation(folds, train.prior, problem).compute_shares)
    else:
        evidence = Evidence(folds, train.prior, problem)
        best = Trial(dict.fromkeys(kinds, 1.0), math.inf)
        for _ in range(N_ESTIMATES):
            evidence.estimate_trust(best.strengths)
            shared, best, trials = search_strengths(kinds, evidence)  # values before are with another trust
    vdw = {kind: shared for kind in train.prior.kinds if kind not in kinds}
    ends = (10.0 ** GRID[0], 10.0 ** GRID[-1])
    open_ends = tuple(kind for kind, strength in best.strengths.items() if not ends[0] < strength < ends[1])
    best = dataclasses.replace(best, strengths=best.strengths | vdw)
    return PriorChoice(criterion, best, tuple(trials), open_ends)


def search_strengths(
    kinds: collections.abc.Sequence[Kind], evaluate: collections.abc.Callable[[Strengths], numpy.ndarray | float]
) -> tuple[float, Trial, list[Trial]]:
    """The strengths where the sum of ``evaluate`` is least, about, as far as it can be told.

    Args:
        kinds: of the priors.
        evaluate: gives the criterion for strengths: a number, or its parts that are independent, of each fold.

    Returns:
        The best strength that all share, the best, and all that were tried.
    """
    known: dict[tuple[float, ...], Trial] = {}
    parts: dict[tuple[float, ...], numpy.ndarray] = {}

    def attempt(exponents: tuple[float, ...]) -> numpy.ndarray:
        if exponents not in known:
            strengths = {kind: 10.0**exponent for kind, exponent in zip(kinds, exponents, strict=True)}
            parts[exponents] = numpy.atleast_1d(evaluate(strengths))
            known[exponents] = Trial(strengths, float(parts[exponents].sum()))
        return parts[exponents]

    shared = min(GRID, key=lambda exponent: attempt((float(exponent),) * len(kinds)).sum())
    best = (float(shared),) * len(kinds)
    for step in STEPS:
        for _ in range(MAX_SWEEPS):
            before = best
            for i in range(len(kinds)):
                best = _move_along(attempt, best, i, step)
            if best == before:
                break
    return 10.0**shared, known[best], list(known.values())


def _move_along(
    attempt: collections.abc.Callable[[tuple[float, ...]], numpy.ndarray], best: tuple[float, ...], i: int, step: float
) -> tuple[float, ...]:
    """From ``best`` up or down with one exponent for as long as it pays."""
    for sign in (1.0, -1.0):
        start = best
        while GRID[0] <= (exponent := best[i] + sign * step) <= GRID[-1]:
            trial = (*best[:i], exponent, *best[i + 1 :])
            if not _is_better(attempt(trial), attempt(best)):
                break
            best = trial
        if best != start:
            break
    return best


def _is_better(trial: numpy.ndarray, best: numpy.ndarray) -> bool:
    """Whether the sum of the parts has fallen by more than chance would have it, part against part."""
    drops = best - trial
    n = len(drops)
    standard_error = float(drops.std(ddof=1)) * n**0.5 if n > 1 else 0.0
    return float(drops.sum()) > max(standard_error, LEAST_GAIN * abs(float(best.sum())))


def _choose_by_validation(
    objectives: collections.abc.Mapping[str, Objective], trainable: Trainable, trained: TrainedColumns
) -> PriorChoice:
    """One strength for all kinds, by the validation loss of a fit to the training data."""
    if "validation" not in objectives:
        raise ValueError("prior_strength = 'validation' needs validation data: raise validation_fraction")
    train = objectives["train"]
    trials = []
    for exponent in GRID:
        trial = train.with_strengths(10.0**exponent)
        force_field = fit_valence(trial, trainable, trained, trainable.force_field).force_field
        losses = [one.compute_loss(force_field).item() for one in (train.with_strengths(0.0), objectives["validation"])]
        trials.append(Trial(dict(trial.prior_strengths), losses[1], losses[0]))
    best = min(trials, key=lambda trial: trial.value)
    is_open = best in (trials[0], trials[-1])
    return PriorChoice("validation", best, tuple(trials), tuple(best.strengths) if is_open else ())
