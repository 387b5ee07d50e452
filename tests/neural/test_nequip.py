"""NequIP's layers as a trunk: what turns with the molecule and what does not, where the package is installed.

Where it is, the tests of networks, of potentials and their files take it as one more architecture, too.
"""

import sys

import pytest
import torch

from common.neural.nequip import NequIPSettings, NequIPTrunk
from common.neural.pairs import compute_pair_vectors, drop_far_pairs, list_pairs
from tests.helpers import rotate_randomly
from tests.neural.systems import COORDS

TOLERANCE = 1e-11


def make_trunk(seed: int = 0, largest_order: int = 1) -> NequIPTrunk:
    pytest.importorskip("nequip", exc_type=ImportError)
    return NequIPTrunk(NequIPSettings(6, 3, 8, largest_order, 2.5), torch.Generator().manual_seed(seed)).double()


def evaluate(trunk: NequIPTrunk, coords: torch.Tensor) -> torch.Tensor:
    pairs = drop_far_pairs(coords, list_pairs(len(coords)), trunk.settings.cutoff)
    features = torch.linspace(0.5, 1.0, 6, dtype=torch.float64).repeat(len(coords), 1)
    return trunk(features, compute_pair_vectors(coords, pairs), pairs)


@pytest.mark.parametrize("largest_order", [1, 2])
def test_scalars_do_not_turn(largest_order):
    trunk = make_trunk(largest_order=largest_order)
    scalars = evaluate(trunk, COORDS)
    assert scalars.std() > 1e-3
    torch.testing.assert_close(evaluate(trunk, rotate_randomly(COORDS, 2)), scalars, atol=TOLERANCE, rtol=0)


def test_an_angle_is_seen_though_its_ends_do_not_see_each_other():
    """1-3 distances beyond the cutoff of 2.5 Angstrom: distances alone cannot tell the angles apart."""

    def bend(degrees: float) -> torch.Tensor:
        angle = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
        end = 1.9 * torch.stack((torch.cos(angle), torch.sin(angle), torch.zeros_like(angle)))
        zero = torch.zeros(3, dtype=torch.float64)
        return torch.stack((zero, torch.tensor([1.9, 0.0, 0.0], dtype=torch.float64), end))

    trunk = make_trunk()
    assert (evaluate(trunk, bend(95.0)) - evaluate(trunk, bend(175.0))).abs().max() > 1e3 * TOLERANCE


def test_the_seed_draws_the_weights_and_nothing_else_is_drawn():
    state = torch.get_rng_state()
    first, again, other = (evaluate(make_trunk(seed), COORDS) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_without_the_package_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "nequip.nn", None)
    with pytest.raises(ValueError, match=r'needs the package nequip.*or take "painn"'):
        NequIPTrunk(NequIPSettings())
