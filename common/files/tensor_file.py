"""Files of plain dicts, lists, text, numbers and tensors, as ``torch.save`` writes them.

``torch.load(weights_only=True)`` reads them, and here too. It runs nothing that a file asks for, but it believes what a
file says of sizes: a compressed member, or a few bytes that ask for a ``bytearray`` of 2 GB, fill the memory. So a file
is looked through before: nothing that it holds may be larger than its own bytes, and it may ask for tensors alone.
"""

import hashlib
import os
import pickle
import pickletools
import re
import struct
import typing
import zipfile

import torch

STORAGES = frozenset(
    f"torch {name}Storage"
    for name in ("Double", "Float", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
)
"""What stands for the numbers of a tensor, by type, as a pickle spells it."""

REBUILDERS = frozenset(("torch._utils _rebuild_tensor_v2", "collections OrderedDict"))
"""What a tensor is put together by."""

OPERATIONS = frozenset(
    (
        *("PROTO", "STOP", "MARK", "GLOBAL", "REDUCE", "BINPERSID", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"),
        *("EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
        *("APPEND", "APPENDS", "SETITEM", "SETITEMS"),
        *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"),
    )
)
"""What plain values and tensors are written with, of all that a pickle may say."""

MIN_BYTES_PER_OPERATION = 8
"""A list takes 1 byte of a pickle and 56 of memory. A file of real contents has more bytes than this for each thing in
it, so that it takes no more than some ten times its size however it was made up."""

N_FREE_OPERATIONS = 10_000
"""So many may be there besides, in a small file."""

MAX_DEPTH = 100
"""Of dicts and lists in each other."""

_MEMBER = re.compile(
    r"[^/]+/(data\.pkl|data/\d+|byteorder|version|\.format_version|\.storage_alignment|\.data/serialization_id)"
)


class RefusedError(ValueError):
    """A file holds more than plain values and tensors, or says that it is larger than it is."""


def write_tensors(plain: typing.Any, path: str | os.PathLike) -> None:
    """``torch.save`` through a file of Python's own, which says when the disk is full; torch's does not."""
    with open(path, "wb") as file:
        torch.save(plain, file)


def read_tensors(path: str | os.PathLike) -> typing.Any:
    """What :func:`write_tensors` wrote; checksums are compared, which torch does not do.

    Raises:
        FileNotFoundError: there is no file.
        RefusedError: it holds anything but plain values and tensors, or more than its size; memory is not touched.
        ValueError: it is damaged, or of another kind.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            n_bytes = os.path.getsize(path)
            _check_members(archive, n_bytes)
            n_operations = _check_pickle(archive, n_bytes)
            if (damaged := archive.testzip()) is not None:
                raise ValueError(f"{damaged} is not what was written")
        plain = torch.load(path, map_location="cpu", weights_only=True)
        _check_nest(plain, n_operations)
        return plain
    except (
        zipfile.BadZipFile,
        AssertionError,
        AttributeError,
        EOFError,
        IndexError,
        KeyError,
        NotImplementedError,
        OverflowError,
        RuntimeError,
        TypeError,
        pickle.UnpicklingError,
        struct.error,
    ) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def read_tensors_if_whole(path: str | os.PathLike) -> typing.Any:
    """What :func:`write_tensors` wrote; None where the file is missing or damaged."""
    try:
        return read_tensors(path)
    except (OSError, ValueError):
        return None


def compute_tensors_hash(plain: typing.Any) -> str:
    """SHA-256, as hexadecimal digits, of a nest of dicts, lists, text, numbers and tensors: of what it says alone.

    The order of names in dicts does not count, nor how the tensors lie in memory or in a file, nor when it was written.
    """
    total = hashlib.sha256()
    _add_to_hash(total, plain)
    return total.hexdigest()


def _add_to_hash(total: typing.Any, value: typing.Any) -> None:
    """Each value goes in with its kind and length before it, so that two nests never look alike."""
    if isinstance(value, dict):
        total.update(f"dict {len(value)};".encode())
        for name in sorted(value):
            if not isinstance(name, str):
                raise TypeError(f"{name!r}: a name in a dict is text")
            _add_to_hash(total, name)
            _add_to_hash(total, value[name])
    elif isinstance(value, list | tuple):
        total.update(f"list {len(value)};".encode())
        for item in value:
            _add_to_hash(total, item)
    elif isinstance(value, torch.Tensor):
        total.update(f"tensor {value.dtype} {tuple(value.shape)};".encode())
        total.update(value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    elif isinstance(value, str):
        text = value.encode()
        total.update(f"text {len(text)};".encode())
        total.update(text)
    elif value is None or isinstance(value, bool | int | float):
        total.update(f"{type(value).__name__} {value!r};".encode())
    else:
        raise TypeError(f"{type(value).__name__}: no plain value")


def _check_members(archive: zipfile.ZipFile, n_bytes: int) -> None:
    """Makes sure that nothing grows when it is read: no member is compressed, and all together fit into the file."""
    members = archive.infolist()
    names = [member.filename for member in members]
    if len(set(names)) < len(names) or sum(name.endswith("/data.pkl") for name in names) != 1:
        raise RefusedError("it is no file of tensors, or of two")
    for member in members:
        if not _MEMBER.fullmatch(member.filename):
            raise RefusedError(f"it holds {member.filename!r}, which is no part of a file of tensors")
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise RefusedError(
                f"{member.filename} is compressed: {member.file_size} bytes out of {member.compress_size}"
            )
    if sum(member.file_size for member in members) > n_bytes:
        raise RefusedError(f"its parts are larger than its {n_bytes} bytes")


def _check_pickle(archive: zipfile.ZipFile, n_bytes: int) -> int:
    """Reads what the pickle says without doing it: it may make plain values and tensors, and no more than there are.

    Returns:
        How many things it says.
    """
    [name] = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    limit = N_FREE_OPERATIONS + n_bytes // MIN_BYTES_PER_OPERATION
    n_operations = 0
    for operation, argument, _ in pickletools.genops(archive.read(name)):
        if operation.name == "GLOBAL" and argument not in STORAGES | REBUILDERS:
            raise RefusedError(f"it asks for {str(argument).replace(' ', '.')}")
        if operation.name not in OPERATIONS:
            raise RefusedError(f"it says {operation.name}, which no plain value needs")
        n_operations += 1
        if n_operations > limit:
            raise RefusedError(f"it lists more than {limit} things in {n_bytes} bytes")
    return n_operations


def _check_nest(plain: typing.Any, limit: int) -> None:
    """Makes sure that whoever walks through the nest comes to an end, and that no tensor repeats its numbers.

    A list that holds another one twice, which holds another one twice, and so on, is small in memory and endless to
    walk through.
    """
    waiting, n_seen = [(plain, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        n_seen += 1
        if n_seen > limit or depth > MAX_DEPTH:
            raise RefusedError("its lists hold each other over and over")
        if isinstance(value, dict):
            waiting += [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list | tuple):
            waiting += [(item, depth + 1) for item in value]
        elif isinstance(value, torch.Tensor) and value.nbytes > value.untyped_storage().nbytes():
            raise RefusedError(f"a tensor of {value.nbytes} bytes has {value.untyped_storage().nbytes()} in the file")
