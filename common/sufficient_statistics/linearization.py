"""The coordinates φ in which energies and forces are linear.

A conformer does not move during a fit, so that its energy is linear in suitable functions φ of the parameters:

- a bond or angle, expanded around a reference value q̄ of its minimum: U = a (q - q̄)²/2 - b (q - q̄) + constant, with
  a = k and b = k (q0 - q̄). The constant b²/2a is the same for all conformers and drops out of relative energies.
- a torsion or improper term: linear in k.
- a Lennard-Jones pair of types s, t, around a reference σ̄ of the pair: U = 4A (σ̄/r)¹² - 4B (σ̄/r)⁶, with
  A = ε (σ/σ̄)¹² and B = ε (σ/σ̄)⁶, where ε and σ are those of the mixed pair.

The entries of φ are called features. φ is a smooth function of the parameters, so that any loss that is quadratic in φ
has a gradient by autograd.
"""

import dataclasses
import functools

import torch

from common.forcefields.energy import mix_lorentz_berthelot
from common.forcefields.tensors import TensorForceField
from common.forcefields.terms import VALENCE_TYPES

MINIMUM_COLUMNS = {"Bonds": "length", "Angles": "angle"}
"""The column that holds the minimum of each harmonic type."""

FEATURES_PER_ROW = {"Bonds": 2, "Angles": 2, "ProperTorsions": 1, "ImproperTorsions": 1, "vdW": 2}
"""How many entries of φ belong to one row of parameters (vdW: to one pair of types)."""


@dataclasses.dataclass(frozen=True)
class Linearization:
    """The layout of φ, and the reference values around which it is expanded.

    φ holds, for each row of Bonds and of Angles in turn, a and b; for each row of ProperTorsions and of
    ImproperTorsions, k; for each pair of vdW types in ``vdw_pairs``, A and B.

    Attributes:
        reference: the force field whose minima (and σ) are the points of expansion.
        vdw_pairs: ``shape=(n_pairs, 2)`` int64 rows of vdW parameters, the smaller first; empty where the Lennard-Jones
            energy is part of the fixed offset.
    """

    reference: TensorForceField
    vdw_pairs: torch.Tensor = dataclasses.field(default_factory=lambda: torch.zeros((0, 2), dtype=torch.int64))

    @functools.cached_property
    def starts(self) -> dict[str, int]:
        """The first feature of each type that is there, in order."""
        starts, next_ = {}, 0
        for type_ in (*VALENCE_TYPES, "vdW"):
            starts[type_] = next_
            next_ += FEATURES_PER_ROW[type_] * self._count_rows(type_)
        return starts

    @property
    def n_features(self) -> int:
        """The length of φ."""
        return self.starts["vdW"] + 2 * len(self.vdw_pairs)

    def _count_rows(self, type_: str) -> int:
        if type_ == "vdW":
            return len(self.vdw_pairs)
        potential = self.reference.potentials_by_type.get(type_)
        return 0 if potential is None else len(potential.parameters)

    def find_rows(self) -> list[tuple[str, int]]:
        """For each feature its type and row (for vdW, the row of ``vdw_pairs``)."""
        return [
            (type_, row)
            for type_ in self.starts
            for row in range(self._count_rows(type_))
            for _ in range(FEATURES_PER_ROW[type_])
        ]

    def get_feature(self, type_: str, row: int) -> int:
        """The (first) feature that a row of parameters, for vdW a pair, has."""
        return self.starts[type_] + FEATURES_PER_ROW[type_] * row

    def compute(self, force_field: TensorForceField) -> torch.Tensor:
        """φ of a force field that has the rows of the reference, ``shape=(n_features,)``; differentiable."""
        parts = [self._compute_valence(force_field, type_) for type_ in VALENCE_TYPES if self._count_rows(type_)]
        if len(self.vdw_pairs):
            parts.append(self._compute_lennard_jones(force_field))
        return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64)

    def _compute_valence(self, force_field: TensorForceField, type_: str) -> torch.Tensor:
        potential = force_field.potentials_by_type[type_]
        k = potential.column("k")
        if type_ not in MINIMUM_COLUMNS:
            return k
        minimum = MINIMUM_COLUMNS[type_]
        shift = potential.column(minimum) - self.reference.potentials_by_type[type_].column(minimum)
        return torch.stack((k, k * shift), dim=-1).reshape(-1)

    def compute_pair_sigma(self) -> torch.Tensor:
        """The reference σ̄ [Angstrom] of each pair, ``shape=(n_pairs,)``."""
        return self._mix(self.reference)[1]

    def _mix(self, force_field: TensorForceField) -> tuple[torch.Tensor, torch.Tensor]:
        potential = force_field.potentials_by_type["vdW"]
        epsilon, sigma = potential.column("epsilon")[self.vdw_pairs], potential.column("sigma")[self.vdw_pairs]
        return mix_lorentz_berthelot(epsilon[:, 0], sigma[:, 0], epsilon[:, 1], sigma[:, 1])

    def _compute_lennard_jones(self, force_field: TensorForceField) -> torch.Tensor:
        epsilon, sigma = self._mix(force_field)
        attraction = (sigma / self.compute_pair_sigma()) ** 6
        return torch.stack((epsilon * attraction**2, epsilon * attraction), dim=-1).reshape(-1)
