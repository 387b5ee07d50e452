"""The network's parts against their formulas, written out atom by atom."""

import pytest
import torch

from common.nagl.model import DEFAULT_MODEL
from common.nagl.network import AtomGraph, build_network, equilibrate
from common.nagl.weights import READOUT, find_weights, load_weights

ROUNDING = 1e-10

MOLECULES = torch.tensor([0, 0, 0, 1, 1])
TOTALS = torch.tensor([-1.0, 2.0], dtype=torch.float64)


@pytest.fixture
def parameters() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    prior, electronegativity = torch.randn(2, 5, generator=generator, dtype=torch.float64)
    hardness = 0.5 + torch.rand(5, generator=generator, dtype=torch.float64)
    return [prior, electronegativity, hardness]


def test_equilibration_keeps_each_total(parameters):
    charges = equilibrate(*parameters, MOLECULES, TOTALS)
    assert charges[:3].sum().item() == pytest.approx(-1.0, abs=ROUNDING)
    assert charges[3:].sum().item() == pytest.approx(2.0, abs=ROUNDING)


def test_equilibration_minimises_the_energy(parameters):
    """Within a molecule every atom has the same chemical potential e + s (q - p)."""
    prior, electronegativity, hardness = parameters
    potentials = electronegativity + hardness * (equilibrate(*parameters, MOLECULES, TOTALS) - prior)
    assert potentials[:3].std() < ROUNDING
    assert potentials[3:].std() < ROUNDING
    assert (potentials[0] - potentials[3]).abs() > 0.01


def test_charges_equal_those_of_layers_written_out_atom_by_atom():
    """GraphSAGE with the mean over neighbors, on propane's skeleton and a lone atom."""
    weights = load_weights(find_weights(DEFAULT_MODEL))
    tensors = {name: tensor.double() for name, tensor in weights.tensors.items()}
    generator = torch.Generator().manual_seed(1)
    features = torch.rand(4, 22, generator=generator)
    neighbors = [[1], [0, 2], [1], []]
    hidden = list(features.double())
    for layer in range(6):
        prefix = f"convolution_module.gcn_layers.{layer}."
        means = [
            torch.stack([hidden[j] for j in joined]).mean(dim=0) if joined else torch.zeros_like(hidden[i])
            for i, joined in enumerate(neighbors)
        ]
        hidden = [
            torch.relu(
                tensors[prefix + "fc_self.weight"] @ own
                + tensors[prefix + "fc_self.bias"]
                + tensors[prefix + "fc_neigh.weight"] @ mean
            )
            for own, mean in zip(hidden, means, strict=True)
        ]
    prefix = f"readout_modules.{READOUT}.readout_layers."
    rows = [torch.sigmoid(tensors[prefix + "0.weight"] @ h + tensors[prefix + "0.bias"]) for h in hidden]
    prior, electronegativity, hardness = torch.stack(
        [tensors[prefix + "3.weight"] @ row + tensors[prefix + "3.bias"] for row in rows]
    ).unbind(dim=1)
    molecule_idxs, totals = torch.tensor([0, 0, 0, 1]), torch.tensor([0.0, -1.0], dtype=torch.float64)
    expected = equilibrate(prior, electronegativity, hardness, molecule_idxs, totals)

    graph = AtomGraph(features, torch.tensor([[0, 1], [2, 1]]), molecule_idxs, totals)
    assert build_network(weights).compute_charges(graph).numpy() == pytest.approx(expected.numpy(), abs=ROUNDING)


def test_a_network_of_another_kind_is_refused():
    weights = load_weights(find_weights(DEFAULT_MODEL))
    weights.config["convolution"]["layers"][2]["aggregator_type"] = "pool"
    weights.config["convolution"]["architecture"] = "GINConv"
    with pytest.raises(ValueError, match=r"convolution 'GINConv' \(known: 'SAGEConv'\); aggregator 'pool'"):
        build_network(weights)


def test_missing_weights_are_named():
    weights = load_weights(find_weights(DEFAULT_MODEL))
    del weights.tensors["convolution_module.gcn_layers.4.fc_self.bias"]
    with pytest.raises(ValueError, match=r"gcn_layers\.4\.fc_self\.bias"):
        build_network(weights)
