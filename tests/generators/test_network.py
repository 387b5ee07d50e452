"""The network's size, and what conditions do to it."""

import pytest
import torch

from common.generators.conditions import Condition
from common.generators.network import GeneratorNetwork, NetworkSettings, ScalarEmbedding
from tests.generators.made_up import CONDITIONS, make_network, make_settings

GAP = Condition("gap", quantity="gap", low=2.0, high=11.0, spacing=2.25)
ENERGY = Condition("relative_atomic_energy", quantity="energy_U0", relative=True, low=-0.2, high=0.2, spacing=0.1)
COMPOSITION = Condition("composition", kind="composition")


@pytest.mark.parametrize(
    ("conditions", "n_parameters"),
    [((), 1_137_488), ((GAP, ENERGY), 1_302_992), ((COMPOSITION, ENERGY), 1_324_688)],
    ids=["gschnet_qm9", "gap_relenergy", "comp_relenergy"],
)
def test_as_many_parameters_as_the_published_recipes_outside_of_tables_of_vectors(conditions, n_parameters):
    """Tables: vectors of kinds, of next types, of the types in a composition, of conditions that are not told."""
    network = GeneratorNetwork(NetworkSettings(conditions=conditions))
    tables = ("kinds.weight", "next_types.weight", ".types.weight")
    counted = [
        parameter.numel()
        for name, parameter in network.named_parameters()
        if not name.endswith(tables) and ".absent." not in name
    ]
    assert sum(counted) == n_parameters


def test_bins_are_a_thirtieth_of_an_angstrom_up_to_the_furthest_that_can_be():
    settings = NetworkSettings()
    assert settings.n_bins == 202
    assert settings.bin_width == pytest.approx(6.7 / 201)


def test_a_number_is_expanded_up_to_its_range_or_just_beyond():
    embedding = ScalarEmbedding(2.0, 11.0, 2.25, 8, 2, None)
    assert embedding.centres.tolist() == [2.0, 4.25, 6.5, 8.75, 11.0]
    assert ScalarEmbedding(0.0, 1.0, 0.3, 8, 2, None).centres.tolist() == pytest.approx([0.0, 0.3, 0.6, 0.9, 1.2])


def test_what_is_not_told_does_not_count_and_what_is_told_does():
    network = make_network(make_settings(conditions=CONDITIONS))
    given = {"gap": torch.tensor([True]), "fingerprint": torch.tensor([False]), "composition": torch.tensor([True])}
    values = {
        "gap": torch.tensor([[1.0]]),
        "fingerprint": torch.zeros(1, 4),
        "composition": torch.tensor([[4.0, 1.0, 0.0, 0.0, 0.0]]),
    }
    reference = network.conditioning(values, given)
    for name, value in values.items():
        changed = network.conditioning({**values, name: value + 1.0}, given)
        assert torch.equal(changed, reference) == (not given[name].item())


def test_a_composition_that_is_complete_is_a_composition():
    network = make_network(make_settings(conditions=CONDITIONS))
    features = network.conditioning.embeddings["composition"](torch.zeros(1, 5))
    assert torch.isfinite(features).all()


def test_a_composition_told_step_by_step_is_what_is_missing():
    settings = make_settings(conditions=CONDITIONS)
    network = make_network(settings)
    values = {"gap": torch.ones(2, 1), "fingerprint": torch.ones(2, 4), "composition": torch.full((2, 5), 9.0)}
    given = {name: torch.ones(2, dtype=torch.bool) for name in values}
    missing = torch.tensor([[4.0, 1, 0, 0, 0], [3.0, 1, 0, 0, 0], [4.0, 1, 0, 0, 0]])
    features, rows = network.embed_conditions(values, given, torch.tensor([0, 0, 1]), missing)
    assert rows.tolist() == [0, 1, 2]
    torch.testing.assert_close(features[0], features[2])  # rows of one product: equal but for rounding
    assert not torch.equal(features[0], features[1])


def test_averaged_predictions_of_types_are_the_mean_of_the_nodes():
    settings = make_settings(average_types=True)
    network = make_network(settings)
    features = torch.randn(3, settings.n_channels, generator=torch.Generator().manual_seed(0))
    bias = network.type_head.compute_bias(torch.zeros(1, 0)).expand(2, -1)
    found = network.predict_types(features, bias, torch.tensor([0, 0, 1]), 2)
    single = torch.softmax(network.type_head(features), -1)
    torch.testing.assert_close(found.exp(), torch.stack([single[:2].mean(0), single[2]]), rtol=1e-5, atol=1e-6)
