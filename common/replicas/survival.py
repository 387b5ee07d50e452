"""How long replicas live: mean time to failure with its exact interval, and the survival curve.

Failures at a constant rate are a Poisson process: with n failures in a total time T, the times that agree with that at
95 % are [2T/χ²(.975; 2n + 2), 2T/χ²(.025; 2n)], whatever ended the observation of each replica (B. Epstein, M. Sobel,
J. Am. Stat. Assoc. 48, 486 (1953)). Times count up to the first failure and never after it.
"""

import dataclasses
import math

import numpy
import scipy.stats


@dataclasses.dataclass(frozen=True)
class Survival:
    """What is known of the life of replicas.

    Attributes:
        n_replicas, n_failures: how many.
        total_time: [ps] that all lived, up to failure or the end of observation.
        mean_time_to_failure: [ps] total time over failures; infinite where nothing failed.
        low, high: [ps] its interval.
        mean_stable_time, deviation: [ps] of the observed times: cut by the horizon, a lower limit.
        survived: share that was alive at the end.
        horizon: [ps] of observation.
    """

    n_replicas: int
    n_failures: int
    total_time: float
    mean_time_to_failure: float
    low: float
    high: float
    mean_stable_time: float
    deviation: float
    survived: float
    horizon: float


def compute_interval(n_failures: int, total_time: float, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of the mean time to failure, in the unit of ``total_time``; without an upper end for no failure."""
    tail = 0.5 * (1.0 - confidence)
    low = 2.0 * total_time / scipy.stats.chi2.ppf(1.0 - tail, 2 * n_failures + 2)
    high = 2.0 * total_time / scipy.stats.chi2.ppf(tail, 2 * n_failures) if n_failures else math.inf
    return float(low), float(high)


def summarise_survival(times: numpy.ndarray, has_failed: numpy.ndarray, horizon: float) -> Survival:
    """The statistics.

    Args:
        times: [ps] that each replica lived, ``shape=(n_replicas,)``.
        has_failed: whether it then failed; else observation ended.
        horizon: [ps].
    """
    n_failures, total = int(has_failed.sum()), float(times.sum())
    low, high = compute_interval(n_failures, total)
    return Survival(
        n_replicas=len(times),
        n_failures=n_failures,
        total_time=total,
        mean_time_to_failure=total / n_failures if n_failures else math.inf,
        low=low,
        high=high,
        mean_stable_time=float(times.mean()),
        deviation=float(times.std(ddof=1)) if len(times) > 1 else 0.0,
        survived=1.0 - n_failures / len(times),
        horizon=horizon,
    )


def compute_survival_curve(times: numpy.ndarray, has_failed: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Kaplan and Meier's estimate of the share that lives longer than t.

    Returns:
        the times [ps] at which it falls, 0 first, and the share after each.
    """
    falls, share = [0.0], [1.0]
    for time in numpy.unique(times[has_failed]):
        at_risk = int((times >= time).sum())
        n_failures = int(((times == time) & has_failed).sum())
        falls.append(float(time))
        share.append(share[-1] * (1.0 - n_failures / at_risk))
    return numpy.array(falls), numpy.array(share)
