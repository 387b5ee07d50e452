"""The trunk of PaiNN: scalars and vectors at every atom, which turn with the molecule.

K. T. Schütt, O. T. Unke, M. Gastegger, ICML 2021 (arXiv 2102.03150), equations 7 to 9. Each interaction sends scalars
and vectors along the pairs,

    Δs_i = Σ_j φ_s(s_j) ∘ W_s(d_ij),   Δv_i = Σ_j v_j ∘ φ_v(s_j) ∘ W_v(d_ij) + r̂_ij φ_r(s_j) ∘ W_r(d_ij),

then mixes them at every atom: with Uv and Vv linear in the channels,

    Δs_i = a_ss + a_sv ∘ <Uv, Vv>,   Δv_i = a_vv ∘ Uv,   a = MLP(s, |Vv|).
"""

import dataclasses
import typing

import torch

from common.neural.layers import make_linear
from common.neural.radial import SincBasis, compute_cosine_cutoff

SMALLEST_SQUARE = 1e-8
"""Added to a squared length before its root is taken: at rest every vector is 0, and the root has no slope there."""


@dataclasses.dataclass(frozen=True)
class PaiNNSettings:
    """The size of a trunk.

    Attributes:
        n_channels: scalars, and vectors, of an atom.
        n_interactions: how often atoms learn of their neighbours.
        n_waves: functions in which a distance is expanded.
        cutoff: [Angstrom] where filters vanish.
    """

    n_channels: int = 64
    n_interactions: int = 3
    n_waves: int = 20
    cutoff: float = 5.0


class _Message(torch.nn.Module):
    def __init__(self, settings: PaiNNSettings, generator: torch.Generator | None):
        super().__init__()
        n = settings.n_channels
        self.hidden = make_linear(n, n, generator=generator)
        self.output = make_linear(n, 3 * n, generator=generator)
        self.filter = make_linear(settings.n_waves, 3 * n, generator=generator)

    def forward(self, scalars, vectors, waves, cutoff_values, units, senders, receivers):
        sent = self.output(torch.nn.functional.silu(self.hidden(scalars)))
        filters = self.filter(waves) * cutoff_values[:, None]
        to_scalars, to_vectors, along = (sent.index_select(0, senders) * filters).chunk(3, -1)
        pushed = vectors.index_select(0, senders) * to_vectors[:, None] + units[:, :, None] * along[:, None]
        return scalars.index_add(0, receivers, to_scalars), vectors.index_add(0, receivers, pushed)


class _Mixing(torch.nn.Module):
    def __init__(self, settings: PaiNNSettings, generator: torch.Generator | None):
        super().__init__()
        n = settings.n_channels
        self.both = make_linear(n, 2 * n, bias=False, generator=generator)
        self.hidden = make_linear(2 * n, n, generator=generator)
        self.output = make_linear(n, 3 * n, generator=generator)

    def forward(self, scalars, vectors):
        u, v = self.both(vectors).chunk(2, -1)
        length = torch.sqrt((v * v).sum(1) + SMALLEST_SQUARE)
        mixed = self.output(torch.nn.functional.silu(self.hidden(torch.cat((scalars, length), -1))))
        to_scalars, by_product, to_vectors = mixed.chunk(3, -1)
        return scalars + to_scalars + by_product * (u * v).sum(1), vectors + to_vectors[:, None] * u


class PaiNNTrunk(torch.nn.Module):
    """All interactions, one after the other; embeddings before and heads behind are the caller's."""

    def __init__(self, settings: PaiNNSettings, generator: torch.Generator | None = None):
        """Draws the starting weights from ``generator``, by default torch's own."""
        super().__init__()
        self.settings = settings
        self.basis = SincBasis(settings.cutoff, settings.n_waves)
        messages = [_Message(settings, generator) for _ in range(settings.n_interactions)]
        mixings = [_Mixing(settings, generator) for _ in range(settings.n_interactions)]
        self.messages = typing.cast(list[_Message], torch.nn.ModuleList(messages))
        self.mixings = typing.cast(list[_Mixing], torch.nn.ModuleList(mixings))

    def forward(self, features: torch.Tensor, pair_vectors: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
        """The scalars of every atom after all interactions, ``shape=(n_atoms, n_channels)``.

        Args:
            features: ``shape=(n_atoms, n_channels)``.
            pair_vectors: [Angstrom] from the second to the first atom of each pair, ``shape=(n_pairs, 3)``.
            pairs: each once, ``shape=(2, n_pairs)``.
        """
        distances = torch.sqrt((pair_vectors * pair_vectors).sum(-1))
        units = pair_vectors / distances[:, None]
        waves, cutoff_values = self.basis(distances), compute_cosine_cutoff(distances, self.settings.cutoff)
        both_ways = torch.cat((pairs, pairs.flip(0)), 1)
        edges = (
            torch.cat((waves, waves)),
            torch.cat((cutoff_values, cutoff_values)),
            torch.cat((units, -units)),
            both_ways[1],
            both_ways[0],
        )
        scalars, vectors = features, features.new_zeros((len(features), 3, features.shape[1]))
        for message, mixing in zip(self.messages, self.mixings, strict=True):
            scalars, vectors = mixing(*message(scalars, vectors, *edges))
        return scalars
