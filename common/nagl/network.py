"""The graph neural network of the NAGL charge models, and the equilibration of charges behind it.

Convolutions are GraphSAGE with the mean over neighbors (Hamilton, Ying and Leskovec, arXiv:1706.02216), as
``openff.nagl.nn.gcn._sage`` and DGL's ``SAGEConv`` have it; the read-out gives three numbers for each atom, which
``openff.nagl.nn.postprocess`` turns into charges that add up to the molecule's (Wang et al., arXiv:1909.07903, eq. 15).
"""

import collections.abc
import dataclasses

import torch

from common.nagl.weights import READOUT, ChargeWeights

Activation = collections.abc.Callable[[torch.Tensor], torch.Tensor]

ACTIVATIONS: dict[str, Activation] = {
    "ReLU": torch.relu,
    "Sigmoid": torch.sigmoid,
}


@dataclasses.dataclass(frozen=True)
class AtomGraph:
    """Molecules side by side.

    Attributes:
        features: ``shape=(n_atoms, n_features)`` float32.
        bond_idxs: ``shape=(n_bonds, 2)`` int64.
        molecule_idxs: which molecule each atom belongs to, ``shape=(n_atoms,)`` int64.
        total_charges: of each molecule [e], ``shape=(n_molecules,)`` float64.
    """

    features: torch.Tensor
    bond_idxs: torch.Tensor
    molecule_idxs: torch.Tensor
    total_charges: torch.Tensor


@dataclasses.dataclass(frozen=True)
class _Convolution:
    """h' = activation(W_self h + b + W_neigh mean of h over the neighbors)."""

    weight_self: torch.Tensor
    bias: torch.Tensor
    weight_neighbors: torch.Tensor
    activation: collections.abc.Callable[[torch.Tensor], torch.Tensor]

    def apply(self, hidden: torch.Tensor, graph: "_Neighbors") -> torch.Tensor:
        own = torch.nn.functional.linear(hidden, self.weight_self, self.bias)
        neighbors = torch.nn.functional.linear(graph.compute_mean(hidden), self.weight_neighbors)
        return self.activation(own + neighbors)


