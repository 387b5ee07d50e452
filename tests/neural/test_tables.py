"""Tabulated filters against the networks that they stand for."""

import pytest
import torch

from common.neural.tables import build_filter_table
from tests.neural.systems import make_network

FLOAT32_TOLERANCE = 1e-6  # of values of order 1


@pytest.fixture
def trunk():
    return make_network("schnet").trunk


def test_values_and_slopes_are_those_of_the_networks(trunk):
    table = build_filter_table(trunk, 100)
    double = trunk.double()
    step = 1e-5
    at, above, below = (
        torch.cat(double.compute_filters(torch.tensor([1.2 + shift], dtype=torch.float64)), -1)[0].detach()
        for shift in (0.0, step, -step)
    )
    torch.testing.assert_close(torch.from_numpy(table.values[30, 0]).double(), at, atol=FLOAT32_TOLERANCE, rtol=0)
    slope = (above - below) / (2.0 * step) * table.step
    torch.testing.assert_close(torch.from_numpy(table.values[30, 1]).double(), slope, atol=FLOAT32_TOLERANCE, rtol=0)


def test_filters_end_at_the_cutoff(trunk):
    table = build_filter_table(trunk, 64)
    assert table.cutoff == pytest.approx(64 * table.step)
    assert (table.values[-1] == 0.0).all()
    assert table.values.shape == (65, 2, 24)


def test_the_trunk_is_left_as_it_is(trunk):
    before = [parameter.clone() for parameter in trunk.parameters()]
    build_filter_table(trunk)
    assert all(torch.equal(a, b) for a, b in zip(before, trunk.parameters(), strict=True))
    assert all(parameter.grad is None for parameter in trunk.parameters())
