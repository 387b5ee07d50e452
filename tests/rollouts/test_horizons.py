"""Rollouts: the exact potential follows the truth, a wrong one does not; both stay bounded."""

from common.rollouts.horizons import compute_horizon, compute_stability
from tests.coarse_graining.samples import PROTOCOL, make_trajectories
from tests.rollouts.samples import make_exact, make_wrong


def test_the_exact_potential_with_the_same_step_follows_exactly():
    found = compute_horizon(make_exact(), make_trajectories(), PROTOCOL.step, 1.0)
    assert len(found.times) == 10
    assert found.separation.max() < 1e-9
    assert found.angle.max() < 1e-6


def test_a_wrong_potential_goes_astray():
    found = compute_horizon(make_wrong(), make_trajectories(), PROTOCOL.step, 1.5)
    assert found.at(1.5) > 10.0 * found.at(0.1)
    assert found.at(1.5) > 1e-3


def test_long_rollouts_are_bounded_and_keep_their_energy():
    found = compute_stability(make_exact(), make_trajectories(), 0.02, 20.0, 4)
    assert found.is_bounded
    assert found.time >= 20.0
    assert found.energy_error < 0.05
    assert abs(found.drift) < 0.02
    wild = compute_stability(make_exact(), make_trajectories(), 1.5, 150.0, 4)  # a step that is much too long
    assert not wild.is_bounded or wild.energy_error > 1.0
