"""What sources should weigh, by what the fit leaves of each: the inverse of the variance of its residuals.

For independent Gaussian errors with a variance of their own for the energies and the forces of each source, the
likelihood is a least-squares loss in which each part is weighted by the inverse of its variance, and the variances at
the optimum are the means of the squared residuals there. Both are found in turn, as in iteratively reweighted least
squares: a hot source that no force field of this form can follow then no longer outweighs a relaxed one.
"""

import collections.abc

from common.fitting.exact_fit import fit_valence
from common.fitting.objective import Objective
from common.fitting.source_weights import PartWeights, SourceWeights
from common.forcefields.tensors import TensorForceField
from common.forcefields.trainable import Trainable, TrainedColumns
from common.sufficient_statistics.quadratic import QuadraticForm
from common.sufficient_statistics.statistics import Statistics

N_ROUNDS = 4
"""Fits, each with the weights that the one before has led to: the weights then change by a few percent."""

LARGEST_RATIO = 100.0
"""Between the weights of two sources: one that is followed exactly would take all."""


def estimate_source_weights(
    statistics: Statistics, objective: Objective, force_field: TensorForceField
) -> dict[str, PartWeights]:
    """By source the inverse variances of the residuals of its training energies and forces; their means are 1.

    Args:
        statistics: of the data.
        objective: for φ; its own weights do not matter.
        force_field: whose residuals.
    """
    delta = objective.compute_delta(force_field).detach()
    groups = {source: group for (source, split), group in statistics.groups.items() if split == "train"}
    parts = {}
    for part, count in (("energy", "n_energies"), ("forces", "n_forces")):
        sizes = {source: getattr(group, count) for source, group in groups.items()}
        variances = {
            source: QuadraticForm(getattr(group, part)).evaluate(delta).item() / sizes[source]
            for source, group in groups.items()
            if sizes[source]
        }
        parts[part] = _invert(variances, sizes)
    return {
        source: PartWeights(parts["energy"].get(source, 1.0), parts["forces"].get(source, 1.0)) for source in groups
    }


def _invert(
    variances: collections.abc.Mapping[str, float], sizes: collections.abc.Mapping[str, int]
) -> dict[str, float]:
    if not variances:
        return {}
    floor = max(variances.values()) / LARGEST_RATIO
    weights = {source: 1.0 / max(variance, floor, 1e-300) for source, variance in variances.items()}
    mean = sum(sizes[source] * weight for source, weight in weights.items()) / sum(sizes[source] for source in weights)
    return {source: weight / mean for source, weight in weights.items()}


def weigh_sources(
    statistics: Statistics,
    build: collections.abc.Callable[[SourceWeights], Objective],
    trainable: Trainable,
    trained: TrainedColumns,
) -> dict[str, PartWeights]:
    """The weights of the sources and the fit that belong together, found in turn.

    Args:
        statistics: of the data.
        build: gives the training loss, priors included, for weights of the sources.
        trainable, trained: what is trained.
    """
    weights: dict[str, PartWeights] = {}
    for _ in range(N_ROUNDS):
        objective = build(weights)
        fitted = fit_valence(objective, trainable, trained, trainable.force_field).force_field
        weights = estimate_source_weights(statistics, objective, fitted)
    return weights
