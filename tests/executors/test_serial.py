"""One after the other, in this process."""

import concurrent.futures
import os

import pytest

from common.executors.interface import Method
from common.executors.serial import SerialExecutor
from tests.executors.methods import METHODS


def test_first_asked_first_done_and_not_before_somebody_waits():
    order = []
    with SerialExecutor({"note": Method(order.append, "quantum")}) as executor:
        futures = [executor.submit("note", i) for i in range(3)]
        assert order == []
        for k in range(3):
            assert executor.wait(1.0) is futures[k]
            assert order == list(range(k + 1))
        assert executor.wait(0.01) is None


def test_it_is_this_process():
    with SerialExecutor(METHODS) as executor:
        executor.submit("pid", 0.0)
        assert executor.wait(1.0).result() == os.getpid()


def test_an_error_comes_with_the_future_and_the_next_task_runs():
    with SerialExecutor(METHODS) as executor:
        executor.submit("fail", None)
        executor.submit("double", 4)
        assert isinstance(executor.wait(1.0).exception(), ZeroDivisionError)
        assert executor.wait(1.0).result() == 8


def test_what_is_cancelled_is_not_run():
    order = []
    with SerialExecutor({"note": Method(order.append, "quantum")}) as executor:
        first, second = executor.submit("note", 1), executor.submit("note", 2)
        executor.cancel(first)
        assert executor.wait(1.0) is first
        with pytest.raises(concurrent.futures.CancelledError):
            first.result()
        assert executor.wait(1.0) is second
    assert order == [2]


def test_ctrl_c_is_no_result():
    def interrupt(payload):
        raise KeyboardInterrupt

    with SerialExecutor({"interrupt": Method(interrupt, "quantum")}) as executor:
        executor.submit("interrupt", None)
        with pytest.raises(KeyboardInterrupt):
            executor.wait(1.0)


def test_an_unknown_method_is_a_bug():
    with SerialExecutor(METHODS) as executor, pytest.raises(KeyError):
        executor.submit("nothing", 1)
