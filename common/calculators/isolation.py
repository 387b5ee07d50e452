"""A level of theory in a process of its own: one that hangs or crashes costs its own calculation and no other.

The child is a fresh interpreter that reads requests from one pipe and answers on another. It ends when its parent does,
even where that was killed: the end of the pipe says so. What quantum programs print goes to its standard error.
"""

import ctypes
import multiprocessing.connection
import os
import pathlib
import signal
import subprocess
import sys
import threading
import types

import numpy

from common.calculators.calculation import Calculation, calculate
from common.calculators.interface import CalculationError, EnergyForces, LevelError

ROOT = pathlib.Path(__file__).resolve().parents[2]
"""From where the child imports this package."""

START_SECONDS = 120.0
"""Within which the child has loaded its libraries, on a busy machine too."""

PR_SET_PDEATHSIG = 1
"""Of linux/prctl.h."""


class IsolatedCalculator:
    """A :class:`common.calculators.interface.Calculator` that runs another in a child process, with a time limit.

    The child is started by the first calculation, serves all that follow, and is replaced after it died.
    """

    def __init__(self, level: str, time_limit: float | None = None):
        """Takes the level's name (see :mod:`common.calculators.registry`) and a limit [s] for each calculation."""
        self._level = level
        self._time_limit = time_limit
        self._child: _Child | None = None

    def __enter__(self) -> "IsolatedCalculator":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Of the child; None where there is none."""
        return None if self._child is None else self._child.process.pid

    def __call__(self, numbers: numpy.ndarray, coords: numpy.ndarray, charge: int) -> EnergyForces:
        """The energy and forces of one geometry.

        Raises:
            CalculationError: the level fails, does not end within the time limit, or its process dies.
            LevelError: the process cannot be started, or not make the level.
        """
        if self._child is None:
            self._child = _Child(self._level)
        try:
            self._child.requests.send((numbers, coords, charge))
            answers = self._child.answers
            answer: Calculation | None = answers.recv() if answers.poll(self._time_limit) else None
        except (EOFError, OSError):
            returncode = self._end()
            cause = f"signal {-returncode}" if returncode < 0 else f"exit status {returncode}"
            raise CalculationError(f"the process of the calculation died ({cause})") from None
        except BaseException:  # an interrupt in the middle leaves an answer in the pipe that nobody waits for
            self._end()
            raise
        if answer is None:
            self._end()
            raise CalculationError(f"not finished after the time limit of {self._time_limit:g} s")
        if answer.energy is None or answer.forces is None:
            raise CalculationError(answer.reason)
        return EnergyForces(answer.energy, answer.forces)

    def close(self) -> None:
        """Ends the child."""
        if self._child is not None:
            self._end()

    def _end(self) -> int:
        assert self._child is not None
        child, self._child = self._child, None
        return child.end()


class _Child:
    """The process, and the two pipes to it."""

    def __init__(self, level: str):
        their_requests, our_requests = os.pipe()
        our_answers, their_answers = os.pipe()
        # the kernel's notice of a parent's death means that of the thread that started the child
        parent = os.getpid() if threading.current_thread() is threading.main_thread() else 0
        numbers = [str(number) for number in (their_requests, their_answers, parent)]
        command = [sys.executable, "-m", "common.calculators.isolation", level, *numbers]
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        try:
            self.process = subprocess.Popen(
                command,
                pass_fds=(their_requests, their_answers),
                env={**os.environ, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C of the terminal is for the campaign, which decides what becomes of it
            )
        except OSError as error:
            os.close(our_requests)
            os.close(our_answers)
            raise LevelError(f"{level}: the process of the calculations cannot be started ({error})") from error
        finally:
            os.close(their_requests)
            os.close(their_answers)
        self.requests = multiprocessing.connection.Connection(our_requests, readable=False)
        self.answers = multiprocessing.connection.Connection(our_answers, writable=False)
        try:
            if not self.answers.poll(START_SECONDS):
                raise LevelError(f"{level}: the process of the calculations did not start in {START_SECONDS:.0f} s")
            refusal = self.answers.recv()
        except EOFError:
            refusal = "the process of the calculations ended as it started; its last lines are above"
        except BaseException:
            self.end()
            raise
        if refusal:
            self.end()
            raise LevelError(refusal)

    def end(self) -> int:
        self.process.kill()
        self.requests.close()
        self.answers.close()
        return self.process.wait()


def serve(level: str, requests_fd: int, answers_fd: int, parent: int) -> None:
    """What the child does: answers requests until there are no more; ``parent`` is whose main thread started it, or 0.

    Two things end it with its parent: the kernel, on Linux, even where a program hangs and lets no other thread run;
    and the end of the pipe.
    """
    from common.calculators.registry import make_calculator

    if parent and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            return

    requests = multiprocessing.connection.Connection(requests_fd, writable=False)
    answers = multiprocessing.connection.Connection(answers_fd, readable=False)
    os.dup2(2, 1)  # Fortran's and C's prints must not be lost in the midst of somebody's table
    try:
        calculator = make_calculator(level)
    except (ValueError, OSError) as error:
        answers.send(str(error))
        return
    answers.send("")
    inbox: list[tuple[numpy.ndarray, numpy.ndarray, int]] = []
    arrived = threading.Semaphore(0)
    threading.Thread(target=_listen, args=(requests, inbox, arrived), daemon=True).start()
    while True:
        arrived.acquire()
        answers.send(calculate(calculator, *inbox.pop()))


def _listen(
    requests: multiprocessing.connection.Connection,
    inbox: list[tuple[numpy.ndarray, numpy.ndarray, int]],
    arrived: threading.Semaphore,
) -> None:
    """Takes requests in a thread, so that the end of the parent is heard in the midst of a calculation too."""
    while True:
        try:
            inbox.append(requests.recv())
        except (EOFError, OSError):
            os._exit(0)
        arrived.release()


if __name__ == "__main__":
    serve(sys.argv[1], *(int(number) for number in sys.argv[2:]))
