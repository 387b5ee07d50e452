"""Sums over neighbours by numba and by a list of edges, and their derivatives."""

import numpy
import pytest
import torch

from common.generators.batches import draw_steps, lay_out
from common.generators.partial import aggregate, aggregate_by_edges, list_edges
from tests.generators.made_up import make_settings, make_table

TOLERANCE = 1e-12  # float64, sums in another order


@pytest.fixture
def partial():
    settings = make_settings()
    table = make_table(["CO", "C#N", "FC=O"], settings)
    steps = draw_steps(table, numpy.array([2, 0, 1, 0]), 5, numpy.random.default_rng(1))
    return lay_out(table, steps, settings).partial


def draw(partial, n_channels=3):
    generator = torch.Generator().manual_seed(2)
    filters = torch.randn(len(partial.distances), n_channels, generator=generator, dtype=torch.float64)
    sent = torch.randn(partial.n_rows + partial.n_steps, n_channels, generator=generator, dtype=torch.float64)
    return filters.requires_grad_(), sent.requires_grad_()


def test_both_ways_give_the_same_sums_and_derivatives(partial):
    filters, sent = draw(partial)
    results = [aggregate(filters, sent, partial), aggregate_by_edges(filters, sent, list_edges(partial))]
    weights = torch.randn(results[0].shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    gradients = [torch.autograd.grad((result * weights).sum(), (filters, sent)) for result in results]
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=TOLERANCE)
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=TOLERANCE)


def test_derivatives_are_those_of_finite_differences(partial):
    filters, sent = draw(partial, n_channels=1)
    assert torch.autograd.gradcheck(lambda f, s: aggregate(f, s, partial), (filters, sent))


def test_a_step_hears_nothing_of_another(partial):
    filters, sent = draw(partial)
    heard = aggregate(filters, sent, partial)
    changed = sent.detach().clone()
    first = slice(int(partial.starts[0]), int(partial.starts[1]))
    changed[first] += 1.0
    changed[partial.n_rows] += 1.0  # its token
    difference = (aggregate(filters, changed, partial) - heard).detach().abs().sum(1)
    own = numpy.r_[numpy.arange(first.start, first.stop), partial.n_rows]
    assert (difference[own] > 0.0).all()
    assert difference.sum() == pytest.approx(difference[own].sum())


def test_no_row_hears_itself_and_token_and_focus_hear_one_another_at_distance_zero(partial):
    edges = list_edges(partial)
    assert (edges.receivers != edges.senders).all()
    for step in range(partial.n_steps):
        token, focus = partial.n_rows + step, int(partial.focus_rows[step])
        between = (edges.receivers == token) & (edges.senders == focus)
        assert edges.pairs[between].tolist() == [0]
        n_rows = int(partial.starts[step + 1] - partial.starts[step])
        assert int((edges.receivers == token).sum()) == n_rows
        assert int((edges.receivers == focus).sum()) == n_rows  # the others, and the token
