"""Error bars: what the curvature of the loss says of each trained parameter.

At the optimum the parameters respond to an error of the data by H⁻¹ times the error of the loss's slope, H being the
Gauss-Newton curvature JᵀGJ with J = dφ/dθ. Errors of the residuals that are independent, with one variance for energies
and one for force components, give the slope the covariance V = Jᵀ(σ_E² N_E + w_F² σ_F² N_F)J, where N_E and N_F are the
Gram matrices with squared weights (common/sufficient_statistics/statistics.py); the parameters' covariance is then H⁻¹
V H⁻¹. The variances are estimated from the residuals themselves.

Real residuals are not independent: a force field of this form cannot follow quantum chemistry, and its errors recur in
all conformers of a molecule. The error bars are those of chance alone.
"""

import dataclasses

import numpy
import torch

from common.fitting.objective import Objective
from common.fitting.source_weights import SourceWeights, add_up_weights, get_part_weights
from common.forcefields.tensors import TensorForceField
from common.forcefields.trainable import Trainable
from common.sufficient_statistics.statistics import Statistics

FLAT_EIGENVALUE = 1e-9
"""Directions of the curvature (each variable scaled to 1) below this are flat: the data say nothing along them."""

FLAT_SHARE = 1e-6
"""A parameter with a larger share in flat directions is not determined."""

STRONG_CORRELATION = 0.9
"""Correlations of at least this size are reported."""


@dataclasses.dataclass(frozen=True)
class Uncertainty:
    """What the data say of each trained value, in the order of ``Trainable.names``.

    Attributes:
        standard_error: in the column's unit, from the data alone, without priors; infinite where these say nothing,
            0 for a value that a limit holds.
        is_determined: whether the data touch the value, and the standard error is smaller than the width of the prior;
            where there is none, than the value itself.
        is_at_limit: whether a limit holds the value.
        partner: index of the value with the strongest correlation, -1 where none is strong.
        correlation: with that partner, else 0.
        sigma_energy, sigma_forces: root mean square residuals that the estimate rests on [kcal/mol],
            [kcal/mol/Angstrom].
    """

    standard_error: numpy.ndarray
    is_determined: numpy.ndarray
    is_at_limit: numpy.ndarray
    partner: numpy.ndarray
    correlation: numpy.ndarray
    sigma_energy: float
    sigma_forces: float


def compute_uncertainty(
    statistics: Statistics,
    objective: Objective,
    trainable: Trainable,
    force_field: TensorForceField,
    prior_widths: numpy.ndarray,
    source_weights: SourceWeights,
) -> Uncertainty:
    """Error bars of the trained values of ``force_field``, at or near the optimum of ``objective``.

    Args:
        statistics: where the training sums are.
        objective: the training loss.
        trainable: which values are trained.
        force_field: the fitted values.
        prior_widths: of each trained value, NaN for none.
        source_weights: as the objective was built with.
    """
    values = trainable.to_values(force_field)
    jacobian = compute_jacobian(objective, trainable, values)
    curvature = objective.energy.curvature + objective.force_weight * objective.forces.curvature
    noise, sigmas = compute_noise(statistics, objective, force_field, source_weights)
    at_limit = ((values <= trainable.lower) | (values >= trainable.upper)).numpy()
    free = ~at_limit
    hessian = (jacobian.T @ curvature @ jacobian).numpy()
    spread = (jacobian.T @ noise @ jacobian).numpy()
    is_touched = numpy.diag(hessian) > 0.0
    covariance, is_flat = invert_curvature(hessian[numpy.ix_(free, free)], spread[numpy.ix_(free, free)])

    variance = numpy.where(is_touched, 0.0, numpy.inf)
    variance[free] = numpy.where(is_flat, numpy.inf, numpy.diag(covariance))
    partner, correlation = numpy.full(len(values), -1), numpy.zeros(len(values))
    indices = numpy.flatnonzero(free)
    partner[free], correlation[free] = _find_partners(covariance, is_flat, indices)
    standard_error = numpy.sqrt(variance)
    magnitude = (values / trainable.scales).abs().numpy()
    reference = numpy.where(numpy.isnan(prior_widths), magnitude, prior_widths)
    return Uncertainty(
        standard_error=standard_error,
        is_determined=is_touched & (at_limit | (standard_error < reference)),
        is_at_limit=at_limit,
        partner=partner,
        correlation=correlation,
        sigma_energy=sigmas[0],
        sigma_forces=sigmas[1],
    )