@dataclasses.dataclass(frozen=True)
class _Dense:
    """h' = activation(W h + b)."""

    weight: torch.Tensor
    bias: torch.Tensor
    activation: collections.abc.Callable[[torch.Tensor], torch.Tensor]

    def apply(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.activation(torch.nn.functional.linear(hidden, self.weight, self.bias))


class _Neighbors:
    """Sums over the neighbors of each atom."""

    def __init__(self, bond_idxs: torch.Tensor, n_atoms: int):
        self._sources = torch.cat([bond_idxs[:, 0], bond_idxs[:, 1]])
        self._targets = torch.cat([bond_idxs[:, 1], bond_idxs[:, 0]])
        n_neighbors = torch.bincount(self._targets, minlength=n_atoms)
        self._inverse = (1.0 / n_neighbors.clamp(min=1).double())[:, None]  # an atom without bonds has a mean of zero

    def compute_mean(self, hidden: torch.Tensor) -> torch.Tensor:
        """``shape=(n_atoms, n_features)``, like ``hidden``."""
        total = torch.zeros_like(hidden).index_add_(0, self._targets, hidden[self._sources])
        return total * self._inverse


@dataclasses.dataclass(frozen=True)
class ChargeNetwork:
    """The layers of one model."""

    convolutions: tuple[_Convolution, ...]
    readout: tuple[_Dense, ...]

    def compute_charges(self, graph: AtomGraph) -> torch.Tensor:
        """Charges of all atoms [e], ``shape=(n_atoms,)`` float64.

        The weights are single precision, the sums are not: charges then do not hang on the order of the atoms or on
        what else is in the batch, equivalent atoms are equal, and the total is exact.
        """
        neighbors = _Neighbors(graph.bond_idxs, len(graph.features))
        hidden = graph.features.double()
        with torch.inference_mode():
            for convolution in self.convolutions:
                hidden = convolution.apply(hidden, neighbors)
            for layer in self.readout:
                hidden = layer.apply(hidden)
            prior, electronegativity, hardness = hidden.unbind(dim=1)
            return equilibrate(prior, electronegativity, hardness, graph.molecule_idxs, graph.total_charges)


def equilibrate(
    prior: torch.Tensor,
    electronegativity: torch.Tensor,
    hardness: torch.Tensor,
    molecule_idxs: torch.Tensor,
    total_charges: torch.Tensor,
) -> torch.Tensor:
    """Charges that minimise sum(e q + s q^2 / 2) about the prior charges, for a fixed total of each molecule.

    q_i = p_i - e_i / s_i - (1 / s_i) (sum_j p_j - Q - sum_j e_j / s_j) / sum_j (1 / s_j), with prior charges p,
    electronegativities e, hardnesses s and total charge Q.

    Args:
        prior: [e] ``shape=(n_atoms,)``.
        electronegativity: ``shape=(n_atoms,)``.
        hardness: ``shape=(n_atoms,)``.
        molecule_idxs: ``shape=(n_atoms,)``, which molecule each atom belongs to.
        total_charges: [e] ``shape=(n_molecules,)``.
    """

    def sum_molecules(values: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(total_charges).index_add_(0, molecule_idxs, values)

    softness = 1.0 / hardness
    unconstrained = prior - electronegativity * softness
    excess = (sum_molecules(unconstrained) - total_charges) / sum_molecules(softness)
    return unconstrained - softness * excess[molecule_idxs]


def build_network(weights: ChargeWeights) -> ChargeNetwork:
    """The network that a weights file describes.

    Raises:
        ValueError: it has parts that are not known here; the message names them.
    """
    convolution = weights.config["convolution"]
    readout = weights.config["readouts"].get(READOUT, {})
    unknown = [
        f"{what} {found!r} (known: {known!r})"
        for what, found, known in [
            ("convolution", convolution["architecture"], "SAGEConv"),
            *[("aggregator", layer["aggregator_type"], "mean") for layer in convolution["layers"]],
            ("pooling", readout.get("pooling"), "atoms"),
            ("charge equilibration", readout.get("postprocess"), "regularized_compute_partial_charges"),
        ]
        if found != known
    ]
    if unknown:
        raise ValueError(f"{weights.name}: {'; '.join(unknown)}; use another charge model")
    try:
        return ChargeNetwork(
            tuple(_build_convolution(weights, i, layer) for i, layer in enumerate(convolution["layers"])),
            tuple(_build_readout(weights, readout["layers"])),
        )
    except KeyError as error:
        raise ValueError(
            f"{weights.name}: no {error}, or an unknown activation function; use another charge model"
        ) from error


def _build_convolution(weights: ChargeWeights, i: int, layer: dict) -> _Convolution:
    prefix = f"convolution_module.gcn_layers.{i}."
    return _Convolution(
        weights.tensors[prefix + "fc_self.weight"].double(),
        weights.tensors[prefix + "fc_self.bias"].double(),
        weights.tensors[prefix + "fc_neigh.weight"].double(),
        ACTIVATIONS[layer["activation_function"]],
    )


def _build_readout(weights: ChargeWeights, layers: collections.abc.Sequence[dict]) -> collections.abc.Iterator[_Dense]:
    activations: list[Activation] = [ACTIVATIONS[layer["activation_function"]] for layer in layers]
    activations.append(torch.nn.Identity())  # the last layer gives the three numbers
    for i, activation in enumerate(activations):
        prefix = f"readout_modules.{READOUT}.readout_layers.{3 * i}."  # linear, activation, dropout; linear, ...
        yield _Dense(weights.tensors[prefix + "weight"].double(), weights.tensors[prefix + "bias"].double(), activation)
