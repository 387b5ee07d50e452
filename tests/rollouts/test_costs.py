"""Costs: the crossover lies where the costs cross; sums grow with their sites."""

import math

import pytest

from common.rollouts.costs import _find_crossover, measure_costs
from tests.coarse_graining.samples import make_trajectories
from tests.rollouts.samples import make_learned_candidate


def test_the_crossover_is_where_the_costs_are_the_same():
    sites = {n: 0.1 * n**2 for n in (1, 3, 10, 30)}
    for n in (2.0, 5.0, 20.0, 60.0):
        assert _find_crossover(sites, 0.1 * n**2) == pytest.approx(n, rel=1e-9)
    assert _find_crossover(sites, 0.01) == 1.0


def test_costs_are_measured_in_one_run():
    found = measure_costs([make_learned_candidate()], make_trajectories().system)
    assert found.sites[60] > found.sites[7] > 0.0
    assert math.isfinite(found.candidates["learned"])
    assert found.crossovers["learned"] > 1.0
    assert found.by_torch["learned"] > found.candidates["learned"]
    assert found.torch_crossovers["learned"] > found.crossovers["learned"]
