"""Ctrl-C, and the end of the parent: what stops a process that others have started or that has started others."""

import collections.abc
import contextlib
import multiprocessing
import multiprocessing.connection
import multiprocessing.resource_tracker
import os
import signal
import sys
import threading
import typing

REPEAT_SECONDS = 0.05
"""After which a Ctrl-C that Python has dropped is repeated."""


@contextlib.contextmanager
def hold_ctrl_c() -> collections.abc.Iterator[None]:
    """Puts Ctrl-C off until the end of the block, and for good for processes started in it: their parent stops them.

    A terminal sends Ctrl-C to all of them. One that is still loading its libraries could do no more than complain.
    """
    multiprocessing.resource_tracker.ensure_running()  # now: its start would end the block
    heard: list[int] = []
    is_main = threading.current_thread() is threading.main_thread()  # no other may set handlers
    handler = signal.signal(signal.SIGINT, lambda number, _: heard.append(number)) if is_main else None
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # children inherit it, and no handlers
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if is_main:
            signal.signal(signal.SIGINT, handler)
        if heard:
            signal.raise_signal(signal.SIGINT)


def end_with_parent() -> None:
    """Lets this process, started by ``multiprocessing``, end as soon as its parent does, even if that was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def kill_workers(others: collections.abc.Collection[multiprocessing.process.BaseProcess] = ()) -> None:
    """Kills the processes that this one has started by ``multiprocessing``, but for ``others``."""
    for process in multiprocessing.active_children():
        if process not in others:
            process.kill()


def repeat_lost_ctrl_c() -> None:
    """From now on, a Ctrl-C that Python drops in a destructor or the callback of a weak reference comes once more."""
    sys.unraisablehook = _repeat


def _repeat(unraisable: typing.Any) -> None:
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        timer = threading.Timer(REPEAT_SECONDS, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
        timer.daemon = True
        timer.start()
    else:
        sys.__unraisablehook__(unraisable)
