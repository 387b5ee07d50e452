"""A program that runs long tasks by an executor, for tests that end it in one way or another."""

import sys

from common.executors.cluster import ClusterExecutor
from common.executors.interface import Executor
from common.executors.local import LocalExecutor
from tests.executors.methods import METHODS


def make_executor(kind: str, folder: str) -> Executor:
    if kind == "local":
        return LocalExecutor(METHODS, {"quantum": 2, "learning": 1})
    return ClusterExecutor(METHODS, "configs/parsl/local.py", folder)


if __name__ == "__main__":
    with make_executor(sys.argv[1], sys.argv[2]) as executor:
        executor.submit("learn", 1)
        executor.submit("double", 1)
        for _ in range(2):
            executor.wait(60.0)
        for _ in range(4):
            executor.submit("sleep", float(sys.argv[3]))
        print("at work", flush=True)
        for _ in range(4):
            executor.wait(600.0)
