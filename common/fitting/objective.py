"""The loss of a fit as a quadratic form, read off the statistics.

L = (1/N_E) Σ_i Σ_c w_c (ΔE - ΔE_ref)² + w_F (1/N_F) Σ_i Σ_c w_c |F - F_ref|² / (3 m_i) over the N_E entries of a split
that have energies and the N_F that have forces (mostly the same ones), with conformer weights w_c that add up to 1 in
each entry (1/n_i by default) and energies relative to the entry's weighted mean; priors come on top.
"""

import dataclasses
import functools

import torch

from common.fitting.priors import Prior, Strengths
from common.fitting.source_weights import SourceWeights, add_up_weights, check_source_weights, get_part_weights
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
        prior: what is added to the loss; None for nothing.
        prior_strengths: by kind of parameter [kcal²/mol²].
    """

    linearization: Linearization
    features: torch.Tensor
    phi_reference: torch.Tensor
    energy: QuadraticForm
    forces: QuadraticForm
    force_weight: float
    prior: Prior | None = None
    prior_strengths: Strengths = dataclasses.field(default_factory=dict)

    def with_strengths(self, strengths: Strengths | float) -> "Objective":
        """The same with other strengths of the prior; a number stands for one for all kinds."""
        if isinstance(strengths, float):
            strengths = dict.fromkeys(self.prior.kinds if self.prior is not None else (), strengths)
        return dataclasses.replace(self, prior_strengths=dict(strengths))

    @property
    def has_prior(self) -> bool:
        """Whether anything is added to the loss."""
        return self.prior is not None and any(strength > 0.0 for strength in self.prior_strengths.values())

    @functools.cached_property
    def _valence_prior(self) -> QuadraticForm:
        assert self.prior is not None
        return self.prior.combine(self.prior_strengths)

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
        return loss + self.evaluate_prior(delta, force_field) if self.has_prior else loss

    def evaluate_prior(self, delta: torch.Tensor, force_field: TensorForceField) -> torch.Tensor:
        """What the prior adds for a force field and its δ; differentiable."""
        if self.prior is None:
            return torch.zeros((), dtype=torch.float64)
        return self._valence_prior.evaluate(delta) + self.prior.evaluate_vdw(force_field, self.prior_strengths)

    def combine_forms(self) -> QuadraticForm:
        """The loss as one quadratic form in δ, with the prior of the valence terms."""
        matrix = self.energy.matrix + self.force_weight * self.forces.matrix
        if self.has_prior:
            matrix = matrix + self._valence_prior.matrix
        return QuadraticForm(matrix)


def build_objective(
    statistics: Statistics,
    split: str,
    force_weight: float = 1.0,
    source_weights: SourceWeights | None = None,
) -> Objective | None:
    """The loss on one split; None where the split has no entries.

    Args:
        statistics: of the whole data.
        split: "train", "validation" or "test".
        force_weight: w_F [Angstrom²].
        source_weights: weight of the entries of each source, 1 for those not named; the two parts of the loss are
            weighted means.

    Raises:
        ValueError: a weight is negative, or names a source that is not there.
    """
    check_source_weights(source_weights or {}, {source for source, _ in statistics.groups})
    groups = [(source, group) for (source, name), group in statistics.groups.items() if name == split]
    total = add_up_weights(source_weights, groups)
    if total.energy + total.forces == 0.0:
        return None
    weighted = [(get_part_weights(source_weights, source), group) for source, group in groups]
    energy = torch.stack([weight.energy * group.energy for weight, group in weighted]).sum(0)
    forces = torch.stack([weight.forces * group.forces for weight, group in weighted]).sum(0)
    linearization = statistics.linearization
    return Objective(
        linearization=linearization,
        features=statistics.features,
        phi_reference=linearization.compute(linearization.reference)[statistics.features],
        energy=QuadraticForm(energy / (total.energy or 1.0)),
        forces=QuadraticForm(forces / (total.forces or 1.0)),
        force_weight=force_weight,
    )
