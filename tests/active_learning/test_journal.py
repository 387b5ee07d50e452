"""The journal: whole lines, whatever happens."""

import errno
import json
import os

import pytest

from common.active_learning.journal import Journal, TaskTimes, extract_events, read_records
from common.steering.records import Cancel, MemberTrained, StopRequested, StructureComputed

EVENTS = [
    MemberTrained("train-1-0-1", 1.25),
    StructureComputed("calculate-1", "ab", -1e5 / 3.0, 20.0, ""),
    StopRequested(),
]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.write_note("beginning", seed=3)
        journal.write_event(EVENTS[0], TaskTimes(1.0, 2.0, "here:1"))
        journal.write_commands([Cancel("sample-1"), Cancel("sample-2")])
        journal.write_event(EVENTS[1])
        journal.write_event(EVENTS[2])
    return path


def test_events_come_back_without_their_times(path):
    records = read_records(path)
    assert extract_events(records) == EVENTS
    assert [record.get("worker") for record in records if "event" in record] == ["here:1", None, None]
    assert [record["task"] for record in records if "command" in record] == ["sample-1", "sample-2"]


def test_it_goes_on_at_its_end(path):
    with Journal(path) as journal:
        journal.write_event(StopRequested())
    assert extract_events(read_records(path)) == [*EVENTS, StopRequested()]


@pytest.mark.parametrize("n_bytes", [1, 5, 40])
def test_a_line_that_was_cut_by_a_kill_is_cut_off(path, n_bytes):
    content = path.read_bytes()
    path.write_bytes(content[:-n_bytes])
    assert extract_events(read_records(path)) == EVENTS[:-1]
    with Journal(path) as journal:
        journal.write_event(EVENTS[2])
    assert extract_events(read_records(path)) == EVENTS


def test_a_damaged_line_is_named(path):
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], "{not json", *lines[3:]]) + "\n")
    with pytest.raises(ValueError, match=r"journal\.jsonl, line 3: damaged"):
        read_records(path)


def test_no_journal(tmp_path):
    with pytest.raises(FileNotFoundError, match="this is no campaign"):
        read_records(tmp_path / "journal.jsonl")


def test_a_full_disk_leaves_the_journal_as_it_was(path, monkeypatch):
    before = path.read_bytes()
    pwrite = os.pwrite

    def fill(descriptor, content, offset):
        pwrite(descriptor, content[:10], offset)  # some of it fits
        raise OSError(errno.ENOSPC, "No space left on device")

    with Journal(path) as journal:
        monkeypatch.setattr(os, "pwrite", fill)
        with pytest.raises(OSError, match="No space left") as caught:
            journal.write_event(EVENTS[0])
        assert caught.value.filename == str(path)
        monkeypatch.undo()
        assert path.read_bytes() == before
        journal.write_event(EVENTS[0])
    assert extract_events(read_records(path)) == [*EVENTS, EVENTS[0]]


def test_a_record_that_is_no_event_of_this_version_is_refused():
    with pytest.raises(ValueError, match="no event: 'Future'"):
        extract_events([{"event": "Future", "task": "x", "time": 1.0}])
    assert json.dumps(EVENTS[0].task)
