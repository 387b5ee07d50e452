"""The evidence: against the integral that it is, and against what made the data."""

import numpy
import pytest
import scipy.sparse
import torch

from common.fitting.priors import Prior
from common.fitting.quadratic_program import ValenceProblem
from common.model_selection.cross_validation import Fold
from common.model_selection.evidence import Evidence
from common.model_selection.prior_choice import search_strengths
from common.sufficient_statistics.quadratic import QuadraticForm

KINDS = (("Bonds", "k"), ("Bonds", "length"))
N_FOLDS = 5


def make_problem(n: int, spreads: tuple[float, float], n_data: int, noise: float, seed: int):
    """A linear model: half of the coefficients drawn with each spread, in folds; no limits."""
    random = numpy.random.default_rng(seed)
    kinds = tuple(KINDS[i % 2] for i in range(n))
    truth = random.normal(size=n) * numpy.array([spreads[i % 2] for i in range(n)])
    forms = []
    for _ in range(N_FOLDS):
        features = random.normal(size=(n_data, n))
        values = features @ truth + noise * random.normal(size=n_data)
        rows = numpy.column_stack([features, values])
        forms.append(torch.from_numpy(rows.T @ rows / n_data))
    total = sum(forms)
    folds = [Fold(QuadraticForm(form), QuadraticForm((total - form) / (N_FOLDS - 1)), 1.0 / N_FOLDS) for form in forms]
    rows = scipy.sparse.csr_array(numpy.eye(n, n + 1))
    nothing = torch.zeros(0)
    prior = Prior(rows, kinds, nothing.long(), nothing, nothing, ())
    return folds, prior, ValenceProblem(numpy.arange(n), numpy.zeros((0, n)), numpy.zeros(0))


def test_it_is_the_integral_of_likelihood_times_prior():
    """In one dimension, by quadrature; differences between strengths, since constants are left out."""
    folds, prior, problem = make_problem(1, (1.0, 1.0), 7, 0.5, seed=0)
    evidence = Evidence(folds, prior, problem)
    evidence.trust = 2.5
    mean = sum(fold.weight * fold.left_out.matrix for fold in folds).numpy()
    x = numpy.linspace(-20.0, 20.0, 400001)
    misfit = mean[0, 0] * x**2 - 2.0 * mean[0, 1] * x + mean[1, 1]

    def integrate(strength: float) -> float:
        density = numpy.sqrt(strength) * numpy.exp(-2.5 * (misfit + strength * x**2))
        return -float(numpy.log(density.sum() * (x[1] - x[0])))

    for one, other in ((0.1, 1.0), (1.0, 30.0)):
        found = evidence({KINDS[0]: other}) - evidence({KINDS[0]: one})
        assert found == pytest.approx(integrate(other) - integrate(one), rel=1e-6)


def test_the_trust_in_the_data_is_seen_in_the_folds():
    """With independent residuals it is their number over twice their variance, within what five folds can tell."""
    folds, prior, problem = make_problem(60, (1.0, 1.0), 400, 0.5, seed=1)
    trust = Evidence(folds, prior, problem).estimate_trust(dict.fromkeys(KINDS, 1e-6))
    assert trust == pytest.approx(N_FOLDS * 400 / (2.0 * 0.25), rel=0.3)


def test_it_finds_the_spread_of_each_kind():
    """A strength s stands for a spread of 1 / sqrt(2 β s)."""
    spreads, n_data, noise = (0.03, 3.0), 100, 1.0
    folds, prior, problem = make_problem(120, spreads, n_data, noise, seed=2)
    evidence = Evidence(folds, prior, problem)
    evidence.trust = N_FOLDS * n_data / (2.0 * noise**2)
    _, best, _ = search_strengths(KINDS, evidence)
    for kind, spread in zip(KINDS, spreads, strict=True):
        expected = 1.0 / (2.0 * evidence.trust * spread**2)
        assert abs(numpy.log10(best.strengths[kind] / expected)) < 0.5
