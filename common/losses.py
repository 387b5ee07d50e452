"""The loss of a fit as a quadratic form, read off the statistics.

L = (1/N) Σ_i [ Σ_c w_c (ΔE - ΔE_ref)² + w_F Σ_c w_c |F - F_ref|² / (3 m_i) ] over the N entries of a split, with conformer
weights w_c that add up to 1 in each entry (1/n_i by default) and energies relative to the entry's weighted mean.
"""

import dataclasses
import typing

import torch

from common.linearization import Linearization
from common.statistics import Statistics
from common.tensors import TensorForceField


@dataclasses.dataclass(frozen=True)
class QuadraticForm:
    """f(δ) = δᵀGδ - 2hᵀδ + c, a mean of squared residuals at φ = φ̄ + δ.

    Attributes:
        matrix: ``[[G, h], [hᵀ, c]]``, ``shape=(n_used + 1, n_used + 1)``.
    """

    matrix: torch.Tensor

    @property
    def curvature(self) -> torch.Tensor:
        """G, ``shape=(n_used, n_used)``: half the second derivative."""
        return self.matrix[:-1, :-1]

    @property
    def slope(self) -> torch.Tensor:
        """h, ``shape=(n_used,)``: minus half the gradient at δ = 0."""
        return self.matrix[:-1, -1]

    @property
    def constant(self) -> torch.Tensor:
        """c, a scalar: the value at δ = 0."""
        return self.matrix[-1, -1]

    def evaluate(self, delta: torch.Tensor) -> torch.Tensor:
        """The value at ``delta``, ``shape=(n_used,)``; differentiable."""
        return delta @ (self.curvature @ delta) - 2.0 * (self.slope @ delta) + self.constant


@dataclasses.dataclass(frozen=True)
class Objective:
    """The loss on one split.

    Attributes:
        linearization, columns: see ``Statistics``.
        phi_reference: φ̄ on the used columns, ``shape=(n_used,)``.
        energy, forces: the two parts; [kcal²/mol²] and [kcal²/mol²/Angstrom²].
        force_weight: w_F [Angstrom²].
    """

    linearization: Linearization
    columns: torch.Tensor
    phi_reference: torch.Tensor
    energy: QuadraticForm
    forces: QuadraticForm
    force_weight: float

    def compute_delta(self, force_field: TensorForceField) -> torch.Tensor:
        """δ = φ - φ̄ of a force field on the used columns; differentiable."""
        return self.linearization.compute(force_field)[self.columns] - self.phi_reference

    def compute_parts(self, force_field: TensorForceField) -> tuple[torch.Tensor, torch.Tensor]:
        """The mean loss of the energies and of the forces; differentiable."""
        delta = self.compute_delta(force_field)
        return self.energy.evaluate(delta), self.forces.evaluate(delta)

    def combine(self, parts: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """The loss that its two parts make."""
        return parts[0] + self.force_weight * parts[1]

    def combine_forms(self) -> QuadraticForm:
        """The whole loss as one quadratic form."""
        return QuadraticForm(self.energy.matrix + self.force_weight * self.forces.matrix)


def build_objective(
    statistics: Statistics,
    split: str,
    force_weight: float = 1.0,
    source_weights: typing.Mapping[str, float] | None = None,
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
        columns=statistics.columns,
        phi_reference=linearization.compute(linearization.reference)[statistics.columns],
        energy=QuadraticForm(sum(weight * group.energy for weight, group in groups) / total),
        forces=QuadraticForm(sum(weight * group.forces for weight, group in groups) / total),
        force_weight=force_weight,
    )
