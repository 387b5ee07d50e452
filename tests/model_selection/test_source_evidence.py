"""Weights by evidence: a noisy source weighs as its noise says, and an outlying one harms the others less."""

import numpy
import pytest

from common.fitting.objective import build_objective
from common.fitting.source_weights import PartWeights
from common.forcefields.parameter_file import save_parameters
from common.forcefields.trainable import Column, build_trainable
from common.model_selection.source_evidence import LARGEST_RATIO, _invert, estimate_source_weights, weigh_sources
from common.sufficient_statistics.accumulation import compute_statistics
from common.sufficient_statistics.settings import PassMachine, PassSettings
from tests.helpers import make_entries, simulate_entries, write_dataset

COLUMNS = {"Bonds": {"k": Column(lower=0.0), "length": Column(lower=0.0)}, "ProperTorsions": {"k": Column()}}
NOISE = {"cold": (0.2, 1.0), "hot": (0.8, 3.0)}
"""Of energies and forces."""


@pytest.fixture(scope="module")
def statistics(tmp_path_factory, parity_molecules, parity_energies):
    folder = tmp_path_factory.mktemp("sources")
    entries = make_entries(parity_energies[:60], n_confs=12)
    for seed, (source, sigmas) in enumerate(NOISE.items()):
        noisy = simulate_entries(parity_molecules, parity_molecules.force_field, entries, *sigmas, seed=seed)
        write_dataset(folder / "data" / source, noisy)
    save_parameters(folder / "parameters.pt", parity_molecules)
    return compute_statistics(
        folder / "data", folder / "parameters.pt", folder / "cache", PassSettings(), PassMachine(1)
    )


def check(weights: dict[str, PartWeights]) -> None:
    for part in (0, 1):
        expected = (NOISE["hot"][part] / NOISE["cold"][part]) ** 2
        assert weights["cold"][part] / weights["hot"][part] == pytest.approx(expected, rel=0.15)
        assert numpy.mean([weights[source][part] for source in NOISE]) == pytest.approx(1.0)  # as many entries of each


def test_at_the_truth_the_weights_are_the_inverse_variances(statistics, parity_molecules):
    objective = build_objective(statistics, "train")
    check(estimate_source_weights(statistics, objective, parity_molecules.force_field))


def test_weights_and_fit_are_found_together(statistics, parity_molecules):
    trainable = build_trainable(parity_molecules.force_field, COLUMNS)
    check(weigh_sources(statistics, lambda w: build_objective(statistics, "train", 1.0, w), trainable, COLUMNS))


def test_a_source_that_is_followed_exactly_does_not_take_all():
    weights = _invert({"one": 0.0, "two": 1.0}, {"one": 3, "two": 1})
    assert weights["one"] / weights["two"] == pytest.approx(LARGEST_RATIO)
    assert (3 * weights["one"] + weights["two"]) / 4 == pytest.approx(1.0)
    assert _invert({}, {}) == {}
