"""Methods by name, and what runs them."""

import abc
import collections.abc
import concurrent.futures
import dataclasses
import queue
import types
import typing

LABELS = ("quantum", "learning")
"""The two kinds of work: few long calculations that want no torch, and everything that a network does."""


@dataclasses.dataclass(frozen=True)
class Method:
    """What a task does.

    Attributes:
        function: of one argument; a module's own, since it is sent to the workers by name.
        label: one of ``LABELS``, which says where it runs.
        time_limit: [s] after which its worker is killed, where the executor can do so; None for no limit.
    """

    function: collections.abc.Callable[[typing.Any], typing.Any]
    label: str
    time_limit: float | None = None


class Executor(abc.ABC):
    """Runs tasks; gives each its future, and all that have ended in the order in which they did.

    To be used in a ``with`` block: no process that was started in it is left after it, however it ends.
    """

    def __init__(self, methods: collections.abc.Mapping[str, Method]):
        """Takes the methods by name."""
        self._methods = dict(methods)
        self._done: queue.SimpleQueue[concurrent.futures.Future] = queue.SimpleQueue()

    def __enter__(self) -> "Executor":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.close()

    def submit(self, method: str, payload: typing.Any) -> concurrent.futures.Future:
        """Has a method done to ``payload``, which is sent there by pickle; errors come with the future."""
        future = self._submit(self._methods[method], payload)
        future.add_done_callback(self._done.put)
        return future

    @abc.abstractmethod
    def _submit(self, method: Method, payload: typing.Any) -> concurrent.futures.Future: ...

    def wait(self, timeout: float) -> concurrent.futures.Future | None:
        """The next future that has ended, cancelled ones among them; None where none does within ``timeout`` [s]."""
        try:
            return self._done.get(timeout=timeout)
        except queue.Empty:
            return None

    def cancel(self, future: concurrent.futures.Future) -> None:
        """Nobody wants this result any more; a task that is not yet running will not be run."""
        future.cancel()

    @abc.abstractmethod
    def close(self) -> None:
        """Ends all workers, whatever they are doing."""


def describe_error(error: BaseException) -> str:
    """Why a task gave no result, in a line."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__