def compute_jacobian(objective: Objective, trainable: Trainable, values: torch.Tensor) -> torch.Tensor:
    """dφ/dθ of the used features, θ in the columns' own units, ``shape=(n_used, n_values)``."""

    def compute_phi(scaled: torch.Tensor) -> torch.Tensor:
        return objective.linearization.compute(trainable.to_force_field(scaled))[objective.features]

    return torch.autograd.functional.jacobian(compute_phi, values, vectorize=True) * trainable.scales


def compute_noise(
    statistics: Statistics,
    objective: Objective,
    force_field: TensorForceField,
    source_weights: SourceWeights,
) -> tuple[torch.Tensor, tuple[float, float]]:
    """The covariance of the slope, ``shape=(n_used, n_used)``, and the two standard deviations of the residuals."""
    groups = [(source, group) for (source, split), group in statistics.groups.items() if split == "train"]
    total = add_up_weights(source_weights, groups)
    weighted = [(get_part_weights(source_weights, source), group) for source, group in groups]
    loss_energy, loss_forces = (part.item() for part in objective.compute_parts(force_field))
    # relative energies: an entry of n equally weighted conformers has n - 1 independent ones
    share = 1.0 - sum(weight.energy * group.sum_squared_weights for weight, group in weighted) / (total.energy or 1.0)
    variance_energy = loss_energy / share if share > 1e-12 else 0.0
    scale_energy = variance_energy / (total.energy or 1.0) ** 2
    scale_forces = objective.force_weight**2 * loss_forces / (total.forces or 1.0) ** 2
    noise = torch.stack(
        [
            weight.energy**2 * scale_energy * group.energy_noise + weight.forces**2 * scale_forces * group.forces_noise
            for weight, group in weighted
        ]
    ).sum(0)
    return noise[:-1, :-1], (variance_energy**0.5, loss_forces**0.5)


def invert_curvature(hessian: numpy.ndarray, spread: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """H⁻¹ V H⁻¹ on the directions that are not flat, and which variables have a share in those that are."""
    diagonal = numpy.diag(hessian)
    scale = 1.0 / numpy.sqrt(numpy.where(diagonal > 0.0, diagonal, 1.0))
    eigenvalues, vectors = numpy.linalg.eigh(hessian * scale[:, None] * scale)
    flat = eigenvalues < FLAT_EIGENVALUE
    share = (vectors[:, flat] ** 2).sum(axis=1)
    inverse = (vectors[:, ~flat] / eigenvalues[~flat]) @ vectors[:, ~flat].T * scale[:, None] * scale
    return inverse @ spread @ inverse, (share > FLAT_SHARE) | (diagonal <= 0.0)


def _find_partners(
    covariance: numpy.ndarray, is_flat: numpy.ndarray, indices: numpy.ndarray
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """For each variable the one it is most correlated with, and how; -1 and 0 where that is weak."""
    if not len(indices):
        return indices, numpy.zeros(0)
    deviation = numpy.sqrt(numpy.where(is_flat | (numpy.diag(covariance) <= 0.0), numpy.inf, numpy.diag(covariance)))
    correlation = covariance / deviation[:, None] / deviation
    numpy.fill_diagonal(correlation, 0.0)
    best = numpy.abs(correlation).argmax(axis=1)
    value = correlation[numpy.arange(len(best)), best]
    is_strong = numpy.abs(value) >= STRONG_CORRELATION
    return numpy.where(is_strong, indices[best], -1), numpy.where(is_strong, value, 0.0)
