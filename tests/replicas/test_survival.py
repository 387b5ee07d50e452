"""Statistics of failures against scipy's distributions and made-up histories."""

import math

import numpy
import pytest
import scipy.stats

from common.replicas.survival import compute_interval, compute_survival_curve, summarise_survival


@pytest.mark.parametrize(("n_failures", "total"), [(28, 191.0), (4, 447.0), (1, 10.0)])
def test_the_interval_is_that_of_poisson(n_failures, total):
    """Rates at which so many failures, or more (fewer), have a probability of 2.5 %."""
    low, high = compute_interval(n_failures, total)
    assert scipy.stats.poisson.cdf(n_failures, total / low) == pytest.approx(0.025, abs=1e-9)
    assert scipy.stats.poisson.sf(n_failures - 1, total / high) == pytest.approx(0.025, abs=1e-9)
    assert low == pytest.approx(2.0 * total / scipy.stats.chi2.ppf(0.975, 2 * n_failures + 2), rel=1e-12)
    assert high == pytest.approx(2.0 * total / scipy.stats.chi2.ppf(0.025, 2 * n_failures), rel=1e-12)


def test_without_failure_there_is_a_lower_end_only():
    low, high = compute_interval(0, 100.0)
    assert low == pytest.approx(100.0 / -math.log(0.025))
    assert high == math.inf


def test_the_interval_covers_the_truth_as_often_as_it_says():
    random = numpy.random.default_rng(1)
    horizon, truth, n_covered, n_trials = 10.0, 12.0, 0, 2000
    for _ in range(n_trials):
        lives = random.exponential(truth, 24)
        low, high = compute_interval(int((lives < horizon).sum()), float(numpy.minimum(lives, horizon).sum()))
        n_covered += low <= truth <= high
    assert n_covered / n_trials > 0.935  # 95 % less three standard errors


def test_a_summary_by_hand():
    times, has_failed = numpy.array([1.0, 4.0, 10.0, 10.0]), numpy.array([True, True, False, False])
    survival = summarise_survival(times, has_failed, 10.0)
    assert survival.n_failures == 2
    assert survival.total_time == 25.0
    assert survival.mean_time_to_failure == 12.5
    assert survival.mean_stable_time == 6.25
    assert survival.survived == 0.5


def test_kaplan_and_meier_by_hand():
    """Replicas seen for different times: 4 at risk at 1, 2 at risk at 3."""
    times = numpy.array([1.0, 2.0, 3.0, 5.0])
    falls, share = compute_survival_curve(times, numpy.array([True, False, True, False]))
    numpy.testing.assert_allclose(falls, [0.0, 1.0, 3.0])
    numpy.testing.assert_allclose(share, [1.0, 0.75, 0.375])


def test_nothing_failed():
    survival = summarise_survival(numpy.full(3, 5.0), numpy.zeros(3, bool), 5.0)
    assert survival.mean_time_to_failure == math.inf
    assert survival.survived == 1.0
