"""Conditional G-SchNet: which atom comes next, and how far from each of those that are there.

N. W. A. Gebauer et al., Nature Communications 13, 973 (2022). SchNet (see :mod:`common.neural.schnet`) runs over the
atoms that are placed and two tokens: the origin, at the centre of the molecule, and the focus, at the place of the
atom beside which the next one comes. Every node near the focus predicts the type of the next atom, or "stop"; their
predictions are multiplied. Then, told the type, each predicts its distance to the next atom, over bins.

The partial molecules of a molecule share SchNet's filters, see :mod:`common.generators.partial`.
"""

import collections.abc
import dataclasses
import itertools
import math
import typing

import torch

from common.generators.conditions import Condition, count_gaussians
from common.generators.partial import PartialMolecules, aggregate, aggregate_by_edges, list_edges
from common.neural.layers import make_embedding, make_linear, shifted_softplus
from common.neural.schnet import SchNetSettings, SchNetTrunk

BINS_PER_ANGSTROM = 30

LEAST_PROBABILITY = 1e-12
"""Added to averaged probabilities before the logarithm."""

Generator = torch.Generator | None


@dataclasses.dataclass(frozen=True)
class NetworkSettings:
    """What a network is, apart from its weights; a change makes another network.

    Attributes:
        types: atomic numbers of the atoms that it places.
        model_cutoff: [Angstrom] nodes further apart do not hear of one another.
        prediction_cutoff: [Angstrom] nodes further from the focus predict nothing.
        placement_cutoff: [Angstrom] the next atom is no further from the focus.
        radius_factor: nor further than this times the sum of covalent radii; None where that does not matter.
        n_channels: features of a node.
        n_interactions: how often nodes hear of one another.
        n_gaussians: in which a distance is expanded.
        type_layers: of the network that predicts types.
        type_hidden: width of its hidden layers.
        distance_layers: of the network that predicts distances.
        distance_hidden: width of its hidden layers.
        average_types: predictions of types are averaged, not multiplied.
        condition_features: of all conditions together.
        condition_layers: of the network that mixes them.
        conditions: what can be aimed at.
    """

    types: tuple[int, ...] = (1, 6, 7, 8, 9)
    model_cutoff: float = 10.0
    prediction_cutoff: float = 5.0
    placement_cutoff: float = 1.7
    radius_factor: float | None = 1.1
    n_channels: int = 128
    n_interactions: int = 9
    n_gaussians: int = 25
    type_layers: int = 5
    type_hidden: int = 256
    distance_layers: int = 5
    distance_hidden: int = 256
    average_types: bool = False
    condition_features: int = 128
    condition_layers: int = 5
    conditions: tuple[Condition, ...] = ()

    @property
    def stop_class(self) -> int:
        """The class that means "stop", after those of the types."""
        return len(self.types)

    @property
    def max_distance(self) -> float:
        """[Angstrom] the furthest that a predicting node can be from the next atom: the last bin."""
        return self.prediction_cutoff + self.placement_cutoff

    @property
    def n_bins(self) -> int:
        return math.ceil(self.max_distance * BINS_PER_ANGSTROM - 1e-9) + 1

    @property
    def bin_width(self) -> float:
        """[Angstrom] between the centres of two bins."""
        return self.max_distance / (self.n_bins - 1)


