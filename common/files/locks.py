"""Locks: one process at a time works on what is locked. The system opens the lock of a process that was killed."""

import collections.abc
import contextlib
import errno
import os
import pathlib
import socket
import time

from common.files.atomic import name_full_disk

try:
    import fcntl
except ImportError:  # there is no such module on Windows
    fcntl = None  # type: ignore[assignment]

UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL)
"""What the system says where a file system, of a cluster for example, has no locks."""


WAIT_SECONDS = 0.2
"""Between two looks at a lock that another process holds."""


class LockedError(RuntimeError):
    """Another process holds the lock."""


@contextlib.contextmanager
def hold_lock(path: str | os.PathLike) -> collections.abc.Iterator[None]:
    """Holds a lock during the block; the file at ``path`` stands for it and is removed in the end.

    What a killed process leaves behind is no lock any more: the system gives up the lock (``flock``) with the process.
    Where a file system has no locks there are none: the block is run all the same.

    Args:
        path: of a file that nobody else needs, in a folder that is there.

    Raises:
        LockedError: another process holds it; the message says which one.
        OSError: the file cannot be made.
    """
    path = pathlib.Path(path)
    descriptor = _lock(path)
    try:
        with name_full_disk(path):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        path.unlink(missing_ok=True)  # before the lock is given up: nobody takes one that is about to vanish
        os.close(descriptor)


@contextlib.contextmanager
def wait_for_lock(path: str | os.PathLike) -> collections.abc.Iterator[None]:
    """As :func:`hold_lock`, but waits, and says so, until the process before has given it up."""
    with contextlib.ExitStack() as stack:
        is_told = False
        while True:
            try:
                stack.enter_context(hold_lock(path))
                break
            except LockedError as error:
                if not is_told:
                    print(f"{path}: {error}; waiting until it has ended", flush=True)
                    is_told = True
                time.sleep(WAIT_SECONDS)
        yield


def _lock(path: pathlib.Path) -> int:
    """A descriptor of the file at ``path``, which this process has locked."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            if _is_locked_by_other(descriptor):
                holder = os.read(descriptor, 200).decode(errors="replace") or "another process"
                raise LockedError(f"{holder} is at work")
            if _is_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the process before has removed the file since it was opened: once more


def _is_locked_by_other(descriptor: int) -> bool:
    """Locks the file, unless another process has."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
    return False


def _is_at(descriptor: int, path: pathlib.Path) -> bool:
    """Whether the opened file is the one that stands at ``path``."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    mine = os.fstat(descriptor)
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)
