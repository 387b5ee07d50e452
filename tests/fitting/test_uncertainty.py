"""Error bars: as many truths within them as they promise, and what the data do not say is flagged."""

import numpy
import pytest

from common.fitting.exact_fit import fit_exact
from tests.fitting.problems import SIGMA_ENERGY, SIGMA_FORCES, VALENCE, WITH_VDW, list_widths


def compute_coverage(problem, fitted) -> tuple[float, int]:
    """Of the true values that the data determine, the share within two standard errors, and how many there are."""
    _, trainable = problem.build()
    uncertainty = problem.compute_uncertainty(fitted)
    found, true = ((trainable.to_values(f) / trainable.scales).numpy() for f in (fitted, problem.truth))
    use = uncertainty.is_determined & ~uncertainty.is_at_limit
    deviation = numpy.abs(found - true)[use] / uncertainty.standard_error[use]
    return (deviation < 2.0).mean(), use.sum()


def test_error_bars_cover_the_truth(valence, fitted):
    coverage, n_values = compute_coverage(valence, fitted)
    assert n_values > 150
    assert 0.90 <= coverage <= 0.98


def test_the_noise_of_the_data_is_found(valence, fitted):
    uncertainty = valence.compute_uncertainty(fitted)
    assert uncertainty.sigma_energy == pytest.approx(SIGMA_ENERGY, rel=0.15)
    assert uncertainty.sigma_forces == pytest.approx(SIGMA_FORCES, rel=0.05)


def test_error_bars_with_vdw_cover_the_truth(with_vdw):
    """With a faint prior, which moves nothing that the data determine and shortens the search."""
    coverage, n_values = compute_coverage(with_vdw, fit_exact(*with_vdw.build(strength=1e-4), WITH_VDW).force_field)
    assert n_values > 150
    assert 0.88 <= coverage <= 0.99  # fewer molecules, more parameters: a wider margin for chance


def test_what_the_data_do_not_say_is_flagged(valence, fitted):
    _, trainable = valence.build()
    uncertainty, widths = valence.compute_uncertainty(fitted), list_widths(trainable, VALENCE)
    exercise = [valence.statistics.exercise["train"][type_][row, 1].item() for type_, row, _ in trainable.names]
    untouched = numpy.array(exercise) == 0
    assert untouched.any()
    assert not uncertainty.is_determined[untouched].any()
    assert numpy.isinf(uncertainty.standard_error[untouched]).all()
    assert (uncertainty.standard_error[uncertainty.is_determined] <= widths[uncertainty.is_determined]).all()


def test_correlated_parameters_name_each_other(valence, fitted):
    """Two terms of one torsion that the data hardly tell apart."""
    uncertainty = valence.compute_uncertainty(fitted)
    strong = numpy.flatnonzero(uncertainty.partner >= 0)
    assert len(strong) > 0
    assert (numpy.abs(uncertainty.correlation[strong]) >= 0.9).all()
    assert (numpy.abs(uncertainty.correlation) <= 1.0 + 1e-9).all()
