"""The loss on molecules left out, as a function of the strengths of the priors.

The pass keeps the sums of each fold of molecules, so that a fit without one fold is a solve, like any other. That
solve is done anew for each fold and each choice of strengths; from one choice to the next hardly a limit changes sides,
and the active ones of the last solve are the guess for the next.
"""

import collections.abc
import dataclasses

import numpy
import torch

from common.fitting.priors import Prior, Strengths
from common.fitting.quadratic_program import ValenceProblem, solve_from_guess
from common.fitting.source_weights import PartWeights, SourceWeights, add_up_weights, get_part_weights
from common.sufficient_statistics.quadratic import QuadraticForm
from common.sufficient_statistics.statistics import Statistics, list_folds


@dataclasses.dataclass(frozen=True)
class Fold:
    """A fold of the molecules and all the others.

    Attributes:
        left_out, rest: the mean loss on each; see ``common.fitting.objective``. Where some entries lack energies or
            forces, the former is scaled so that the mean over all folds is that over all entries.
        weight: share of this fold in the mean over all entries.
    """

    left_out: QuadraticForm
    rest: QuadraticForm
    weight: float


def build_folds(
    statistics: Statistics, force_weight: float = 1.0, source_weights: SourceWeights | None = None
) -> list[Fold]:
    """The losses with each fold left out.

    Args:
        statistics: whose pass dealt the molecules out to folds.
        force_weight: w_F [Angstrom²].
        source_weights: weight of the entries of each source, 1 for those not named.

    Raises:
        ValueError: there are no two folds with data, so that nothing can be left out.
    """
    sums = [_add_up_fold(statistics, number, source_weights) for number in list_folds(statistics)]
    sums = [one for one in sums if sum(one.weights) > 0.0]
    if len(sums) < 2:
        raise ValueError("cross-validation needs two molecules and two folds at least; give a prior strength instead")
    total = _join(sums)
    folds = []
    for i, one in enumerate(sums):
        share = sum(one.weights) / sum(total.weights)
        left_out = dataclasses.replace(one, weights=total.weights).average(force_weight)
        rest = _join([*sums[:i], *sums[i + 1 :]]).average(force_weight)
        folds.append(Fold(QuadraticForm(left_out / share), QuadraticForm(rest), share))
    return folds


@dataclasses.dataclass(frozen=True)
class _Sums:
    """Weighted sums over some entries: the Gram matrices of energies and forces, and what they are to be divided by."""

    energy: torch.Tensor
    forces: torch.Tensor
    weights: PartWeights

    def average(self, force_weight: float) -> torch.Tensor:
        """The mean loss: of the energies over those that have them, of the forces likewise."""
        energy, forces = self.energy / (self.weights.energy or 1.0), self.forces / (self.weights.forces or 1.0)
        return energy + force_weight * forces


def _add_up_fold(statistics: Statistics, number: int, weights: SourceWeights | None) -> _Sums:
    parts = [(source, fold) for (source, own), fold in statistics.folds.items() if own == number]
    weighted = [(get_part_weights(weights, source), fold) for source, fold in parts]
    energy = torch.stack([weight.energy * fold.energy for weight, fold in weighted]).sum(0)
    forces = torch.stack([weight.forces * fold.forces for weight, fold in weighted]).sum(0)
    return _Sums(energy, forces, add_up_weights(weights, parts))


def _join(sums: collections.abc.Sequence[_Sums]) -> _Sums:
    energy, forces = (torch.stack([getattr(one, part) for one in sums]).sum(0) for part in ("energy", "forces"))
    return _Sums(energy, forces, PartWeights(*(sum(of) for of in zip(*(one.weights for one in sums), strict=True))))


class VaryingForm:
    """A quadratic form in the features that vary; those that do not stay at the reference."""

    def __init__(self, form: QuadraticForm, variables: numpy.ndarray):
        """Takes the form in δ and which features of it vary."""
        self.curvature = form.curvature.numpy()[numpy.ix_(variables, variables)]
        self.slope = form.slope.numpy()[variables]
        self.constant = form.constant.item()

    def evaluate(self, x: numpy.ndarray) -> float:
        """The value at ``x``, ``shape=(n,)``."""
        return float(x @ (self.curvature @ x) - 2.0 * (self.slope @ x)) + self.constant


class VaryingPrior:
    """The prior as a quadratic form in the features that vary, for any strengths."""

    def __init__(self, prior: Prior, variables: numpy.ndarray):
        """Takes the prior and which features vary."""
        rows = prior.rows.toarray()
        self._rows, self._residuals = rows[:, variables], rows[:, -1]
        self._kinds = prior.row_kinds

    def weigh(self, strengths: Strengths) -> numpy.ndarray:
        """The strength of each residual, ``shape=(n_rows,)``."""
        return numpy.array([strengths[kind] for kind in self._kinds])

    def add(self, form: VaryingForm, strengths: Strengths) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Curvature and slope of a form with the prior."""
        weighted = self._rows * self.weigh(strengths)[:, None]
        return form.curvature + self._rows.T @ weighted, form.slope + weighted.T @ self._residuals

    def evaluate(self, x: numpy.ndarray, strengths: Strengths) -> float:
        """The value at ``x``, ``shape=(n,)``."""
        return float((self.weigh(strengths) * (self._rows @ x - self._residuals) ** 2).sum())


class CrossValidation:
    """The mean loss on molecules left out."""

    def __init__(self, folds: collections.abc.Sequence[Fold], prior: Prior, problem: ValenceProblem):
        """Takes the folds, the prior whose strengths are wanted, and what varies within which limits."""
        self._weights = [fold.weight for fold in folds]
        self._left_out = [VaryingForm(fold.left_out, problem.variables) for fold in folds]
        self._rest = [VaryingForm(fold.rest, problem.variables) for fold in folds]
        self._prior = VaryingPrior(prior, problem.variables)
        self._limits, self._bounds = problem.limits[:, problem.variables], problem.bounds
        self._active = [numpy.zeros(len(problem.bounds), dtype=bool) for _ in folds]

    def compute_losses(self, strengths: Strengths) -> list[float]:
        """The loss on each fold of a fit to the others, by strengths of all kinds [kcal²/mol²]."""
        losses = []
        for i, (left_out, rest) in enumerate(zip(self._left_out, self._rest, strict=True)):
            curvature, slope = self._prior.add(rest, strengths)
            x, self._active[i] = solve_from_guess(curvature, slope, self._limits, self._bounds, self._active[i])
            losses.append(left_out.evaluate(x))
        return losses

    def compute_shares(self, strengths: Strengths) -> numpy.ndarray:
        """What each fold adds to the mean over the entries of all folds, ``shape=(n_folds,)``."""
        return numpy.array(self._weights) * self.compute_losses(strengths)

    def __call__(self, strengths: Strengths) -> float:
        """The mean over the entries of all folds."""
        return float(self.compute_shares(strengths).sum())
