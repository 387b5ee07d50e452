"""Processors and threads."""

import os

import numpy
import pytest
import threadpoolctl

from common.processes.threads import THREAD_VARIABLES, count_available_cpus, give_one_thread, use_one_thread


def test_processors_are_those_that_this_process_may_use():
    assert count_available_cpus() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(("counted", "expected"), [(6, 6), (None, 1)])
def test_processors_are_counted_where_the_system_does_not_say_which_may_be_used(counted, expected, monkeypatch):
    monkeypatch.delattr("os.sched_getaffinity")
    monkeypatch.setattr("os.cpu_count", lambda: counted)
    assert count_available_cpus() == expected


def test_the_environment_is_as_before_after_the_block(monkeypatch):
    first, second, *_ = THREAD_VARIABLES
    monkeypatch.setenv(first, "5")
    monkeypatch.delenv(second, raising=False)
    with pytest.raises(ValueError, match="stop"), give_one_thread():
        assert all(os.environ[name] == "1" for name in THREAD_VARIABLES)
        raise ValueError("stop")
    assert os.environ[first] == "5"
    assert second not in os.environ


def test_one_thread_is_used():
    numpy.eye(2) @ numpy.eye(2)
    use_one_thread()
    assert all(library["num_threads"] == 1 for library in threadpoolctl.threadpool_info())
