"""The account of a task's time."""

import os
import pickle
import time

import pytest

from common.tasks.timing import Call, run_timed


def test_a_result_with_its_time_and_worker():
    before = time.time()
    timed = run_timed(Call(abs, -3))
    assert timed.result == 3
    assert before <= timed.started <= timed.ended <= time.time()
    assert timed.worker.endswith(f":{os.getpid()}")


def test_an_error_is_the_callers():
    with pytest.raises(TypeError):
        run_timed(Call(abs, "x"))


def test_a_call_can_be_sent():
    assert pickle.loads(pickle.dumps(Call(abs, -3))) == Call(abs, -3)
