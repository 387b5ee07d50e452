"""Ends processes whose owner was killed and could not do so itself.

A process of its own that listens on a pipe. What comes through the pipe are the numbers of the processes to end; the
end of the pipe without a word of farewell means that the owner is gone.
"""

import collections.abc
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

FAREWELL = "farewell"

PATIENCE = 2.0
"""[s] between the request to end and the end."""


class Watchdog:
    """The owner's side."""

    def __init__(self) -> None:
        """Starts the process."""
        path = str(pathlib.Path(__file__).resolve().parents[2])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "common.executors.watchdog"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([path, os.environ.get("PYTHONPATH", "")])},
            start_new_session=True,  # a Ctrl-C is not for it
            text=True,
        )

    def guard(self, pid: int) -> None:
        """Has this process end, should the owner be gone."""
        self._write(str(pid))

    def close(self) -> None:
        """The owner has ended everything itself."""
        self._write(FAREWELL)
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it was killed: nothing more to be done
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()


def watch(lines: collections.abc.Iterable[str]) -> None:
    """What the process does: reads until the end of the pipe, then ends what it was told of."""
    started: dict[int, str] = {}
    for line in lines:
        if line.strip() == FAREWELL:
            return
        started[int(line)] = _read_start(int(line))
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid, start in started.items():
            if start and _read_start(pid) == start:  # and no other that was given its number since
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
        time.sleep(PATIENCE)


def _read_start(pid: int) -> str:
    """When a process started, in ticks of the system; "" where there is none."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


if __name__ == "__main__":
    watch(sys.stdin)
