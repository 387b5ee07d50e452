"""Beyond the data U is drawn to a tail like dispersion's, whose value and force belong together."""

import types

import pytest
import torch

from common.coarse_graining.asymptote import build_asymptote
from common.potentials.body_pairs import PairGradient
from tests.coarse_graining.samples import make_learned, make_trajectories


def test_training_brings_the_tail_about():
    learned = make_learned()
    add = build_asymptote(learned, make_trajectories(), 1.0, 0)
    optimizer = torch.optim.Adam(learned.parameters(), 0.02)
    costs = []
    for number in range(40):
        optimizer.zero_grad()
        costs.append(add(number))
        optimizer.step()
    assert sum(costs[-5:]) < 0.1 * sum(costs[:5])


@pytest.mark.parametrize(("power", "cost"), [(6, 0.0), (5, 1.0 / 36.0)])
def test_a_tail_of_the_sixth_power_costs_nothing(power, cost):
    """And one of another power the square of what is missing: U = -kT (r / |d|)ⁿ at its own distance."""
    learned, data = make_learned(), make_trajectories()
    weight = next(learned.parameters())

    def compute_gradient(d, first, second):
        r = d.norm(dim=-1)
        energies = -data.kt + 0.0 * weight.sum() + 0.0 * r
        forces = power * energies[:, None] * d / r[:, None] ** 2  # -dU/dd of C / rⁿ
        return PairGradient(energies, forces, torch.zeros_like(d), torch.zeros_like(d))

    made_up = types.SimpleNamespace(
        list_pairs=lambda: [types.SimpleNamespace(compute_gradient=compute_gradient)],
        parameters=learned.parameters,
    )
    assert build_asymptote(made_up, data, 1.0, 0)(0) == pytest.approx(cost, abs=1e-12)


def test_without_weight_nothing_is_done():
    learned = make_learned()
    assert build_asymptote(learned, make_trajectories(), 0.0, 0)(0) == 0.0
    assert all(values.grad is None for values in learned.parameters())


def test_a_number_draws_the_same_pairs():
    learned = make_learned()
    add = build_asymptote(learned, make_trajectories(), 1.0, 0)
    assert add(3) == add(3) != add(4)
