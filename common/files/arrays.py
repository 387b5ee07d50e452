"""Arrays by name in one file (``.npz``), whole or not at all, read without trust."""

import collections.abc
import os
import pathlib
import zipfile

import numpy

from common.files.atomic import replace_atomically


def write_arrays(path: str | os.PathLike, arrays: collections.abc.Mapping[str, numpy.ndarray]) -> None:
    """Writes arrays by name."""
    with replace_atomically(path) as beside, beside.open("wb") as file:
        numpy.savez(file, **dict(arrays))  # type: ignore[arg-type]  # names are not those of its own options


def read_arrays(path: str | os.PathLike, names: collections.abc.Iterable[str]) -> dict[str, numpy.ndarray]:
    """The arrays of these names.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, lacks one of them, or holds Python objects, which are never read.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with path.open("rb") as file, numpy.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in names}
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: damaged ({error})") from error
