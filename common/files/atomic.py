"""Files that are whole or not there: write beside, then rename."""

import collections.abc
import contextlib
import ctypes
import errno
import glob
import os
import pathlib
import shutil
import socket
import sqlite3

AT_FDCWD = -100
RENAME_EXCHANGE = 2
"""Of linux/fcntl.h and linux/fs.h."""

_HOST = socket.gethostname().partition(".")[0]

FULL_DISK = (errno.ENOSPC, errno.EDQUOT)
"""What the system says where there is no space left, on the disk or for this user."""


@contextlib.contextmanager
def replace_atomically(path: str | os.PathLike) -> collections.abc.Iterator[pathlib.Path]:
    """A name beside ``path`` to write a file to; it takes ``path``'s place when the block ends without an error.

    The parent folder is made. On an error the half-written file is removed and what stood at ``path`` stays. What an
    earlier process wrote beside ``path`` when it was killed is removed, too.

    Raises:
        OSError: the disk is full, whatever a library made of that; it names ``path``.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent, path.name)
    beside = get_beside(path)
    try:
        with name_full_disk(path):
            yield beside
            with beside.open("rb") as file:
                os.fsync(file.fileno())
            beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextlib.contextmanager
def name_full_disk(path: str | os.PathLike) -> collections.abc.Iterator[None]:
    """In this block, the error of a full disk is an ``OSError`` that names ``path``, whatever a library made of it."""
    try:
        yield
    except (OSError, RuntimeError, sqlite3.Error) as error:
        number = _find_full_disk(error)
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def get_beside(path: pathlib.Path) -> pathlib.Path:
    """The hidden name beside ``path`` under which this process of this machine writes what is to stand there."""
    return path.with_name(f".{path.name}.{_HOST}-{os.getpid()}.part")


def remove_leftovers(folder: pathlib.Path, name: str | None = None) -> None:
    """Removes the files and folders that processes of this machine wrote to, see ``get_beside``, when they were killed.

    Those of other machines, which may share the disk, stay: they may be at work.

    Args:
        folder: where they lie.
        name: what they were to become; None for any.
    """
    for part in folder.glob(f".{'*' if name is None else glob.escape(name)}.*.part"):
        host, _, pid = part.suffixes[-2].removeprefix(".").rpartition("-")
        if host != _HOST or not pid.isdecimal() or _is_running(int(pid)):
            continue
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _find_full_disk(error: BaseException | None) -> int | None:
    """The error number of a full disk among those that led to this one: torch and SQLite have errors of their own."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL_DISK:
            return error.errno
        if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            return errno.ENOSPC
        error = error.__cause__ or error.__context__
    return None


def replace_folder(new: str | os.PathLike, path: str | os.PathLike) -> None:
    """Moves the finished folder ``new`` to ``path``, in place of what stands there.

    Where the system can exchange two names in one step, ``path`` is at every moment either the old folder or the new
    one. Elsewhere there is a moment in which it is neither; :func:`recover_folder` undoes that of a run that was killed
    just then. Where ``path`` is a link, to another disk for example, what it leads to is replaced.
    """
    new, path = pathlib.Path(new), follow_links(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    recover_folder(path)
    old = _get_old(path)
    shutil.rmtree(old, ignore_errors=True)
    if not path.exists():
        new.rename(path)
    elif _exchange(new, path):
        shutil.rmtree(new)
    else:
        path.rename(old)
        new.rename(path)
        shutil.rmtree(old, ignore_errors=True)


def recover_folder(path: str | os.PathLike) -> None:
    """Puts back the old folder where a run was killed after it had moved that aside, before the new one came."""
    path = follow_links(path)
    if not path.exists() and _get_old(path).exists():
        _get_old(path).rename(path)


def follow_links(path: str | os.PathLike) -> pathlib.Path:
    """The place that a path leads to, whether there is anything or not; a circle of links is no error here."""
    return pathlib.Path(os.path.realpath(path))


def _get_old(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(f".{path.name}.old")


def _exchange(first: pathlib.Path, second: pathlib.Path) -> bool:
    """Exchanges two names in one step; False where the C library, the kernel or the file system cannot.

    Linux only: ``renameat2`` with ``RENAME_EXCHANGE``, see its manual page.
    """
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    names = (os.fsencode(first.absolute()), os.fsencode(second.absolute()))
    if renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], ctypes.c_uint(RENAME_EXCHANGE)) == 0:
        return True
    if ctypes.get_errno() in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(first), None, str(second))
