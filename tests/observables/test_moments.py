"""Moments in units of the reference's spread."""

import torch

from common.observables.moments import Moments
from tests.neural.systems import displace
from tests.observables.systems import make_ethanol


def test_moments_of_the_reference_are_0_and_1():
    system, frames = make_ethanol(), displace(200)
    moments = Moments(system, frames)
    mean = moments.compute(frames).mean(0)
    n = len(moments.means)
    assert n == 8 + 13
    torch.testing.assert_close(mean[:n], torch.zeros(n, dtype=torch.float64), atol=1e-10, rtol=0)
    torch.testing.assert_close(mean[n:], torch.ones(n, dtype=torch.float64), atol=0.006, rtol=0)
    other = moments.compute(displace(200, seed=9, spread=0.12)).mean(0)
    assert moments.compute_loss(other, mean) > 0.5
