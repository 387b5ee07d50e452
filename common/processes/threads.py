"""How many processors there are, and how many threads the numerical libraries start."""

import collections.abc
import contextlib
import os

import threadpoolctl

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""What the numerical libraries read when they are loaded."""


def count_available_cpus() -> int:
    """How many processors this process may use; where the system does not say, how many the machine has."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def give_one_thread() -> collections.abc.Iterator[None]:
    """Processes started in this block have one thread each: their numerical libraries read it when they are loaded."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def use_one_thread() -> None:
    """Limits the numerical libraries of this process to one thread: stages use processes instead.

    Threads that outnumber the free processors wait for each other, which can cost a factor of ten.
    """
    threadpoolctl.threadpool_limits(limits=1)
