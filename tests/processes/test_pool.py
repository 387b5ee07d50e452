"""Processes: order, progress, errors, dead workers, Ctrl-C."""

import collections.abc
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from common.processes.pool import format_peak_memory, hold_ctrl_c, measure_peak_memory, run_in_processes
from tests.helpers import ROOT


def square(x: int) -> int:
    if x < 0:
        raise ValueError(f"{x} is negative")
    return x * x


def die(x: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return x


def take_memory(n_megabytes: int) -> float:
    bytearray(n_megabytes * 2**20)
    return measure_peak_memory()


def read_resident_memory() -> float:
    """[MB], now."""
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


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
        list(run_in_processes(square, [1, 2], n_workers, [1] * 2, "squares", "item", initializer=fail_to_start))


def test_a_dead_worker_ends_the_run():
    with pytest.raises(RuntimeError, match="a worker process died"):
        list(run_in_processes(die, [1, 2, 3], 2, [1] * 3, "deaths", "item"))


def test_peak_memory_is_said_in_megabytes():
    assert int(format_peak_memory().split()[0]) > 10


def test_peak_memory_is_each_process_own(monkeypatch):
    """A parent that was large once hands nothing down to its workers, which are what they report of themselves."""
    monkeypatch.setattr("common.processes.pool._workers_peak", 0.0)
    own = measure_peak_memory() + 300.0
    bytearray(int((own - read_resident_memory() + 50.0) * 2**20))
    [worker] = run_in_processes(take_memory, [80], 2, [1], "memory", "item")
    assert 80.0 < worker < 0.7 * own < measure_peak_memory()
    assert float(format_peak_memory().split()[-2]) == pytest.approx(worker, abs=5.0)


STAGE = """
import os, pathlib, sys, time
from common.processes.pool import run_in_processes, run_stage

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


IMPATIENT = """
import atexit, signal
from common.processes.pool import run_stage

def main():
    atexit.register(signal.raise_signal, signal.SIGINT)
    signal.raise_signal(signal.SIGINT)

run_stage(main)
"""


def test_a_second_ctrl_c_adds_no_noise():
    root = ROOT
    done = subprocess.run([sys.executable, "-c", IMPATIENT], capture_output=True, text=True, cwd=root)
    assert done.returncode == 130
    assert done.stderr == "\nstopped by Ctrl-C; all workers have ended, run the same command to go on\n"


LOST = """
import signal, time
from common.processes.pool import run_stage

class Last:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

def main():
    Last()
    time.sleep(60)

run_stage(main)
"""


def test_ctrl_c_in_a_destructor_is_not_lost():
    """Python drops errors there, Ctrl-C among them."""
    root = ROOT
    done = subprocess.run([sys.executable, "-c", LOST], capture_output=True, text=True, cwd=root, timeout=30)
    assert done.returncode == 130
    assert done.stderr == "\nstopped by Ctrl-C; all workers have ended, run the same command to go on\n"


def test_workers_end_with_a_parent_that_was_killed(tmp_path):
    process, workers = start_stage(tmp_path)
    process.kill()
    process.communicate(timeout=30)
    wait_until(lambda: not any(map(is_running, workers)), seconds=20.0)


@pytest.mark.parametrize("by_other_thread", [False, True])
def test_ctrl_c_is_put_off_until_workers_have_started(by_other_thread):
    """A signal to the process can be taken by any of its threads, blocked or not in the one that starts workers."""
    go, reached_the_end = threading.Event(), False
    other = threading.Thread(target=lambda: (go.wait(), signal.raise_signal(signal.SIGINT)))
    if by_other_thread:
        other.start()
    with pytest.raises(KeyboardInterrupt), hold_ctrl_c():
        if by_other_thread:
            go.set()
            other.join()
        else:
            signal.raise_signal(signal.SIGINT)
        reached_the_end = True
    assert reached_the_end
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
