"""Two rigid bodies that interact through all pairs of their sites."""

import collections.abc
import dataclasses

import torch

from common.geometry.bodies import Body
from common.potentials.body_pairs import Orientations, PairGradient
from common.potentials.site_functions import Evaluate, SiteTerm, build_site_function


def place_sites(rotations: torch.Tensor, sites: torch.Tensor) -> torch.Tensor:
    """The sites of turned bodies about their centres, components first: ``(3, n_pairs, n_sites)``."""
    return torch.einsum("pij,sj->ips", rotations, sites)


def compute_separations(d: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Vectors from all sites of the first bodies to all of the second, ``(3, n_pairs, n_a, n_b)``.

    Args:
        d: between the centres, ``shape=(n_pairs, 3)``.
        first, second: as :func:`place_sites` gives them.
    """
    return (d.T[:, :, None] + second)[:, :, None, :] - first[:, :, :, None]


def reduce_slopes(
    energies: torch.Tensor,
    slopes: torch.Tensor,
    separations: torch.Tensor,
    rotations: tuple[torch.Tensor, torch.Tensor],
    sites: tuple[torch.Tensor, torch.Tensor],
) -> PairGradient:
    """Force and torques of a pair of bodies from the slopes u'(r) / r of all pairs of sites.

    Args:
        energies: ``shape=(n_pairs,)``, handed on.
        slopes: ``shape=(n_pairs, n_a, n_b)``.
        separations: ``shape=(3, n_pairs, n_a, n_b)``.
        rotations: of the first and the second bodies, ``shape=(n_pairs, 3, 3)`` each.
        sites: of the first and the second body, along its own axes, ``shape=(n_sites, 3)`` each.
    """
    pulls = slopes * separations  # the force on the first body's sites, minus that on the second's
    on_first, on_second = pulls.sum(-1), -pulls.sum(-2)
    return PairGradient(
        energies,
        on_second.sum(-1).T,
        _compute_torques(on_first, rotations[0], sites[0]),
        _compute_torques(on_second, rotations[1], sites[1]),
    )


def _compute_torques(forces: torch.Tensor, rotations: torch.Tensor, sites: torch.Tensor) -> torch.Tensor:
    """Σ s × Rᵀ f over the sites, ``(n_pairs, 3)``, of forces ``(3, n_pairs, n_sites)``."""
    moments = torch.einsum("ips,sk->pik", forces, sites)  # Σ f_i s_k
    along = rotations.transpose(-1, -2) @ moments  # the forces along the body's own axes
    return torch.stack(
        (
            along[:, 2, 1] - along[:, 1, 2],
            along[:, 0, 2] - along[:, 2, 0],
            along[:, 1, 0] - along[:, 0, 1],
        ),
        -1,
    )


@dataclasses.dataclass(frozen=True)
class SiteSum:
    """The sum of functions of the distances between all sites of two bodies; a :class:`PairTerm`.

    Attributes:
        first, second: the sites, along the bodies' own axes, ``shape=(n_sites, 3)``.
        functions: what is added up for each pair of sites.
    """

    first: torch.Tensor
    second: torch.Tensor
    functions: tuple[Evaluate, ...]

    def compute_energies(self, d: torch.Tensor, first: Orientations, second: Orientations) -> torch.Tensor:
        """See :class:`PairTerm`."""
        separations = compute_separations(
            d, place_sites(first.rotations, self.first), place_sites(second.rotations, self.second)
        )
        return self._evaluate((separations * separations).sum(0))[0].sum((-1, -2))

    def compute_gradient(self, d: torch.Tensor, first: Orientations, second: Orientations) -> PairGradient:
        """See :class:`PairTerm`."""
        separations = compute_separations(
            d, place_sites(first.rotations, self.first), place_sites(second.rotations, self.second)
        )
        energies, slopes = self._evaluate((separations * separations).sum(0))
        return reduce_slopes(
            energies.sum((-1, -2)), slopes, separations, (first.rotations, second.rotations), (self.first, self.second)
        )

    def _evaluate(self, squares: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        energies, slopes = self.functions[0](squares)
        for function in self.functions[1:]:
            more, more_slopes = function(squares)
            energies, slopes = energies + more, slopes + more_slopes
        return energies, slopes


def build_site_sum(
    first: Body, second: Body, terms: collections.abc.Sequence[SiteTerm], dtype: torch.dtype = torch.float64
) -> SiteSum:
    """The interaction of two bodies through the terms of their sites.

    Raises:
        ValueError: there is no term, or one lacks a parameter of a site.
    """
    if not terms:
        raise ValueError(f"{first.name} and {second.name}: no interaction between their sites")
    functions = tuple(build_site_function(term, first.labels, second.labels, dtype) for term in terms)
    sites = [torch.from_numpy(body.sites).to(dtype) for body in (first, second)]
    return SiteSum(sites[0], sites[1], functions)
