"""Energies, forces and torques of any number of rigid bodies as sums over pairs, in the open or in a cubic box.

What happens within a pair is a :class:`PairTerm`: sums over sites, springs, learned potentials. A pair is the vector d
between the centres and the two orientations. A torque is along the body's own axes: with A = Rᵀ ∂U/∂R,
τ = (A_12 - A_21, A_20 - A_02, A_01 - A_10).
"""

import collections.abc
import dataclasses
import typing

import torch

from common.geometry.quaternions import compute_rotation_matrices


class Orientations(typing.NamedTuple):
    """How bodies are turned, ``shape=(n_pairs, 4)`` and ``(n_pairs, 3, 3)``: the same twice."""

    quaternions: torch.Tensor
    rotations: torch.Tensor


class PairGradient(typing.NamedTuple):
    """What a pair feels.

    Attributes:
        energies: ``shape=(n_pairs,)``.
        forces: on the second body, ``shape=(n_pairs, 3)``; the first feels the opposite.
        first_torques, second_torques: along the bodies' own axes, ``shape=(n_pairs, 3)``.
    """

    energies: torch.Tensor
    forces: torch.Tensor
    first_torques: torch.Tensor
    second_torques: torch.Tensor


class PairTerm(typing.Protocol):
    """An interaction of two bodies, in closed form; everything may be differentiated once more."""

    def compute_energies(self, d: torch.Tensor, first: Orientations, second: Orientations) -> torch.Tensor:
        """Energies ``(n_pairs,)`` from vectors ``(n_pairs, 3)`` and orientations."""

    def compute_gradient(self, d: torch.Tensor, first: Orientations, second: Orientations) -> PairGradient:
        """Energies, forces and torques."""


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Which bodies interact, by what.

    Attributes:
        first, second: the bodies of each pair, ``shape=(n_pairs,)`` int64.
        terms: what acts between them, added up.
    """

    first: torch.Tensor
    second: torch.Tensor
    terms: tuple[PairTerm, ...]


@dataclasses.dataclass(frozen=True)
class BodyPotential:
    """The potential of systems of bodies.

    Attributes:
        groups: pairs of bodies that interact alike.
        box: [length] the edge of a cubic box, whose nearest images interact; None in the open.
        cutoff: [length] pairs of centres farther apart are left out, see :class:`Switched`; None for no limit.
    """

    groups: tuple[Pairs, ...]
    box: float | None = None
    cutoff: float | None = None

    def compute_energy(self, positions: torch.Tensor, quaternions: torch.Tensor) -> torch.Tensor:
        """Energies ``(...)`` of systems at positions ``(..., n_bodies, 3)``, quaternions ``(..., n_bodies, 4)``."""
        energy = positions.new_zeros(positions.shape[:-2].numel())
        for pairs in self._list_pairs(positions, quaternions):
            for term in pairs.terms:
                energy = energy.index_add(0, pairs.systems, term.compute_energies(pairs.d, pairs.first, pairs.second))
        return energy.reshape(positions.shape[:-2])

    def compute_field(self, positions: torch.Tensor, quaternions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Forces along the laboratory's axes and torques along the bodies' own, ``(..., n_bodies, 3)`` both."""
        return self.compute_all(positions, quaternions)[1:]

    def compute_all(
        self, positions: torch.Tensor, quaternions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Energies, forces and torques, shapes as above."""
        energy = positions.new_zeros(positions.shape[:-2].numel())
        forces = positions.new_zeros(positions.shape[:-1].numel(), 3)
        torques = torch.zeros_like(forces)
        for pairs in self._list_pairs(positions, quaternions):
            for term in pairs.terms:
                felt = term.compute_gradient(pairs.d, pairs.first, pairs.second)
                energy = energy.index_add(0, pairs.systems, felt.energies)
                forces = forces.index_add(0, pairs.second_idxs, felt.forces)
                forces = forces.index_add(0, pairs.first_idxs, felt.forces, alpha=-1.0)
                torques = torques.index_add(0, pairs.first_idxs, felt.first_torques)
                torques = torques.index_add(0, pairs.second_idxs, felt.second_torques)
        shape = positions.shape
        return energy.reshape(shape[:-2]), forces.reshape(shape), torques.reshape(shape)

    def _list_pairs(
        self, positions: torch.Tensor, quaternions: torch.Tensor
    ) -> collections.abc.Iterator["_ListedPairs"]:
        """The pairs of all systems in one list, those beyond the cutoff left out."""
        n_bodies = positions.shape[-2]
        x = positions.reshape(-1, n_bodies, 3)
        q = quaternions.reshape(-1, 4)
        rotations = compute_rotation_matrices(q)
        offsets = n_bodies * torch.arange(len(x))[:, None]
        for group in self.groups:
            d = apply_minimum_image(x[:, group.second] - x[:, group.first], self.box).reshape(-1, 3)
            first_idxs, second_idxs = (offsets + group.first).reshape(-1), (offsets + group.second).reshape(-1)
            systems = torch.arange(len(x)).repeat_interleave(len(group.first))
            if self.cutoff is not None:
                near = ((d * d).sum(-1) < self.cutoff**2).nonzero()[:, 0]
                d, first_idxs, second_idxs, systems = d[near], first_idxs[near], second_idxs[near], systems[near]
            first, second = (Orientations(q[idxs], rotations[idxs]) for idxs in (first_idxs, second_idxs))
            yield _ListedPairs(d, first, second, first_idxs, second_idxs, systems, group.terms)


class _ListedPairs(typing.NamedTuple):
    d: torch.Tensor
    first: Orientations
    second: Orientations
    first_idxs: torch.Tensor
    second_idxs: torch.Tensor
    systems: torch.Tensor
    terms: tuple[PairTerm, ...]


def apply_minimum_image(d: torch.Tensor, box: float | None) -> torch.Tensor:
    """The shortest of the vectors ``(..., 3)`` between images in a cubic box of edge ``box``; None: as they are."""
    return d if box is None else d - box * torch.round(d / box)


def pair_all(n_bodies: int, *terms: PairTerm) -> Pairs:
    """All pairs of bodies that are alike."""
    first, second = torch.triu_indices(n_bodies, n_bodies, 1)
    return Pairs(first, second, terms)


@dataclasses.dataclass(frozen=True)
class Spring:
    """½ k (r - r₀)² between the centres."""

    stiffness: float
    length: float

    def compute_energies(self, d: torch.Tensor, first: Orientations, second: Orientations) -> torch.Tensor:
        """See :class:`PairTerm`."""
        return 0.5 * self.stiffness * (d.norm(dim=-1) - self.length) ** 2

    def compute_gradient(self, d: torch.Tensor, first: Orientations, second: Orientations) -> PairGradient:
        """See :class:`PairTerm`."""
        r = d.norm(dim=-1, keepdim=True)
        stretch = r - self.length
        none = torch.zeros_like(d)
        return PairGradient(0.5 * self.stiffness * stretch[:, 0] ** 2, -self.stiffness * stretch / r * d, none, none)


@dataclasses.dataclass(frozen=True)
class Switched:
    """A term that is brought smoothly to zero between two distances of the centres: all sites of a pair end together.

    The factor is 1 - 10 s³ + 15 s⁴ - 6 s⁵, s = (r - on) / (off - on): its first two derivatives vanish at both ends.
    """

    term: PairTerm
    on: float
    off: float

    def compute_energies(self, d: torch.Tensor, first: Orientations, second: Orientations) -> torch.Tensor:
        """See :class:`PairTerm`."""
        return self._compute_factor(d.norm(dim=-1))[0] * self.term.compute_energies(d, first, second)

    def compute_gradient(self, d: torch.Tensor, first: Orientations, second: Orientations) -> PairGradient:
        """See :class:`PairTerm`."""
        felt = self.term.compute_gradient(d, first, second)
        r = d.norm(dim=-1)
        factor, slope = self._compute_factor(r)
        column = factor[:, None]
        forces = column * felt.forces - (slope * felt.energies / r)[:, None] * d
        return PairGradient(factor * felt.energies, forces, column * felt.first_torques, column * felt.second_torques)

    def _compute_factor(self, r: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        s = ((r - self.on) / (self.off - self.on)).clamp(0.0, 1.0)
        factor = 1.0 - s**3 * (10.0 - s * (15.0 - 6.0 * s))
        return factor, -30.0 * s**2 * (1.0 - s) ** 2 / (self.off - self.on)
