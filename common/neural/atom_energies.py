"""A network that gives every atom an energy: embedding of the element, a trunk, and a head.

    U = Σ_i [ scale · head(trunk(x)_i) + reference of the element of i ]

The references are subtracted from quantum energies in float64 before anything is trained, and stay out of what the
network computes: its energies are relative to them.
"""

import dataclasses
import typing

import torch

from common.neural.layers import make_embedding, make_linear, shifted_softplus
from common.neural.nequip import NequIPSettings, NequIPTrunk
from common.neural.painn import PaiNNSettings, PaiNNTrunk
from common.neural.schnet import SchNetSettings, SchNetTrunk, aggregate_pairs

N_ELEMENTS = 100
"""Atomic numbers below it have an embedding."""

ARCHITECTURES = {"schnet": SchNetSettings, "painn": PaiNNSettings, "nequip": NequIPSettings}

TrunkSettings = SchNetSettings | PaiNNSettings | NequIPSettings
"""The size of a trunk of any architecture."""


@dataclasses.dataclass(frozen=True)
class NetworkSettings:
    """What determines a network besides its weights.

    Attributes:
        architecture: "schnet", "painn" or "nequip".
        trunk: the size of its trunk.
        scale: [kcal/mol] of what the head gives.
    """

    architecture: str = "schnet"
    trunk: TrunkSettings = SchNetSettings()  # noqa: RUF009 (frozen)
    scale: float = 1.0

    @property
    def cutoff(self) -> float:
        """[Angstrom] beyond which atoms do not see each other."""
        return self.trunk.cutoff


def read_settings(plain: dict[str, typing.Any]) -> NetworkSettings:
    """The settings from what ``dataclasses.asdict`` makes of them.

    Raises:
        ValueError: the architecture is unknown, or a field is missing or too many.
    """
    try:
        trunk = ARCHITECTURES[plain["architecture"]](**plain["trunk"])
        return NetworkSettings(**{**plain, "trunk": trunk})
    except (KeyError, TypeError) as error:
        raise ValueError(f"no settings of a network known here ({error})") from error


class AtomEnergyNetwork(torch.nn.Module):
    """The network; it works on the atoms of any number of frames laid end to end."""

    def __init__(self, settings: NetworkSettings, generator: torch.Generator | None = None):
        """Draws the starting weights from ``generator``, by default torch's own."""
        super().__init__()
        self.settings = settings
        n_channels = settings.trunk.n_channels
        self.embedding = make_embedding(N_ELEMENTS, n_channels, generator)
        self.trunk: SchNetTrunk | PaiNNTrunk | NequIPTrunk
        if isinstance(settings.trunk, SchNetSettings):
            self.trunk = SchNetTrunk(settings.trunk, generator)
        elif isinstance(settings.trunk, NequIPSettings):
            self.trunk = NequIPTrunk(settings.trunk, generator)
        else:
            self.trunk = PaiNNTrunk(settings.trunk, generator)
        self.head_hidden = make_linear(n_channels, n_channels // 2, generator=generator)
        self.head = make_linear(n_channels // 2, 1, generator=generator)

    def forward(self, atomic_nums: torch.Tensor, pair_vectors: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
        """Energies of atoms [kcal/mol], relative to the references of their elements, ``shape=(n_atoms,)``.

        Args:
            atomic_nums: ``shape=(n_atoms,)``.
            pair_vectors: [Angstrom] from the second to the first atom of each pair, ``shape=(n_pairs, 3)``.
            pairs: each once, ``shape=(2, n_pairs)``; both atoms belong to one frame.
        """
        features = self.embedding(atomic_nums)
        if isinstance(self.trunk, SchNetTrunk):
            distances = torch.sqrt((pair_vectors * pair_vectors).sum(-1))
            filters = self.trunk.compute_filters(distances)
            features = self.trunk(features, filters, lambda own, sent: aggregate_pairs(own, sent, pairs))
        else:
            features = self.trunk(features, pair_vectors, pairs)
        return self.settings.scale * self.head(shifted_softplus(self.head_hidden(features)))[:, 0]
