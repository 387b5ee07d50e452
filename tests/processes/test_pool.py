"""The pool: order, errors, dead workers, what is made once in each process."""

import collections.abc
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from common.processes.pool import Prepared, run_in_processes
from tests.helpers import ROOT


def square(x: int) -> int:
    if x < 0:
        raise ValueError(f"{x} is negative")
    return x * x


class Counter:
    """Counts its calls; a lock, which cannot be sent, stands for what a process has to keep for itself."""

    def __init__(self, start: int):
        self.n_calls, self.lock = start, threading.Lock()

    def __call__(self, _: int) -> tuple[int, int]:
        self.n_calls += 1
        return os.getpid(), self.n_calls


def die(x: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return x


def fail_to_start() -> None:
    raise ValueError("the model is missing")


@pytest.mark.parametrize("n_workers", [1, 2])
def test_results_come_in_order(n_workers):
    items = (i for i in range(20))
    assert list(run_in_processes(square, items, n_workers, [1] * 20, "squares", "item")) == [i * i for i in range(20)]


@pytest.mark.parametrize("n_workers", [1, 2])
def test_an_error_arrives_as_it_was_raised(n_workers):
    with pytest.raises(ValueError, match="-1 is negative"):
        list(run_in_processes(square, [1, -1, 2], n_workers, [1] * 3, "squares", "item"))


@pytest.mark.parametrize("n_workers", [1, 2])
def test_an_error_in_the_preparation_arrives_as_it_was_raised(n_workers):
    with pytest.raises(ValueError, match="the model is missing"):
        list(run_in_processes(Prepared(fail_to_start), [1, 2], n_workers, [1] * 2, "squares", "item"))


@pytest.mark.parametrize("n_workers", [1, 2])
def test_a_function_is_made_once_in_each_process(n_workers):
    prepared = Prepared(Counter, (100,))
    counts: dict[int, list[int]] = {}
    for pid, n_calls in run_in_processes(prepared, range(20), n_workers, [1] * 20, "counts", "item"):
        counts.setdefault(pid, []).append(n_calls)
    assert len(counts) <= n_workers
    assert (os.getpid() in counts) == (n_workers == 1)
    for own in counts.values():
        assert sorted(own) == [100 + i for i in range(1, len(own) + 1)]


def test_workers_have_one_thread_and_this_process_keeps_its_own(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    [found] = run_in_processes(os.getenv, ["OMP_NUM_THREADS"], 2, [1], "threads", "item")
    assert found == "1"
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_items_are_taken_as_they_are_needed():
    """Memory does not grow with the number of items."""
    taken = []
    items = (taken.append(i) or i for i in range(1000))
    results = run_in_processes(square, items, 2, [1] * 1000, "squares", "item")
    assert next(results) == 0
    assert len(taken) <= 4 * 2 + 1
    results.close()


def test_a_dead_worker_ends_the_run():
    with pytest.raises(RuntimeError, match="a worker process died"):
        list(run_in_processes(die, [1, 2, 3], 2, [1] * 3, "deaths", "item"))


STAGE = """
import os, pathlib, sys, time
from common.processes.pool import run_in_processes
from common.processes.stage import run_stage

def wait(path):
    (pathlib.Path(path) / str(os.getpid())).touch()
    time.sleep(60)

def main():
    list(run_in_processes(wait, [sys.argv[1]] * 2, 2, [1] * 2, "waiting", "item"))

if __name__ == "__main__":
    run_stage(main)
"""


def start_stage(tmp_path: pathlib.Path) -> tuple[subprocess.Popen, list[int]]:
    """A stage with two workers that wait, and their process ids."""
    (tmp_path / "stage.py").write_text(STAGE)
    pids = tmp_path / "pids"
    pids.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "stage.py"), str(pids)], stderr=subprocess.PIPE, text=True, env=environment
    )
    wait_until(lambda: len(list(pids.iterdir())) == 2)
    return process, [int(path.name) for path in pids.iterdir()]


def wait_until(condition: collections.abc.Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie that merely nobody has asked for."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_ctrl_c_stops_all_workers(tmp_path):
    process, workers = start_stage(tmp_path)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "stopped by Ctrl-C" in errors
    assert not any(map(is_running, workers))


def test_workers_end_with_a_parent_that_was_killed(tmp_path):
    process, workers = start_stage(tmp_path)
    process.kill()
    process.communicate(timeout=30)
    wait_until(lambda: not any(map(is_running, workers)), seconds=20.0)
