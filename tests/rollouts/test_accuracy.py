"""Parity and cuts: the exact potential is without error, a wrong one is not."""

import numpy
import pytest

from common.rollouts.accuracy import compute_cuts, compute_parity
from tests.coarse_graining.samples import make_trajectories
from tests.rollouts.samples import make_exact, make_learned_candidate, make_wrong


def test_the_exact_potential_has_no_error():
    found = compute_parity(make_exact(), make_exact(), make_trajectories()).summarise(0.3)
    assert found["energy_rmse_kt"] == found["force_relative"] == found["torque_relative"] == 0.0
    expected = float(make_trajectories().energies.std(correction=0)) / 0.3
    assert found["energy_spread_kt"] == pytest.approx(expected, rel=1e-9)


def test_errors_are_root_mean_squares():
    data = make_trajectories()
    parity = compute_parity(make_wrong(), make_exact(), data)
    found = parity.summarise(0.3)
    error = parity.energies[0] - parity.energies[1]
    assert found["energy_rmse"] == pytest.approx(float(numpy.sqrt((error**2).mean())))
    assert found["energy_bias_kt"] == pytest.approx(float(error.mean()) / 0.3)
    assert found["force_relative"] > 0.3


def test_cuts_begin_where_bodies_touch_and_have_their_minima():
    cuts = compute_cuts([make_wrong(), make_learned_candidate()], make_exact(), make_trajectories(), 0.3)
    assert [cut.name for cut in cuts] == ["stacked", "T", "edge"]
    for cut in cuts:
        assert (numpy.diff(cut.distances) > 0.0).all()
        assert cut.energies["all sites"].max() <= 8.0 * 0.3 + 1e-9
        assert cut.find_minimum("wrong") < cut.find_minimum("all sites") < 0.0
        assert abs(cut.energies["all sites"][-1]) < 0.5 * abs(cut.find_minimum("all sites"))  # on its way to zero
