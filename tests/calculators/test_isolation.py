"""A calculation that hangs or crashes costs itself and nothing else, and no process outlives its parent."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy
import pytest

from common.calculators.interface import CalculationError, LevelError
from common.calculators.isolation import IsolatedCalculator
from tests.helpers import ROOT

NUMBERS, COORDS = numpy.array([1, 1]), numpy.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.7]])
MOODY = "function:tests.calculators.made_up:moody"
LIMIT = 1.0  # [s]


@pytest.fixture(scope="module")
def moody():
    with IsolatedCalculator(MOODY, LIMIT) as calculator:
        yield calculator


def is_running(pid: int) -> bool:
    """False for a process that is gone, or dead and not yet waited for by whoever inherited it."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for_end(pid: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while is_running(pid) and time.monotonic() < end:
        time.sleep(0.05)
    return not is_running(pid)


def test_the_numbers_are_the_same(moody):
    energy, forces = moody(NUMBERS, COORDS, 0)
    assert energy == 0.5 * 3.0 * float((COORDS**2).sum())
    numpy.testing.assert_array_equal(forces, -3.0 * COORDS)
    pid = moody.pid
    moody(NUMBERS, COORDS, 0)
    assert moody.pid == pid


@pytest.mark.parametrize(
    ("charge", "reason"), [(1, "the SCF does not converge"), (2, "ZeroDivisionError: a bug"), (3, "the energy is nan")]
)
def test_failures_come_through_and_the_process_stays(moody, charge, reason):
    moody(NUMBERS, COORDS, 0)
    pid = moody.pid
    with pytest.raises(CalculationError, match=reason):
        moody(NUMBERS, COORDS, charge)
    assert moody.pid == pid


def test_one_that_hangs_is_stopped_and_the_next_works(moody):
    moody(NUMBERS, COORDS, 0)
    pid, start = moody.pid, time.monotonic()
    with pytest.raises(CalculationError, match="not finished after the time limit of 1 s"):
        moody(NUMBERS, COORDS, 6)
    assert LIMIT <= time.monotonic() - start < LIMIT + 5.0
    assert not is_running(pid)
    assert moody(NUMBERS, COORDS, 0).energy > 0.0


def test_one_that_crashes_is_named_and_the_next_works(moody):
    with pytest.raises(CalculationError, match=r"died \(signal 9"):
        moody(NUMBERS, COORDS, 7)
    assert moody(NUMBERS, COORDS, 0).energy > 0.0


def test_what_a_program_prints_does_not_reach_standard_output(moody, capfd):
    moody(NUMBERS, COORDS, 8)
    assert capfd.readouterr().out == ""


def test_closing_ends_the_process():
    with IsolatedCalculator(MOODY) as calculator:
        calculator(NUMBERS, COORDS, 0)
        pid = calculator.pid
        assert is_running(pid)
    assert calculator.pid is None
    assert not is_running(pid)


def test_a_level_that_is_not_there_is_no_failure_of_a_calculation():
    with IsolatedCalculator("gfn9-xtb") as calculator, pytest.raises(LevelError, match="'gfn9-xtb' is not known"):
        calculator(NUMBERS, COORDS, 0)


@pytest.mark.parametrize("in_thread", [False, True], ids=["main thread", "other thread"])
def test_the_process_ends_with_a_parent_that_is_killed_in_the_midst_of_a_calculation(in_thread):
    code = f"""
import threading, numpy
from common.calculators.isolation import IsolatedCalculator
calculator = IsolatedCalculator({MOODY!r})
calculator(numpy.array([1]), numpy.zeros((1, 3)), 0)
print(calculator.pid, flush=True)
calculator(numpy.array([1]), numpy.zeros((1, 3)), 6)
"""
    if in_thread:
        body = "\n".join("    " + line for line in code.strip().splitlines())
        code = f"def work():\n{body}\nimport threading\nthreading.Thread(target=work).start()\n"
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    time.sleep(0.2)  # for the request to arrive
    assert is_running(pid)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert wait_for_end(pid, 5.0)
