"""The trunk of SchNet: atoms that learn of their neighbours through continuous filters of the distance.

K. T. Schütt et al., J. Chem. Phys. 148, 241722 (2018). Each interaction adds to the features x of node i

    x_i += W₂ ssp(W₁ m_i + b₁) + b₂,    m_i = Σ_j F(d_ij) ∘ (W_in x_j),

with filters F(d) = [V₂ ssp(V₁ g(d) + c₁) + c₂] f(d), g Gaussians of the distance and f the cosine cutoff. The filters
depend on the distances alone and are computed apart from the features, so that whoever has many sets of features on
the same distances computes them once; and the sum over j is the caller's, who knows which nodes see which.
"""

import collections.abc
import dataclasses
import typing

import torch

from common.neural.layers import make_linear, shifted_softplus
from common.neural.radial import GaussianBasis, compute_cosine_cutoff


@dataclasses.dataclass(frozen=True)
class SchNetSettings:
    """The size of a trunk.

    Attributes:
        n_channels: features of a node.
        n_filters: features that a filter acts on.
        n_interactions: how often nodes learn of their neighbours.
        n_gaussians: functions in which a distance is expanded.
        cutoff: [Angstrom] where filters vanish.
    """

    n_channels: int = 64
    n_filters: int = 64
    n_interactions: int = 3
    n_gaussians: int = 25
    cutoff: float = 5.0


class Interaction(torch.nn.Module):
    """One interaction, in three parts that a caller joins: :meth:`project`, a sum over neighbours, :meth:`update`."""

    def __init__(self, settings: SchNetSettings, generator: torch.Generator | None = None):
        """Draws the starting weights from ``generator``, by default torch's own."""
        super().__init__()
        n_channels, n_filters = settings.n_channels, settings.n_filters
        self.filter_hidden = make_linear(settings.n_gaussians, n_filters, generator=generator)
        self.filter_output = make_linear(n_filters, n_filters, generator=generator)
        self.input = make_linear(n_channels, n_filters, bias=False, generator=generator)
        self.output_hidden = make_linear(n_filters, n_channels, generator=generator)
        self.output = make_linear(n_channels, n_channels, generator=generator)

    def compute_filters(self, gaussians: torch.Tensor, cutoff_values: torch.Tensor) -> torch.Tensor:
        """The filters of expanded distances, ``(..., n_gaussians), (...) -> (..., n_filters)``."""
        return self.filter_output(shifted_softplus(self.filter_hidden(gaussians))) * cutoff_values[..., None]

    def project(self, features: torch.Tensor) -> torch.Tensor:
        """What a node sends to its neighbours, ``(..., n_channels) -> (..., n_filters)``."""
        return self.input(features)

    def update(self, features: torch.Tensor, messages: torch.Tensor) -> torch.Tensor:
        """The features after the sums of filtered projections, ``(..., n_filters)``, have arrived; a new tensor."""
        return features + self.output(shifted_softplus(self.output_hidden(messages)))


Aggregate = collections.abc.Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(filters, projected features) -> messages: the sum over neighbours."""


class SchNetTrunk(torch.nn.Module):
    """All interactions, one after the other; embeddings before and heads behind are the caller's."""

    def __init__(self, settings: SchNetSettings, generator: torch.Generator | None = None):
        """Draws the starting weights from ``generator``, by default torch's own."""
        super().__init__()
        self.settings = settings
        self.basis = GaussianBasis(settings.cutoff, settings.n_gaussians)
        interactions = [Interaction(settings, generator) for _ in range(settings.n_interactions)]
        self.interactions = typing.cast(list[Interaction], torch.nn.ModuleList(interactions))

    def compute_filters(self, distances: torch.Tensor) -> list[torch.Tensor]:
        """The filters of every interaction, ``(...)`` [Angstrom] -> ``(..., n_filters)`` each."""
        gaussians = self.basis(distances)
        cutoff_values = compute_cosine_cutoff(distances, self.settings.cutoff)
        return [interaction.compute_filters(gaussians, cutoff_values) for interaction in self.interactions]

    def forward(
        self, features: torch.Tensor, filters: collections.abc.Sequence[torch.Tensor], aggregate: Aggregate
    ) -> torch.Tensor:
        """The features after all interactions.

        Args:
            features: ``shape=(..., n_channels)``.
            filters: what :meth:`compute_filters` gives, masked by the caller where some pairs do not interact.
            aggregate: sums over neighbours, e.g. :func:`aggregate_densely`.
        """
        for interaction, own in zip(self.interactions, filters, strict=True):
            features = interaction.update(features, aggregate(own, interaction.project(features)))
        return features


def aggregate_densely(filters: torch.Tensor, projected: torch.Tensor) -> torch.Tensor:
    """Σ_j F_ij ∘ h_j over all nodes, ``(..., n, n, n_filters), (..., n, n_filters) -> (..., n, n_filters)``.

    A node is its own neighbour here: the caller sets the diagonal of the filters to zero where that is not meant.
    """
    return (filters * projected[..., None, :, :]).sum(-2)


def aggregate_pairs(filters: torch.Tensor, projected: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
    """The same where each pair of nodes stands once in a list, and both ends hear of each other.

    Args:
        filters: ``shape=(n_pairs, n_filters)``.
        projected: ``shape=(n_nodes, n_filters)``.
        pairs: ``shape=(2, n_pairs)``.

    Returns:
        ``shape=(n_nodes, n_filters)``.
    """
    first, second = pairs
    messages = torch.zeros_like(projected).index_add(0, first, filters * projected.index_select(0, second))
    return messages.index_add(0, second, filters * projected.index_select(0, first))
