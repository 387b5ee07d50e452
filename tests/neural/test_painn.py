"""PaiNN's vectors: they turn with the molecule and tell angles apart where distances within reach do not."""

import torch

from common.neural.painn import PaiNNSettings, PaiNNTrunk
from common.neural.pairs import compute_pair_vectors, drop_far_pairs, list_pairs
from tests.helpers import rotate_randomly

TOLERANCE = 1e-11


def evaluate(trunk, coords):
    pairs = drop_far_pairs(coords, list_pairs(len(coords)), trunk.settings.cutoff)
    features = torch.ones(len(coords), trunk.settings.n_channels, dtype=torch.float64)
    return trunk(features, compute_pair_vectors(coords, pairs), pairs)


def make_trunk(n_interactions=2):
    return PaiNNTrunk(PaiNNSettings(8, n_interactions, 6, 2.5), torch.Generator().manual_seed(0)).double()


def test_scalars_do_not_turn():
    coords = torch.randn(5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(
        evaluate(make_trunk(), rotate_randomly(coords, 2)), evaluate(make_trunk(), coords), atol=TOLERANCE, rtol=0
    )


def test_an_angle_is_seen_though_its_ends_do_not_see_each_other():
    """1-3 distances of 2.8 and 3.8 Angstrom, both beyond the cutoff of 2.5: distances alone cannot tell them apart."""

    def bend(degrees):
        angle = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
        end = 1.9 * torch.stack((torch.cos(angle), torch.sin(angle), torch.zeros_like(angle)))
        zero = torch.zeros(3, dtype=torch.float64)
        return torch.stack((zero, torch.tensor([1.9, 0.0, 0.0], dtype=torch.float64), end))

    trunk = make_trunk(n_interactions=2)
    assert (evaluate(trunk, bend(95.0)) - evaluate(trunk, bend(175.0))).abs().max() > 1e-4


def test_like_atoms_in_like_places_are_alike():
    triangle = torch.tensor([[1.0, 0.0, 0.0], [-0.5, 0.75**0.5, 0.0], [-0.5, -(0.75**0.5), 0.0]], dtype=torch.float64)
    scalars = evaluate(make_trunk(), triangle)
    torch.testing.assert_close(scalars[1:], scalars[:1].expand(2, -1), atol=TOLERANCE, rtol=0)


def test_the_gradient_is_finite_where_all_vectors_are_zero():
    coords = torch.tensor([[0.0, 0.0, 0.0], [20.0, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    trunk = make_trunk()
    total = evaluate(trunk, coords).sum()
    gradients = torch.autograd.grad(total, list(trunk.parameters()), allow_unused=True)
    assert all(gradient.isfinite().all() for gradient in gradients if gradient is not None)
