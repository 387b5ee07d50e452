"""Events go to a journal and come back."""

import json

import pytest

from common.steering.records import (
    DynamicsFinished,
    FramesPredicted,
    MemberTrained,
    Resumed,
    StopRequested,
    StructureComputed,
    TaskFailed,
    event_from_plain,
    event_to_plain,
)

EVENTS = [
    MemberTrained("train-1-0-1", 1.0 / 3.0),
    DynamicsFinished("sample-1", 40, 4, -0.1, ""),
    DynamicsFinished("sample-2", 0, 0, None, "not finite"),
    FramesPredicted("predict-1", ((0.1, 0.2), (float("inf"), -1e-300)), (0.05, 0.0)),
    StructureComputed("calculate-1", "ab", -1e5 / 3.0, 20.5, ""),
    StructureComputed("calculate-2", "cd", None, None, "the SCF does not converge"),
    TaskFailed("calculate-3", "the worker died"),
    StopRequested(),
    Resumed(80, 2, 4),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_survives_json(event):
    assert event_from_plain(json.loads(json.dumps(event_to_plain(event)))) == event


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"event": "Nonsense"}, "no event: 'Nonsense'"),
        ({}, "no event: None"),
        ({"event": "TaskFailed", "task": "x"}, "an event TaskFailed with other fields"),
    ],
)
def test_what_is_no_event_is_named(plain, message):
    with pytest.raises(ValueError, match=message):
        event_from_plain(plain)
