"""Tasks one after the other in this process: first asked, first done. The same to the last bit, each time."""

import collections
import collections.abc
import concurrent.futures
import typing

from common.executors.interface import Executor, Method


class SerialExecutor(Executor):
    """Runs a task when somebody waits for one; time limits are not kept."""

    def __init__(self, methods: collections.abc.Mapping[str, Method]):
        """Takes the methods by name."""
        super().__init__(methods)
        self._waiting: collections.deque[tuple[concurrent.futures.Future, Method, typing.Any]] = collections.deque()

    def _submit(self, method: Method, payload: typing.Any) -> concurrent.futures.Future:
        future: concurrent.futures.Future = concurrent.futures.Future()
        self._waiting.append((future, method, payload))
        return future

    def wait(self, timeout: float) -> concurrent.futures.Future | None:
        while self._waiting and self._done.empty():
            future, method, payload = self._waiting.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(method.function(payload))
            except Exception as error:  # the task's own, for whoever reads its future
                future.set_exception(error)
        return super().wait(timeout if self._waiting or not self._done.empty() else 0.0)

    def close(self) -> None:
        self._waiting.clear()
