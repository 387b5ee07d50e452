"""Beyond the data U is drawn to zero, and only there."""

import torch

from common.coarse_graining.asymptote import build_asymptote
from tests.coarse_graining.samples import make_learned, make_trajectories


def test_the_cost_draws_the_far_potential_to_zero():
    learned = make_learned()
    add = build_asymptote(learned, make_trajectories(), 1.0, 0)
    optimizer = torch.optim.Adam(learned.parameters(), 0.02)
    costs = []
    for number in range(40):
        optimizer.zero_grad()
        costs.append(add(number))
        optimizer.step()
    assert sum(costs[-5:]) < 0.1 * sum(costs[:5])


def test_without_weight_nothing_is_done():
    learned = make_learned()
    assert build_asymptote(learned, make_trajectories(), 0.0, 0)(0) == 0.0
    assert all(values.grad is None for values in learned.parameters())


def test_a_number_draws_the_same_pairs():
    learned = make_learned()
    add = build_asymptote(learned, make_trajectories(), 1.0, 0)
    assert add(3) == add(3) != add(4)
