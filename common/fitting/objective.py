"""The loss of a fit as a quadratic form, read off the statistics.

L = (1/N) Σ_i [ Σ_c w_c (ΔE - ΔE_ref)² + w_F Σ_c w_c |F - F_ref|² / (3 m_i) ] over the N entries of a split, with
conformer weights w_c that add up to 1 in each entry (1/n_i by default) and energies relative to the entry's weighted
mean; priors come on top.
"""

import collections.abc
import dataclasses

import torch

from common.fitting.priors import Prior
from common.forcefields.tensors import TensorForceField
from common.sufficient_statistics.linearization import Linearization
from common.sufficient_statistics.quadratic import QuadraticForm
from common.sufficient_statistics.statistics import Statistics


@dataclasses.dataclass(frozen=True)
class Objective:
    """The loss on one split.

    Attributes:
        linearization, features: see ``Statistics``.
        phi_reference: φ̄ on the used features, ``shape=(n_used,)``.
        energy, forces: the two parts; [kcal²/mol²] and [kcal²/mol²/Angstrom²].
        force_weight: w_F [Angstrom²].
        prior: what is added to the loss, times ``prior_strength`` [kcal²/mol²]; None for nothing.
    """

    linearization: Linearization
    features: torch.Tensor
    phi_reference: torch.Tensor
    energy: QuadraticForm
    forces: QuadraticForm
    force_weight: float
    prior: Prior | None = None
    prior_strength: float = 0.0

    def compute_delta(self, force_field: TensorForceField) -> torch.Tensor:
        """δ = φ - φ̄ of a force field on the used features; differentiable."""
        return self.linearization.compute(force_field)[self.features] - self.phi_reference

    def compute_parts(self, force_field: TensorForceField) -> tuple[torch.Tensor, torch.Tensor]:
        """The mean loss of the energies and of the forces; differentiable."""
        return self.evaluate_parts(self.compute_delta(force_field))

    def evaluate_parts(self, delta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The two parts at ``delta``, ``shape=(n_used,)``."""
        return self.energy.evaluate(delta), self.forces.evaluate(delta)

    def compute_loss(self, force_field: TensorForceField) -> torch.Tensor:
        """What a fit minimises: both parts and the prior; differentiable."""
        delta = self.compute_delta(force_field)
        loss_energy, loss_forces = self.evaluate_parts(delta)
        loss = loss_energy + self.force_weight * loss_forces
        if self.prior is not None and self.prior_strength > 0.0:
            loss = loss + self.prior_strength * self.prior.evaluate(delta, force_field)
        return loss

    def combine_forms(self) -> QuadraticForm:
        """The loss as one quadratic form in δ, with the prior of the valence terms."""
        matrix = self.energy.matrix + self.force_weight * self.forces.matrix
        if self.prior is not None and self.prior_strength > 0.0:
            matrix = matrix + self.prior_strength * self.prior.valence.matrix
        return QuadraticForm(matrix)


def build_objective(
    statistics: Statistics,
    split: str,
    force_weight: float = 1.0,
    source_weights: collections.abc.Mapping[str, float] | None = None,
) -> Objective | None:
    """The loss on one split; None where the split has no entries.

    Args:
        statistics: of the whole data.
        split: "train", "validation" or "test".
        force_weight: w_F [Angstrom²].
        source_weights: weight of the entries of each source, 1 for those not named; the loss is the weighted mean.

    Raises:
        ValueError: a weight is negative, or names a source that is not there.
    """
    weights = dict(source_weights or {})
    sources = {source for source, _ in statistics.groups}
    for source, weight in weights.items():
        if source not in sources:
            raise ValueError(f"source weight for {source!r}, which is not among the data: {', '.join(sorted(sources))}")
        if weight < 0.0:
            raise ValueError(f"source weight of {source} is {weight}, it must not be negative")
    groups = [(weights.get(source, 1.0), group) for (source, name), group in statistics.groups.items() if name == split]
    total = sum(weight * group.n_entries for weight, group in groups)
    if total == 0.0:
        return None
    linearization = statistics.linearization
    return Objective(
        linearization=linearization,
        features=statistics.features,
        phi_reference=linearization.compute(linearization.reference)[statistics.features],
        energy=QuadraticForm(torch.stack([weight * group.energy for weight, group in groups]).sum(0) / total),
        forces=QuadraticForm(torch.stack([weight * group.forces for weight, group in groups]).sum(0) / total),
        force_weight=force_weight,
    )
