"""Processes: order, progress, errors, dead workers, Ctrl-C."""

import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from common.workers import format_peak_memory, run_in_processes


def square(x: int) -> int:
    if x < 0:
        raise ValueError(f"{x} is negative")
    return x * x


def die(x: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return x


def fail_to_start() -> None:
    raise ValueError("the model is missing")


@pytest.mark.parametrize("n_workers", [1, 2])
def test_results_come_in_order(n_workers):
    items = (i for i in range(20))
    assert list(run_in_processes(square, items, n_workers, 20, "squares", "item")) == [i * i for i in range(20)]


@pytest.mark.parametrize("n_workers", [1, 2])
def test_an_error_arrives_as_it_was_raised(n_workers):
    with pytest.raises(ValueError, match="-1 is negative"):
        list(run_in_processes(square, [1, -1, 2], n_workers, 3, "squares", "item"))


@pytest.mark.parametrize("n_workers", [1, 2])
def test_an_error_in_the_preparation_arrives_as_it_was_raised(n_workers):
    with pytest.raises(ValueError, match="the model is missing"):
        list(run_in_processes(square, [1, 2], n_workers, 2, "squares", "item", initializer=fail_to_start))


def test_a_dead_worker_ends_the_run():
    with pytest.raises(RuntimeError, match="a worker process died"):
        list(run_in_processes(die, [1, 2, 3], 2, 3, "deaths", "item"))


def test_peak_memory_is_said_in_megabytes():
    assert int(format_peak_memory().split()[0]) > 10


def test_ctrl_c_stops_all_workers(tmp_path):
    script = tmp_path / "stage.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, pathlib, sys, time
            from common.workers import run_in_processes, run_stage

            def wait(path):
                (pathlib.Path(path) / str(os.getpid())).touch()
                time.sleep(60)

            def main():
                list(run_in_processes(wait, [sys.argv[1]] * 2, 2, 2, "waiting", "item"))

            if __name__ == "__main__":
                run_stage(main)
            """
        )
    )
    pids = tmp_path / "pids"
    pids.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, str(script), str(pids)], stderr=subprocess.PIPE, text=True, env=environment
    )
    deadline = time.monotonic() + 60.0
    while len(list(pids.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "stopped by Ctrl-C" in errors
    for path in pids.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.name), 0)
