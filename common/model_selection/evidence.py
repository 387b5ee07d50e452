"""The evidence for strengths of the priors: the marginal likelihood of the data, as in empirical Bayes (MacKay 1992).

With the likelihood exp(-β L) and the prior exp(-β Σ s_k |r_k|²), both Gaussian in δ, the evidence is

    ln p = -β min(L + prior) + Σ_k (n_k / 2) ln s_k - (1/2) ln det(G + Σ_k s_k R_kᵀ R_k)  +  what the s_k do not change.

How much the data count is β. Were all residuals independent, β would be their number over twice their variance; but
those of one molecule have their causes in common, and such a β would have a hundred times too much trust in the data.
What is true can be seen in the folds: at the optimum the slopes of their losses differ by chance alone, and for the
likelihood above their mean would have the covariance G / (2 β).
"""

import collections.abc

import numpy
import scipy.linalg
import torch

from common.fitting.priors import Prior, Strengths
from common.fitting.quadratic_program import RIDGE, ValenceProblem, solve_from_guess
from common.model_selection.cross_validation import Fold, VaryingForm, VaryingPrior
from common.sufficient_statistics.quadratic import QuadraticForm


class Evidence:
    """Minus the logarithm of the evidence, up to a constant."""

    def __init__(self, folds: collections.abc.Sequence[Fold], prior: Prior, problem: ValenceProblem):
        """Takes the folds, the prior whose strengths are wanted, and what varies within which limits."""
        self._folds = [VaryingForm(fold.left_out, problem.variables) for fold in folds]
        mean = torch.stack([fold.weight * fold.left_out.matrix for fold in folds]).sum(0)
        self._mean = VaryingForm(QuadraticForm(mean), problem.variables)
        self._prior = VaryingPrior(prior, problem.variables)
        self._limits, self._bounds = problem.limits[:, problem.variables], problem.bounds
        self._active = numpy.zeros(len(problem.bounds), dtype=bool)
        self.trust = 1.0

    def solve(self, strengths: Strengths) -> numpy.ndarray:
        """The optimum with all data, ``shape=(n,)``."""
        curvature, slope = self._prior.add(self._mean, strengths)
        x, self._active = solve_from_guess(curvature, slope, self._limits, self._bounds, self._active)
        return x

    def estimate_trust(self, strengths: Strengths) -> float:
        """β [mol²/kcal²], from how far the slopes of the folds differ at the optimum; kept for what follows."""
        x = self.solve(strengths)
        slopes = numpy.array([fold.curvature @ x - fold.slope for fold in self._folds])
        variances = slopes.var(axis=0, ddof=1) / len(slopes)
        curvature = numpy.diag(self._mean.curvature)
        is_touched = curvature > 0.0
        self.trust = 0.5 / float(numpy.mean(variances[is_touched] / curvature[is_touched]))
        return self.trust

    def __call__(self, strengths: Strengths) -> float:
        """-ln p at these strengths of all kinds [kcal²/mol²]."""
        x = self.solve(strengths)
        misfit = self._mean.evaluate(x) + self._prior.evaluate(x, strengths)
        curvature, _ = self._prior.add(self._mean, strengths)
        diagonal = numpy.diag(curvature)
        scale = 1.0 / numpy.sqrt(numpy.where(diagonal > 0.0, diagonal, 1.0))
        scaled = curvature * scale[:, None] * scale
        scaled[numpy.diag_indices(len(scale))] += RIDGE
        factor = scipy.linalg.cholesky(scaled, lower=True, check_finite=False)
        log_determinant = 2.0 * float(numpy.log(numpy.diag(factor)).sum() - numpy.log(scale).sum())
        return self.trust * misfit + 0.5 * log_determinant - 0.5 * float(numpy.log(self._prior.weigh(strengths)).sum())
