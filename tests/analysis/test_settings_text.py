"""Trained columns in words."""

from common.analysis.settings_text import describe_columns


def test_columns_are_described_in_words():
    columns = {
        "k": {"scale": 0.01, "lower": 0.0, "upper": None, "prior": 100.0},
        "length": {"scale": 1.0, "lower": 0.0, "upper": 5.0, "prior": None},
        "phase": {},
    }
    assert describe_columns(columns) == "k ≥ 0, scale 0.01, prior 100; length 0 to 5; phase"


def test_limits_on_one_side():
    assert describe_columns({"k": {"upper": 2.0}, "phase": {"lower": -1.0}}) == "k ≤ 2; phase ≥ -1"
