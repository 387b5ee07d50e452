"""Files of plain dicts, lists, text, numbers and tensors, as ``torch.save`` writes them.

``torch.load(weights_only=True)`` reads them too, but in pure Python, which takes half a minute for the 300,000 small
tensors of 17,000 molecules. Here Python's unpickler in C does the work: it may look up two names, that of a tensor and
that of an ordered dict, and refuses any other, so that nothing in a file is ever run.
"""

import collections.abc
import os
import pickle
import sys
import typing
import zipfile

import torch

DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "BoolStorage": torch.bool,
}
"""Types of numbers by the name under which ``torch.save`` stores them."""

BLOCK_BYTES = 1 << 20


class RefusedError(ValueError):
    """A file holds more than plain values and tensors."""


def write_tensors(plain: typing.Any, path: str | os.PathLike) -> None:
    """``torch.save`` through a file of Python's own, which says when the disk is full; torch's does not."""
    with open(path, "wb") as file:
        torch.save(plain, file)


def read_tensors(path: str | os.PathLike) -> typing.Any:
    """What :func:`write_tensors` wrote; checksums are compared.

    Raises:
        FileNotFoundError: there is no file.
        RefusedError: it holds anything but plain values and tensors.
        ValueError: it is damaged, or of another kind.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name.partition("/")[2]: name for name in archive.namelist()}
            if archive.read(members["byteorder"]).decode() != sys.byteorder:
                raise ValueError("written on a machine with another order of bytes")
            with archive.open(members["data.pkl"]) as file:
                return _TensorUnpickler(file, lambda key: _read_member(archive, members[f"data/{key}"])).load()
    except (
        zipfile.BadZipFile,
        AttributeError,
        EOFError,
        IndexError,
        KeyError,
        MemoryError,
        NotImplementedError,
        OverflowError,
        RuntimeError,
        TypeError,
        pickle.UnpicklingError,
    ) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def read_tensors_if_whole(path: str | os.PathLike) -> typing.Any:
    """What :func:`write_tensors` wrote; None where the file is missing or damaged."""
    try:
        return read_tensors(path)
    except (OSError, ValueError):
        return None


def _read_member(archive: zipfile.ZipFile, name: str) -> bytearray:
    """The contents of a member, which may be large: they are in memory once, not twice."""
    content = bytearray(archive.getinfo(name).file_size)
    with archive.open(name) as file:
        for start in range(0, len(content), BLOCK_BYTES):
            content[start : start + BLOCK_BYTES] = file.read(BLOCK_BYTES)
    return content


class _TensorUnpickler(pickle.Unpickler):
    """Resolves the names of ``torch.save``'s tensors and storages alone."""

    def __init__(self, file: typing.IO[bytes], read_storage: collections.abc.Callable[[str], bytearray]):
        super().__init__(file)
        self._read_storage = read_storage
        self._storages: dict[str, torch.Tensor] = {}

    def find_class(self, module: str, name: str) -> typing.Any:
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch" and name in DTYPES:
            return name
        raise RefusedError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: tuple[str, str, str, str, int]) -> torch.Tensor:
        _, type_name, key, _, n_numbers = pid
        if key not in self._storages:
            content = self._read_storage(key)
            empty = torch.empty(0, dtype=DTYPES[type_name])
            self._storages[key] = torch.frombuffer(content, dtype=empty.dtype) if content else empty
            if len(self._storages[key]) != n_numbers:
                raise ValueError(f"storage {key} has {len(self._storages[key])} numbers, expected {n_numbers}")
        return self._storages[key]


def _rebuild_tensor(storage: torch.Tensor, offset: int, size: tuple, stride: tuple, *_: typing.Any) -> torch.Tensor:
    return storage.as_strided(size, stride, offset)
