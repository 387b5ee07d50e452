"""Which processes a program has left behind, for tests that kill it."""

import os
import pathlib
import time


def list_processes(mark: str) -> list[int]:
    """Processes with ``mark`` in the environment that they were started with; not this one, none that are dead."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            state = (path / "stat").read_text().rpartition(")")[2].split()[0]
            if state != "Z" and mark.encode() in (path / "environ").read_bytes():
                found.append(int(path.name))
        except OSError:  # it has just ended, or is another user's
            continue
    return [pid for pid in found if pid != os.getpid()]


def wait_until_gone(mark: str, seconds: float) -> list[int]:
    """What is left of them after so long at most."""
    end = time.monotonic() + seconds
    while (left := list_processes(mark)) and time.monotonic() < end:
        time.sleep(0.1)
    return left
