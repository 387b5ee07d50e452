"""Locks: one at a time, none left by the killed, none where a file system has none."""

import errno
import pathlib
import signal
import subprocess
import sys

import pytest

from common.files import locks
from common.files.locks import LockedError, hold_lock, wait_for_lock
from tests.helpers import ROOT

HOLDER = """
import sys, time
from common.files.locks import hold_lock
with hold_lock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process, which holds the lock "x.lock"."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "x.lock")], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_lock_is_held_by_one_and_vanishes(tmp_path):
    path = tmp_path / "x.lock"
    for _ in range(2):
        with hold_lock(path):
            assert path.is_file()
            with pytest.raises(LockedError), hold_lock(path):
                pass
            assert path.is_file()
        assert not path.exists()


def test_an_error_in_the_block_opens_the_lock(tmp_path):
    with pytest.raises(ZeroDivisionError), hold_lock(tmp_path / "x.lock"):
        _ = 1 / 0
    with hold_lock(tmp_path / "x.lock"):
        pass


def test_the_holder_is_named(tmp_path, holder):
    with pytest.raises(LockedError, match=f"process {holder.pid} on .* is at work"), hold_lock(tmp_path / "x.lock"):
        pass


def test_a_killed_process_holds_nothing(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "x.lock").is_file()
    with hold_lock(tmp_path / "x.lock"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_removed_since_it_was_opened_is_no_lock(tmp_path, monkeypatch):
    """The holder before removes its file between our opening and locking it: ours would lock out nobody."""
    path = tmp_path / "x.lock"
    flock, n_calls = locks.fcntl.flock, 0

    def remove_first(descriptor, operation):
        nonlocal n_calls
        n_calls += 1
        if n_calls == 1:
            path.unlink()
        flock(descriptor, operation)

    monkeypatch.setattr(locks.fcntl, "flock", remove_first)
    with hold_lock(path), pytest.raises(LockedError), hold_lock(path):
        pass
    assert n_calls == 3


def test_the_block_runs_where_a_file_system_has_no_locks(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    with hold_lock(tmp_path / "x.lock"):
        assert (tmp_path / "x.lock").is_file()
    monkeypatch.setattr(locks, "fcntl", None)
    with hold_lock(tmp_path / "x.lock"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"), hold_lock(pathlib.Path(tmp_path / "nowhere" / "x.lock")):
        pass


def test_who_waits_gets_the_lock_and_is_told_once(tmp_path, holder, monkeypatch, capsys):
    n_looks = 0

    def look(_):
        nonlocal n_looks
        n_looks += 1
        if n_looks == 3:
            holder.kill()
            holder.wait()

    monkeypatch.setattr(locks.time, "sleep", look)
    with wait_for_lock(tmp_path / "x.lock"):
        assert n_looks >= 3
    assert capsys.readouterr().out.count("waiting until it has ended") == 1
