"""The trunk against the formulas written out node by node, and what a caller may do with its parts."""

import math

import pytest
import torch

from common.neural.schnet import SchNetSettings, SchNetTrunk, aggregate_densely, aggregate_pairs

EXACT = 1e-12  # sums of a few dozen numbers of order 1 in float64
SETTINGS = SchNetSettings(n_channels=12, n_filters=10, n_interactions=3, n_gaussians=9, cutoff=4.0)
N_NODES = 6


@pytest.fixture(autouse=True)
def float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def trunk() -> SchNetTrunk:
    trunk = SchNetTrunk(SETTINGS, torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(2)
    for parameter in trunk.parameters():  # no bias stays zero: it would hide that it is forgotten
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return trunk


def draw(*shape: int, seed: int = 3) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def measure(coords: torch.Tensor) -> torch.Tensor:
    """All distances, ``(..., n, 3) -> (..., n, n)``."""
    return (coords[..., :, None, :] - coords[..., None, :, :]).square().sum(-1).sqrt()


def compute_by_hand(trunk: SchNetTrunk, features: torch.Tensor, coords: torch.Tensor) -> torch.Tensor:
    """The formulas of the module's docstring, one pair at a time."""
    centres = torch.linspace(0.0, SETTINGS.cutoff, SETTINGS.n_gaussians)
    width = centres[1]
    x = list(features)
    for part in trunk.interactions:
        messages = []
        for i in range(len(x)):
            message = torch.zeros(SETTINGS.n_filters)
            for j in range(len(x)):
                d = (coords[i] - coords[j]).norm()
                if i == j or d >= SETTINGS.cutoff:
                    continue
                hidden = part.filter_hidden(torch.exp(-((d - centres) ** 2) / (2.0 * width**2)))
                hidden = torch.nn.functional.softplus(hidden) - math.log(2.0)
                filter_ = part.filter_output(hidden) * 0.5 * (math.cos(math.pi * d / SETTINGS.cutoff) + 1.0)
                message = message + filter_ * (part.input.weight @ x[j])
            messages.append(message)
        updates = [torch.nn.functional.softplus(part.output_hidden(message)) - math.log(2.0) for message in messages]
        x = [own + part.output(update) for own, update in zip(x, updates, strict=True)]
    return torch.stack(x)


def mask_diagonal(filters: list[torch.Tensor]) -> list[torch.Tensor]:
    return [own * (1.0 - torch.eye(own.shape[-2]))[..., None] for own in filters]


def test_equals_its_formulas(trunk):
    features, coords = draw(N_NODES, SETTINGS.n_channels), 1.5 * draw(N_NODES, 3, seed=4)
    filters = mask_diagonal(trunk.compute_filters(measure(coords)))
    found = trunk(features, filters, aggregate_densely)
    torch.testing.assert_close(found, compute_by_hand(trunk, features, coords), atol=EXACT, rtol=0)


def test_pairs_and_the_dense_sum_agree(trunk):
    features, coords = draw(N_NODES, SETTINGS.n_channels), 1.5 * draw(N_NODES, 3, seed=4)
    distances = measure(coords)
    pairs = torch.triu_indices(N_NODES, N_NODES, 1)
    dense = trunk(features, mask_diagonal(trunk.compute_filters(distances)), aggregate_densely)
    filters = trunk.compute_filters(distances[pairs[0], pairs[1]])
    listed = trunk(features, filters, lambda own, projected: aggregate_pairs(own, projected, pairs))
    torch.testing.assert_close(listed, dense, atol=EXACT, rtol=0)


def test_many_sets_of_features_share_their_filters(trunk):
    """Partial molecules on the same atoms: masks of placed nodes act on what is projected, filters come once."""
    coords = 1.5 * draw(2, N_NODES, 3, seed=4)
    placed = (draw(2, 4, N_NODES, seed=5) > 0.0).to(torch.float64)
    features = draw(2, 4, N_NODES, SETTINGS.n_channels, seed=6)
    shared = mask_diagonal(trunk.compute_filters(measure(coords)))

    for own in shared:
        assert own.shape == (2, N_NODES, N_NODES, SETTINGS.n_filters)
    together = features
    for interaction, own in zip(trunk.interactions, shared, strict=True):
        sent = interaction.project(together) * placed[..., None]
        together = interaction.update(together, torch.einsum("mijf,msjf->msif", own, sent))
    for m in range(2):
        for s in range(4):
            nodes = placed[m, s].bool()
            alone = trunk(features[m, s][nodes], [own[m][nodes][:, nodes] for own in shared], aggregate_densely)
            torch.testing.assert_close(together[m, s][nodes], alone, atol=EXACT, rtol=0)


def test_many_networks_run_as_one(trunk):
    """A committee of networks with stacked parameters, under vmap, gives what each gives alone; gradients, too."""
    trunks = [trunk, *(SchNetTrunk(SETTINGS, torch.Generator().manual_seed(seed)) for seed in (7, 8))]
    parameters, buffers = torch.func.stack_module_state(trunks)
    features, distances = draw(N_NODES, SETTINGS.n_channels), measure(1.5 * draw(N_NODES, 3, seed=4))

    def evaluate(parameters, buffers, distances):
        state = {**parameters, **buffers}
        filters = torch.func.functional_call(_Filters(trunk), _prefix(state), (distances, features))
        return filters.square().sum()

    batched = torch.func.vmap(torch.func.grad(evaluate, argnums=2), in_dims=(0, 0, None))(
        parameters, buffers, distances
    )
    for k, own in enumerate(trunks):
        leaf = distances.clone().requires_grad_()
        alone = own(features, own.compute_filters(leaf), aggregate_densely).square().sum()
        (expected,) = torch.autograd.grad(alone, leaf)
        torch.testing.assert_close(batched[k], expected, atol=EXACT, rtol=EXACT)


class _Filters(torch.nn.Module):
    def __init__(self, trunk: SchNetTrunk):
        super().__init__()
        self.trunk = trunk

    def forward(self, distances, features):
        return self.trunk(features, self.trunk.compute_filters(distances), aggregate_densely)


def _prefix(state: dict) -> dict:
    return {f"trunk.{name}": value for name, value in state.items()}


def test_nodes_beyond_the_cutoff_are_not_felt(trunk):
    features, coords = draw(N_NODES, SETTINGS.n_channels), 1.5 * draw(N_NODES, 3, seed=4)
    moved = coords.clone()
    moved[-1] = torch.tensor([100.0, 0.0, 0.0])
    further = moved.clone()
    further[-1, 0] = 200.0
    first, second = (
        trunk(features, mask_diagonal(trunk.compute_filters(measure(x))), aggregate_densely) for x in (moved, further)
    )
    torch.testing.assert_close(first, second, atol=EXACT, rtol=0)


def test_the_same_seed_draws_the_same_weights():
    first, second = (SchNetTrunk(SETTINGS, torch.Generator().manual_seed(5)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
