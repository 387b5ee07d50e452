"""Intervals of what other molecules might have given: bootstrap over molecules, the same samples for all candidates."""

import numpy

N_RESAMPLES = 1_000
BOOTSTRAP_SEED = 0
CONFIDENCE = 0.95
MIN_MOLECULES = 5
"""No interval is given for fewer: resampling so few says nothing."""

_RESAMPLES_AT_ONCE = 50


def resample_sums(sums: numpy.ndarray) -> numpy.ndarray | None:
    """Sums over molecules that were drawn with replacement, as many as there are.

    Molecules, and not their conformers, are independent of each other. All columns have the same samples, so that
    differences between them can be resampled, too.

    Args:
        sums: of each molecule, ``shape=(n_molecules, n_columns)``.

    Returns:
        ``shape=(N_RESAMPLES, n_columns)``; None where there are too few molecules.
    """
    n_molecules = len(sums)
    if n_molecules < MIN_MOLECULES:
        return None
    random = numpy.random.default_rng(BOOTSTRAP_SEED)
    resampled = []
    for _ in range(0, N_RESAMPLES, _RESAMPLES_AT_ONCE):  # how often each molecule is drawn, in batches to save memory
        counts = random.multinomial(n_molecules, numpy.full(n_molecules, 1.0 / n_molecules), size=_RESAMPLES_AT_ONCE)
        resampled.append(counts @ sums)
    return numpy.concatenate(resampled)


def find_interval(values: numpy.ndarray) -> tuple[float, float] | None:
    """The middle of resampled values that holds with ``CONFIDENCE``; None where too few samples have any (NaN)."""
    if numpy.isnan(values).mean() > 1.0 - CONFIDENCE:
        return None
    low, high = numpy.nanquantile(values, [(1.0 - CONFIDENCE) / 2.0, (1.0 + CONFIDENCE) / 2.0])
    return float(low), float(high)
