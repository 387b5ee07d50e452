"""A task with the account of its time: when it ran, and who ran it."""

import collections.abc
import dataclasses
import os
import socket
import time
import typing


@dataclasses.dataclass(frozen=True)
class Call:
    """What is to be done.

    Attributes:
        function: a module's own, of one argument.
        argument: its argument.
    """

    function: collections.abc.Callable[[typing.Any], typing.Any]
    argument: typing.Any


@dataclasses.dataclass(frozen=True)
class Timed:
    """A result, and how it came about.

    Attributes:
        result: what the function gave.
        started, ended: [s] since the epoch, by the worker's clock.
        worker: its machine and process.
    """

    result: typing.Any
    started: float
    ended: float
    worker: str


def run_timed(call: Call) -> Timed:
    """Does what is to be done; an error is the caller's."""
    started = time.time()
    result = call.function(call.argument)
    return Timed(result, started, time.time(), f"{socket.gethostname()}:{os.getpid()}")
