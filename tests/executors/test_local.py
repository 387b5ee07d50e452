"""Processes of this machine: what dies or hangs costs itself alone, and nothing is left behind."""

import os
import signal
import subprocess
import sys

import pytest

from common.executors.local import LocalExecutor
from tests.executors.methods import METHODS
from tests.helpers import ROOT
from tests.processes_left import list_processes, wait_until_gone


@pytest.fixture(scope="module")
def executor():
    with LocalExecutor(METHODS, {"quantum": 2, "learning": 1}) as executor:
        yield executor


def test_tasks_run_elsewhere_and_at_the_same_time(executor):
    futures = [executor.submit("pid", 0.3) for _ in range(2)]
    pids = {executor.wait(30.0).result() for _ in futures}
    assert len(pids) == 2
    assert os.getpid() not in pids


def test_an_error_comes_with_the_future(executor):
    executor.submit("fail", None)
    assert isinstance(executor.wait(30.0).exception(), ZeroDivisionError)


def test_a_worker_that_is_killed_costs_its_own_task_alone(executor):
    neighbour, victim = executor.submit("sleep", 0.5), executor.submit("kill", None)
    first, second = executor.wait(30.0), executor.wait(30.0)
    assert (first, second) == (victim, neighbour)
    assert victim.exception() is not None
    assert neighbour.result() == 0.5
    executor.submit("double", 4)
    assert executor.wait(30.0).result() == 8  # the worker has been replaced


def test_a_task_that_takes_too_long_is_stopped(executor):
    executor.submit("limited", 60.0)
    assert isinstance(executor.wait(30.0).exception(), TimeoutError)


def test_what_is_cancelled_ends_even_if_it_is_running(executor):
    future = executor.submit("sleep", 60.0)
    assert executor.wait(0.3) is None
    executor.cancel(future)
    assert executor.wait(30.0) is future
    assert future.cancelled()


def start(tmp_path, mark):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MARK": mark}
    command = [sys.executable, "-m", "tests.executors.program", "local", str(tmp_path), "60"]
    program = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert program.stdout.readline() == "at work\n"
    assert len(list_processes(mark)) >= 4
    return program


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_no_process_is_left(tmp_path, number):
    mark = f"executor-test-{os.getpid()}-{number}"
    program = start(tmp_path, mark)
    if number == signal.SIGINT:
        os.killpg(program.pid, number)  # as a terminal does: to all
    else:
        program.send_signal(number)
    assert wait_until_gone(mark, 20.0) == []
    _, errors = program.communicate(timeout=20.0)
    if number == signal.SIGINT:
        assert errors.count("Traceback") == 1  # that of the program, none of a worker
        assert program.returncode != 0
