"""The trunk of NequIP: interactions of the package ``nequip``, where it is installed, like the trunks beside it.

S. Batzner et al., Nat. Commun. 13, 2453 (2022). Features are scalars, vectors and tensors up to an order l; each
interaction multiplies those of the neighbours with spherical harmonics of their directions, weighted by functions of
their distances. What is used of the package is its layer; the embedding of elements before and the head behind are
those of all networks here, so that a file, its training and its dynamics know no difference.
"""

import dataclasses
import typing
import warnings

import torch

from common.neural.radial import SincBasis

CUTOFF_POWER = 6
"""Of the package's polynomial cutoff function."""

N_NEIGHBORS = 8.0
"""By whose root the package divides sums over neighbours."""


@dataclasses.dataclass(frozen=True)
class NequIPSettings:
    """The size of a trunk.

    Attributes:
        n_channels: features of an atom of each order.
        n_interactions: how often atoms learn of their neighbours.
        n_waves: functions in which a distance is expanded.
        largest_order: l of the features.
        cutoff: [Angstrom] where filters vanish.
    """

    n_channels: int = 32
    n_interactions: int = 4
    n_waves: int = 8
    largest_order: int = 1
    cutoff: float = 4.0


class NequIPTrunk(torch.nn.Module):
    """All interactions, one after the other; what comes out are scalars."""

    def __init__(self, settings: NequIPSettings, generator: torch.Generator | None = None):
        """Draws the starting weights from ``generator``, by default torch's own.

        Raises:
            ValueError: the package ``nequip`` is not installed.
        """
        super().__init__()
        self.settings = settings
        self.basis = SincBasis(settings.cutoff, settings.n_waves)
        seed = int(torch.randint(2**62, (), generator=generator))
        with torch.random.fork_rng(devices=[]):  # the package draws from the global generator
            torch.manual_seed(seed)
            self.harmonics, self.cutoff, self.layers = _make_parts(settings)

    def forward(self, features: torch.Tensor, pair_vectors: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
        """Scalars of atoms after all interactions, ``shape=(n_atoms, n_channels)``.

        Args:
            features: of the elements, ``shape=(n_atoms, n_channels)``.
            pair_vectors: [Angstrom] from the second to the first atom of each pair, ``shape=(n_pairs, 3)``.
            pairs: each once, ``shape=(2, n_pairs)``.
        """
        to_neighbours = torch.cat((-pair_vectors, pair_vectors))
        distances = torch.cat((pair_vectors, pair_vectors)).square().sum(-1).sqrt()
        waves = self.basis(distances) * self.cutoff(distances[:, None] / self.settings.cutoff)
        data = {
            "node_attrs": features,
            "node_features": features,
            "edge_index": torch.cat((pairs, pairs.flip(0)), dim=1),
            "edge_attrs": self.harmonics(to_neighbours),
            "edge_embedding": waves,
            "pos": features.new_zeros((len(features), 3)),  # of which the layers ask how many there are
        }
        for layer in self.layers:
            data = layer(data)
        return data["node_features"]


def _make_parts(settings: NequIPSettings) -> tuple[torch.nn.Module, torch.nn.Module, torch.nn.ModuleList]:
    """Spherical harmonics, cutoff function and layers."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the package uses deprecated parts of others
            from e3nn import o3
            from nequip.nn import ConvNetLayer
            from nequip.nn.embedding import PolynomialCutoff
    except ImportError as error:
        raise ValueError(
            f'architecture "nequip" needs the package nequip, which cannot be loaded here ({error}): '
            'pip install nequip, or take "painn"'
        ) from error
    n, orders = settings.n_channels, range(settings.largest_order + 1)
    edges = o3.Irreps.spherical_harmonics(settings.largest_order)
    hidden = o3.Irreps([(n, (order, parity)) for order in orders for parity in (1, -1)])
    irreps: dict[str, typing.Any] = {
        "node_attrs": o3.Irreps(f"{n}x0e"),
        "node_features": o3.Irreps(f"{n}x0e"),
        "edge_attrs": edges,
        "edge_embedding": o3.Irreps(f"{settings.n_waves}x0e"),
        "pos": o3.Irreps("1o"),
    }
    layers = []
    for k in range(settings.n_interactions):
        layer = ConvNetLayer(
            irreps_in=irreps,
            feature_irreps_hidden=hidden if k < settings.n_interactions - 1 else o3.Irreps(f"{n}x0e"),
            convolution_kwargs={
                "radial_mlp_depth": 1,
                "radial_mlp_width": 2 * n,
                "use_sc": k > 0,
                "is_first_layer": k == 0,
                "avg_num_neighbors": N_NEIGHBORS,
                "type_names": ["any"],
            },
        )
        irreps = layer.irreps_out
        layers.append(layer)
    return o3.SphericalHarmonics(edges, True, "component"), PolynomialCutoff(CUTOFF_POWER), torch.nn.ModuleList(layers)
