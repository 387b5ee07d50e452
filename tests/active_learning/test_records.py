"""A campaign as its journal tells it."""

import json

import pytest

from common.active_learning.journal import Journal, TaskTimes
from common.active_learning.records import read_campaign, sum_busy_seconds
from common.steering.records import (
    Calculate,
    DynamicsFinished,
    Finish,
    Frame,
    Model,
    RunDynamics,
    StructureComputed,
    TaskFailed,
)


@pytest.fixture
def folder(tmp_path):
    """Two runs; three audits, one of them lost; a chosen frame with a large force; one that was known."""
    (tmp_path / "config.json").write_text(
        json.dumps({"selection": "energies", "audit": True, "seed": 4, "num_to_run": 30, "retrain_freq": 5})
    )
    with Journal(tmp_path / "journal.jsonl") as journal:
        steering = {"energy_tolerance": 0.5}
        journal.write_note(
            "beginning", steering=steering, n_initial=10, n_atoms=[3, 3], regions=["known", "new"], max_force=100.0
        )
        for k in (1, 2):
            run = RunDynamics(f"sample-{k}", k - 1, None, False, 40, Model(1, 0), 0)
            journal.write_commands([run])
            journal.write_event(DynamicsFinished(run.task, 40, 4, -5.0, ""), TaskTimes(k, k + 0.5, "here:1"))
        calculations = [
            (Calculate("calculate-1", Frame("sample-1", 3), "audit", 1), ("a", -5.9, 20.0, "")),
            (Calculate("calculate-2", Frame("sample-2", 3), "audit", 1), ("b", -8.0, 20.0, "")),
            (Calculate("calculate-3", Frame("sample-2", 1), "active", 1), ("c", -4.0, 120.0, "")),
            (Calculate("calculate-4", Frame("sample-2", 2), "active", 1), ("a", -5.9, 20.0, "")),
            (Calculate("calculate-5", Frame("sample-1", 2), "active", 1), ("d", None, None, "no SCF")),
        ]
        for command, (key, energy, force, reason) in calculations:
            journal.write_commands([command])
            event = StructureComputed(command.task, key, energy, force, reason)
            journal.write_event(event, TaskTimes(3.0, 3.25, "here:2"))
        journal.write_commands([Calculate("calculate-6", Frame("sample-1", 3), "audit", 1)])
        journal.write_event(TaskFailed("calculate-6", "the worker died"))
        journal.write_note("errors", round=1, n_calls=10, errors={"near": {"force": 3.0}}, started=4.0, ended=4.5)
        journal.write_commands([Finish("the budget is spent", "complete")])
    return tmp_path


def test_what_was_paid_for(folder):
    record = read_campaign(folder)
    assert [(each.purpose, each.region, each.is_wasted, each.reason) for each in record.purchases] == [
        ("audit", "known", False, ""),
        ("audit", "new", False, ""),
        ("active", "new", True, ""),  # its force is too large
        ("active", "known", True, "no SCF"),
        ("audit", "known", True, "the worker died"),
    ]


def test_audits(folder):
    record = read_campaign(folder)
    assert [(each.n_calls, each.passed, each.n_steps) for each in record.audits] == [
        (11, True, 40),
        (12, False, 40),
        (15, False, 40),
    ]
    assert record.audits[0].error == pytest.approx(0.3)
    assert record.audits[2].error is None


def test_errors_time_and_outcome(folder):
    record = read_campaign(folder)
    assert [(each.round, each.n_calls, each.errors["near"]["force"]) for each in record.errors] == [(1, 10, 3.0)]
    assert sum_busy_seconds(record) == pytest.approx({"sample": 1.0, "calculate": 1.25, "evaluate": 0.5})
    assert (record.outcome, record.mode, record.seed, record.n_initial) == ("complete", "active", 4, 10)


def test_what_is_no_campaign_is_refused(folder, tmp_path):
    with pytest.raises(FileNotFoundError):
        read_campaign(tmp_path / "nowhere")
    lines = (folder / "journal.jsonl").read_text().splitlines(keepends=True)
    (folder / "journal.jsonl").write_text("".join(lines[1:]))
    with pytest.raises(ValueError, match="no beginning"):
        read_campaign(folder)
