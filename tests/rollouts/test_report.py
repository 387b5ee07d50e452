"""The report in words: how potentials came about, and whether they pay."""

import math

import pytest

from common.rollouts.report import describe_training, list_headlines


def test_a_training_in_words():
    further = {"method": "trajectory", "inputs": "points", "frame_stride": 5}
    config = {"batch_length": 3, "nn_depth": 2, "nn_width": 32}
    told = describe_training({"further": further, "config": config})
    assert told == "trajectory matching, inputs points, 2 x 32, windows of 3 frames, every 5th frame"
    other = describe_training({"further": {**further, "method": "forces", "frame_stride": 1}, "config": config})
    assert other == "force matching, inputs points, 2 x 32"
    assert describe_training({}) == "a sum over sites"


@pytest.mark.parametrize(
    ("crossover", "told"),
    [
        (7.6, "costs as much as 8 sites a body: cheaper than the sum over its 12 sites"),
        (20.0, "costs as much as 20 sites a body: dearer than the sum over its 12 sites"),
        (math.inf, "costs more than any body that was timed"),
    ],
)
def test_headlines_say_whether_it_pays(crossover, told):
    metrics = {"candidates": {}, "costs": {"crossovers": {"one": crossover}}, "n_sites": 12}
    assert list_headlines(metrics) == [f"one: {told}"]


def test_headlines_say_what_was_found():
    own = {
        "parity": {"energy_rmse_kt": 0.214, "energy_spread_kt": 1.3, "force_relative": 0.189},
        "horizon": {"short": 0.0312},
        "stability": {"is_bounded": False, "time": 40_000.0, "energy_error_kt": 0.05},
    }
    metrics = {
        "candidates": {"one": own},
        "costs": {"crossovers": {}},
        "units": ("Å", "kcal/mol", "fs"),
        "short_time": 200.0,
        "n_sites": 12,
    }
    [line] = list_headlines(metrics)
    assert line == (
        "one: U within 0.21 kT (its spread is 1.30), forces within 19 %; separations within 0.0312 Å after 200 fs; "
        "NOT bounded over 40000 fs, energy within 0.050 kT"
    )
