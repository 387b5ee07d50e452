"""Tasks in processes of this machine, by Pebble: a worker that dies costs its own task and no other."""

import collections.abc
import concurrent.futures
import multiprocessing
import multiprocessing.forkserver
import typing

import pebble

from common.executors.interface import Executor, Method
from common.processes.interrupts import end_with_parent, hold_ctrl_c
from common.processes.threads import give_one_thread, use_one_thread


class LocalExecutor(Executor):
    """Two pools of processes, one for each label; nothing else to start.

    Workers come from a server process that has loaded the script's modules once, have one thread each, take no notice
    of Ctrl-C, which is for the campaign to decide upon, and end with it even where it was killed.
    """

    def __init__(self, methods: collections.abc.Mapping[str, Method], n_workers: collections.abc.Mapping[str, int]):
        """Starts the pools.

        Args:
            methods: by name.
            n_workers: processes by label.
        """
        super().__init__(methods)
        context = multiprocessing.get_context("forkserver")
        with hold_ctrl_c(), give_one_thread():  # for the server and all that come from it
            multiprocessing.forkserver.ensure_running()
        self._pools = {
            label: pebble.ProcessPool(max_workers=n, initializer=_start_worker, context=context)
            for label, n in n_workers.items()
        }

    def _submit(self, method: Method, payload: typing.Any) -> concurrent.futures.Future:
        return self._pools[method.label].schedule(method.function, args=(payload,), timeout=method.time_limit)

    def close(self) -> None:
        for pool in self._pools.values():
            pool.stop()
        for pool in self._pools.values():
            pool.join()


def _start_worker() -> None:
    end_with_parent()
    use_one_thread()
