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
from common.sufficient_statistics.statistics import FoldStatistics, Statistics, list_folds


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
    numbers = list_folds(statistics)
    if len(numbers) < 2:
        raise ValueError("cross-validation needs two molecules and two folds at least; give a prior strength instead")
    of = {
        number: [(source, fold) for (source, n), fold in statistics.folds.items() if n == number] for number in numbers
    }
    counts = {number: add_up_weights(source_weights, of[number]) for number in numbers}
    total = PartWeights(*(sum(parts) for parts in zip(*counts.values(), strict=True)))
    energy = {number: _add_up(of[number], source_weights, "energy") for number in numbers}
    forces = {number: _add_up(of[number], source_weights, "forces") for number in numbers}
    all_energy, all_forces = (torch.stack(list(sums.values())).sum(0) for sums in (energy, forces))
    folds = []
    for number in numbers:
        share = sum(counts[number]) / sum(total)
        left_out = energy[number] / (total.energy or 1.0) + force_weight * forces[number] / (total.forces or 1.0)
        rest = (all_energy - energy[number]) / (total.energy - counts[number].energy or 1.0)
        rest = rest + force_weight * (all_forces - forces[number]) / (total.forces - counts[number].forces or 1.0)
        folds.append(Fold(QuadraticForm(left_out / share), QuadraticForm(rest), share))
    return folds


def _add_up(
    folds: collections.abc.Iterable[tuple[str, FoldStatistics]], weights: SourceWeights | None, part: str
) -> torch.Tensor:
    """The sum of the Gram matrices of one part, "energy" or "forces", each with the weight of its source."""
    return torch.stack(
        [getattr(get_part_weights(weights, source), part) * getattr(one, part) for source, one in folds]
    ).sum(0)


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

    def __call__(self, strengths: Strengths) -> float:
        """The mean over the entries of all folds."""
        return float(numpy.dot(self._weights, self.compute_losses(strengths)))
