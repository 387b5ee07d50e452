"""Lines for the console."""

import torch

from common.stability.learning import Step
from common.stability.run_state import LEARNING, SIMULATION, Report
from common.stability.stabilization import format_report

STEP = Step(torch.zeros(3), 2.0, 1.0, {"adf": 0.1}, 50.0, 3.0, 4.0, -0.5, 0.7)


def test_simulation_says_how_long_replicas_live():
    report = Report(1, SIMULATION, 2, 8, 3, 0.375, {"bond": 3}, (), 0.0, 0, 12_000, 3)
    assert format_report(report, 0.001) == (
        "cycle 1, simulation 2: 3 of 8 failed, 38% parked; mean time to failure 4.0 ps [1.4, 19.4]"
    )
    calm = Report(1, SIMULATION, 2, 8, 0, 0.0, {}, (), 0.0, 0, 12_000, 0)
    assert "mean time to failure ∞ ps [3.3, inf]" in format_report(calm, 0.001)


def test_learning_says_what_steps_found():
    report = Report(1, LEARNING, 2, 8, 3, 0.375, {"bond": 3}, (STEP, STEP), 1e-3, 24, 0, 0)
    line = format_report(report, 0.001)
    assert "3 of 8 failed; observables 2.000 -> 2.000, quantum 1.00 -> 1.00 in 2 steps on 24 frames" in line
    assert line.endswith("cosine -0.50")
