"""Errors over splits: means, spreads, and what cannot be compared."""

import pytest

from common.model_selection.split_repeats import describe_repeats, summarise_repeats


def make(energy: float, forces: float) -> dict:
    return {"train": {}, "test": {"rmse_energy": energy, "rmse_forces": forces}}


def test_mean_and_spread_of_the_test_errors():
    summary = summarise_repeats({0: make(2.0, 20.0), 3: make(4.0, 20.0)}, {0: make(1.0, 5.0), 3: make(2.0, 9.0)})
    assert summary["seeds"] == [0, 3]
    assert summary["rmse_forces"]["final"] == {
        "mean": 7.0,
        "standard_deviation": pytest.approx(8**0.5),
        "values": [5.0, 9.0],
    }
    assert summary["rmse_energy"]["initial"]["mean"] == 3.0
    assert describe_repeats(summary) == (
        "test errors over split seeds 0 3, mean and standard deviation: force 20 ± 0 -> 7 ± 2.8; energy 3 ± 1.4 -> "
        "1.5 ± 0.71"
    )


def test_one_seed_has_no_spread():
    summary = summarise_repeats({0: make(2.0, 20.0)}, {0: make(1.0, 5.0)})
    assert summary["rmse_energy"]["final"]["standard_deviation"] == 0.0


def test_without_test_molecules_there_is_nothing_to_compare():
    with pytest.raises(ValueError, match="test molecules, of which there are none"):
        summarise_repeats({0: {"train": {}}}, {0: {"train": {}}})
