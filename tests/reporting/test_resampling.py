"""Resampled sums are sums over molecules drawn with replacement; their spread is that of a mean."""

import numpy
import pytest

from common.reporting.resampling import CONFIDENCE, N_RESAMPLES, find_interval, resample_sums


def test_the_spread_is_that_of_a_sum_and_columns_share_their_samples():
    values = numpy.random.default_rng(0).normal(3.0, 1.0, 400)
    resampled = resample_sums(numpy.stack((values, 2.0 * values, numpy.ones(400)), axis=-1))
    assert resampled.shape == (N_RESAMPLES, 3)
    assert resampled[:, 1] == pytest.approx(2.0 * resampled[:, 0])
    assert (resampled[:, 2] == 400.0).all()
    assert resampled[:, 0].std() == pytest.approx(values.std() * 20.0, rel=0.1)
    low, high = find_interval(resampled[:, 0] / 400.0)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2.0 * 1.96 * values.std() / 20.0, rel=0.15)


def test_too_few_molecules_and_too_few_values_have_no_interval():
    assert resample_sums(numpy.ones((4, 2))) is None
    values = numpy.arange(100.0)
    values[: round(100 * (1.0 - CONFIDENCE)) + 1] = numpy.nan
    assert find_interval(values) is None
