"""Files that are whole or not there: write beside, then rename."""

import contextlib
import os
import pathlib
import shutil
import typing


@contextlib.contextmanager
def replace_atomically(path: str | os.PathLike) -> typing.Iterator[pathlib.Path]:
    """A name beside ``path`` to write a file to; it takes ``path``'s place when the block ends without an error.

    The parent folder is made. On an error the half-written file is removed and what stood at ``path`` stays.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield beside
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def replace_folder(new: str | os.PathLike, path: str | os.PathLike) -> None:
    """Moves the finished folder ``new`` to ``path``, in place of what stands there.

    There is a moment in which ``path`` does not exist, but none in which it is half old and half new.
    """
    new, path = pathlib.Path(new), pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    old = path.with_name(f".{path.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.rename(old)
    new.rename(path)
    shutil.rmtree(old, ignore_errors=True)
