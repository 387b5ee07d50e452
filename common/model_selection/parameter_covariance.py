"""The covariance of fitted parameters, for the errors of predictions.

The parameters answer an error of the loss's slope by A⁻¹ times it, A being the curvature with priors. Independent
errors of all residuals give the slope the covariance V (common/fitting/uncertainty.py), which is far too small for real
residuals: those of one molecule have their causes in common. How far can be seen in the folds of cross-validation: at
the optimum the slopes of their losses differ by chance alone, so that the variance of their mean, over that of V, says
by what V is to be multiplied. What the priors hold is uncertain, too: a strength λ is the precision of the parameters
over twice the trust β in the data (common/model_selection/evidence.py), so that the covariance is

    A⁻¹ (κ V + P / (2 β)) A⁻¹,   P being the curvature of the priors alone.
"""

import numpy
import torch

from common.fitting.uncertainty import compute_jacobian, compute_noise, invert_curvature
from common.forcefields.covariance import ParameterCovariance
from common.forcefields.tensors import TensorForceField
from common.model_selection.cross_validation import build_folds
from common.model_selection.setup import SetUp
from common.sufficient_statistics.statistics import list_folds

MIN_SHARE = 0.7
"""Of the folds, that a feature must be spread over to tell how far they differ."""


def estimate_covariance(setup: SetUp, force_field: TensorForceField) -> ParameterCovariance:
    """The covariance of the trained values of ``force_field``, at or near the optimum of the training loss.

    Values that a limit holds are certain; along directions that neither data nor priors determine nothing is said.

    Args:
        setup: the fit.
        force_field: the fitted values.
    """
    trainable, objective = setup.trainable, setup.objectives["train"]
    values = trainable.to_values(force_field)
    jacobian = compute_jacobian(objective, trainable, values)
    noise, (residual, _) = compute_noise(setup.statistics, objective, force_field, setup.weights)
    data = objective.with_strengths(0.0).combine_forms().curvature
    prior = objective.combine_forms().curvature - data
    excess, trust = _compare_folds(setup, force_field, noise, data)
    spread = excess * noise + prior / (2.0 * trust)
    free = ((values > trainable.lower) & (values < trainable.upper)).numpy()
    curvature, spread = ((jacobian.T @ one @ jacobian).numpy()[numpy.ix_(free, free)] for one in (data + prior, spread))
    covariance, _ = invert_curvature(curvature, spread)
    matrix = torch.zeros((len(values), len(values)), dtype=torch.float64)
    places = torch.from_numpy(numpy.flatnonzero(free))
    matrix[places[:, None], places] = torch.from_numpy(covariance)
    return ParameterCovariance(tuple(trainable.names), matrix, residual)


def _compare_folds(
    setup: SetUp, force_field: TensorForceField, noise: torch.Tensor, curvature: torch.Tensor
) -> tuple[float, float]:
    """κ, how much larger the variance of the slope is than by chance, and the trust β [mol²/kcal²].

    Only features that most folds have tell: one of a single fold has no slope there, since the fit has followed it.
    """
    variances, floor = noise.diagonal(), curvature.diagonal()
    tells, excess = floor > 0.0, 1.0
    if len(list_folds(setup.statistics)) > 1:
        objective = setup.objectives["train"]
        delta = objective.compute_delta(force_field).detach()
        folds = build_folds(setup.statistics, setup.plan.force_weight, setup.weights)
        shares = torch.stack([fold.weight * fold.left_out.curvature.diagonal() for fold in folds])
        n_effective = shares.sum(dim=0) ** 2 / (shares**2).sum(dim=0).clamp(min=1e-300)
        tells &= (n_effective > MIN_SHARE * len(folds)) & (variances > 0.0)
        slopes = torch.stack([fold.left_out.curvature @ delta - fold.left_out.slope for fold in folds])
        found = slopes.var(dim=0) / len(folds)
        if tells.any():
            excess, variances = float((found[tells] / variances[tells]).mean()), found
        else:
            tells = floor > 0.0
    return excess, 0.5 / max(float((variances[tells] / floor[tells]).mean()), 1e-300)