class Mlp(torch.nn.Module):
    """Linear layers with shifted softplus between them."""

    def __init__(self, sizes: collections.abc.Sequence[int], generator: Generator = None):
        """Layers from each of the sizes to the next."""
        super().__init__()
        layers = [make_linear(a, b, generator=generator) for a, b in itertools.pairwise(sizes)]
        self.layers = typing.cast(list[torch.nn.Linear], torch.nn.ModuleList(layers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(..., sizes[0]) -> (..., sizes[-1])``."""
        return self.finish(self.layers[0](x))

    def finish(self, x: torch.Tensor) -> torch.Tensor:
        """What comes after the first linear layer."""
        for layer in self.layers[1:]:
            x = layer(shifted_softplus(x))
        return x


class ConditionedMlp(Mlp):
    """An :class:`Mlp` whose input is features of a node beside those of the conditions, which many nodes share."""

    def compute_bias(self, conditions: torch.Tensor) -> torch.Tensor:
        """What the conditions add to the first layer, bias included, ``(n, n_condition_features) -> (n, n_hidden)``."""
        first = self.layers[0]
        n_features = first.in_features - conditions.shape[-1]
        return torch.nn.functional.linear(conditions, first.weight[:, n_features:], first.bias)

    def apply_with_bias(self, features: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """Features ``(n_nodes, n_features)`` and their rows of the bias, ``(n_nodes, n_hidden)``."""
        weight = self.layers[0].weight[:, : features.shape[-1]]
        return self.finish(torch.nn.functional.linear(features, weight) + bias)


class ScalarEmbedding(torch.nn.Module):
    """A number, expanded in Gaussians as wide as they are apart."""

    centres: torch.Tensor

    def __init__(self, low: float, high: float, spacing: float, n_features: int, n_layers: int, generator: Generator):
        super().__init__()
        n_gaussians = count_gaussians(low, high, spacing)
        self.spacing = spacing
        self.register_buffer("centres", low + spacing * torch.arange(n_gaussians), persistent=False)
        self.mlp = Mlp([n_gaussians, *[n_features] * n_layers], generator)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """``(n, 1) -> (n, n_features)``."""
        return self.mlp(torch.exp(-0.5 * ((values - self.centres) / self.spacing) ** 2))


class VectorEmbedding(torch.nn.Module):
    """A vector of numbers."""

    def __init__(self, condition: Condition, generator: Generator):
        super().__init__()
        n_between = condition.n_layers - 1
        if condition.n_hidden is None:
            hidden = [max(1, condition.n_inputs >> i) for i in range(1, n_between + 1)]
        else:
            hidden = [condition.n_hidden] * n_between
        self.mlp = Mlp([condition.n_inputs, *hidden, condition.n_features], generator)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """``(n, n_inputs) -> (n, n_features)``."""
        return self.mlp(values)


class CompositionEmbedding(torch.nn.Module):
    """Numbers of atoms by type: vectors of the types weighted by their share, and the number of all atoms."""

    def __init__(self, condition: Condition, n_types: int, generator: Generator):
        super().__init__()
        self.types = make_embedding(n_types, condition.n_type_features, generator)
        n_inputs = n_types * condition.n_type_features
        self.mlp = Mlp([n_inputs, *[condition.n_features] * condition.n_layers], generator)
        self.n_atoms = ScalarEmbedding(
            0.0, condition.max_atoms, condition.atom_spacing, condition.n_features, condition.n_layers, generator
        )

    def forward(self, counts: torch.Tensor) -> torch.Tensor:
        """``(n, n_types) -> (n, 2 n_features)``; what is missing of a composition that is complete has no shares."""
        n_atoms = counts.sum(-1, keepdim=True)
        shares = counts / n_atoms.clamp(min=1.0)
        weighted = shares[:, :, None] * self.types.weight
        return torch.cat([self.mlp(weighted.flatten(1)), self.n_atoms(n_atoms)], dim=-1)


class Conditioning(torch.nn.Module):
    """All conditions as one vector; what is not aimed at has a learned vector in place of its embedding."""

    def __init__(self, settings: NetworkSettings, generator: Generator):
        super().__init__()
        self.conditions = settings.conditions
        embeddings = {c.name: _make_embedding_of(c, len(settings.types), generator) for c in settings.conditions}
        sizes = [c.n_features * (2 if c.kind == "composition" else 1) for c in settings.conditions]
        self.embeddings = torch.nn.ModuleDict(embeddings)
        self.absent = torch.nn.ParameterDict(
            {c.name: torch.nn.Parameter(torch.zeros(n)) for c, n in zip(settings.conditions, sizes, strict=True)}
        )
        hidden = [settings.condition_features] * settings.condition_layers
        self.mixer = Mlp([sum(sizes), *hidden], generator)

    def forward(
        self,
        values: collections.abc.Mapping[str, torch.Tensor],
        given: collections.abc.Mapping[str, torch.Tensor],
    ) -> torch.Tensor:
        """Features of the conditions.

        Args:
            values: of each condition, ``shape=(n, n_values)``; anything where it is not given.
            given: whether it is aimed at, ``shape=(n,)`` bool.

        Returns:
            ``shape=(n, condition_features)``.
        """
        parts = []
        for condition in self.conditions:
            embedded = self.embeddings[condition.name](values[condition.name])
            parts.append(torch.where(given[condition.name][:, None], embedded, self.absent[condition.name]))
        return self.mixer(torch.cat(parts, dim=-1))


def _make_embedding_of(condition: Condition, n_types: int, generator: Generator) -> torch.nn.Module:
    if condition.kind == "composition":
        return CompositionEmbedding(condition, n_types, generator)
    if condition.kind == "vector":
        return VectorEmbedding(condition, generator)
    range_ = (condition.low, condition.high, condition.spacing)
    return ScalarEmbedding(*range_, condition.n_features, condition.n_layers, generator)


class GeneratorNetwork(torch.nn.Module):
    """The network; see this module's docstring."""

    def __init__(self, settings: NetworkSettings, generator: Generator = None):
        """Draws the starting weights from ``generator``, by default torch's own."""
        super().__init__()
        self.settings = settings
        n_types, n_channels = len(settings.types), settings.n_channels
        trunk = SchNetSettings(
            n_channels, n_channels, settings.n_interactions, settings.n_gaussians, settings.model_cutoff
        )
        self.trunk = SchNetTrunk(trunk, generator)
        self.kinds = make_embedding(n_types + 2, n_channels, generator)
        self.next_types = make_embedding(n_types, n_channels, generator)
        n_inputs = n_channels
        self.conditioning = None
        if settings.conditions:
            self.conditioning = Conditioning(settings, generator)
            n_inputs += settings.condition_features
        type_hidden = [settings.type_hidden] * (settings.type_layers - 1)
        self.type_head = ConditionedMlp([n_inputs, *type_hidden, n_types + 1], generator)
        distance_hidden = [settings.distance_hidden] * (settings.distance_layers - 1)
        self.distance_head = ConditionedMlp([n_inputs, *distance_hidden, settings.n_bins], generator)

    @property
    def origin_kind(self) -> int:
        return len(self.settings.types)

    @property
    def token_kind(self) -> int:
        """Of the focus token."""
        return len(self.settings.types) + 1

    def compute_features(self, partial: PartialMolecules) -> torch.Tensor:
        """Features of all rows, tokens last, ``shape=(n_rows + n_steps, n_channels)``."""
        filters = self.trunk.compute_filters(partial.distances)
        if partial.distances.is_cpu:
            return self.trunk(self.kinds(partial.kinds), filters, lambda own, sent: aggregate(own, sent, partial))
        edges = list_edges(partial)
        return self.trunk(self.kinds(partial.kinds), filters, lambda own, sent: aggregate_by_edges(own, sent, edges))

    def embed_conditions(
        self,
        values: collections.abc.Mapping[str, torch.Tensor],
        given: collections.abc.Mapping[str, torch.Tensor],
        molecules: torch.Tensor,
        missing: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Features of the conditions, and which row of them each step has.

        Args:
            values: of each condition, ``shape=(n_molecules, n_values)``; anything where it is not given.
            given: whether it is aimed at, ``shape=(n_molecules,)`` bool.
            molecules: to which molecule each step belongs, ``shape=(n_steps,)``.
            missing: how many atoms of each type are still to come, ``shape=(n_steps, n_types)``.

        Returns:
            ``shape=(n, condition_features)`` and ``(n_steps,)``: one row a molecule, or one a step where a condition is
            told step by step.
        """
        assert self.conditioning is not None
        if not any(condition.stepwise for condition in self.settings.conditions):
            return self.conditioning(values, given), molecules
        told = {name: own.index_select(0, molecules) for name, own in given.items()}
        by_step = {name: own.index_select(0, molecules) for name, own in values.items()}
        by_step |= {condition.name: missing for condition in self.settings.conditions if condition.stepwise}
        return self.conditioning(by_step, told), torch.arange(len(molecules), device=molecules.device)

    def predict_types(
        self, features: torch.Tensor, bias: torch.Tensor, steps: torch.Tensor, n_steps: int
    ) -> torch.Tensor:
        """Logarithms of the probabilities of the next type.

        Args:
            features: of the nodes that predict, ``shape=(n_predicting, n_channels)``.
            bias: of the first layer of the head, by step, ``shape=(n_steps, n_hidden)``.
            steps: the step of each, ``shape=(n_predicting,)``.
            n_steps: how many steps there are.

        Returns:
            ``shape=(n_steps, n_types + 1)``, "stop" last.
        """
        logits = self.type_head.apply_with_bias(features, bias.index_select(0, steps))
        single = torch.log_softmax(logits, -1)
        if self.settings.average_types:
            counts = torch.bincount(steps, minlength=n_steps)[:, None]
            total = single.new_zeros(n_steps, single.shape[-1]).index_add(0, steps, single.exp())
            return torch.log(total / counts + LEAST_PROBABILITY)
        return torch.log_softmax(single.new_zeros(n_steps, single.shape[-1]).index_add(0, steps, single), -1)

    def predict_distances(self, features: torch.Tensor, bias: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        """Logarithms of the probabilities of the bins of the distance to the next atom.

        Args:
            features: of the nodes that predict, ``shape=(n, n_channels)``.
            bias: of the first layer of the head, ``shape=(n, n_hidden)``.
            types: class of the next atom for each, ``shape=(n,)``.

        Returns:
            ``shape=(n, n_bins)``.
        """
        return torch.log_softmax(self.distance_head.apply_with_bias(features * self.next_types(types), bias), -1)
