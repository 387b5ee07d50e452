"""Quadratic forms in the linear coordinates of the parameters."""

import dataclasses

import torch


@dataclasses.dataclass(frozen=True)
class QuadraticForm:
    """f(δ) = δᵀGδ - 2hᵀδ + c: a sum or mean of squares of residuals that are linear in δ.

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

    def evaluate_many(self, deltas: torch.Tensor) -> torch.Tensor:
        """The values at many, ``shape=(n, n_used)``, ``shape=(n,)``: one product for all."""
        return ((deltas @ self.curvature - 2.0 * self.slope) * deltas).sum(-1) + self.constant
