"""Files of plain tensors: what torch reads of them, nothing that runs, and nothing larger than its file."""

import collections.abc
import json
import pathlib
import pickle
import re
import subprocess
import sys
import zipfile

import pytest
import torch

from common.files.tensor_file import (
    RefusedError,
    compute_tensors_hash,
    read_tensors,
    read_tensors_if_whole,
    write_tensors,
)
from tests.helpers import ROOT

BOMB = 1 << 28
"""Bytes that a file of less than a hundredth asks for."""

MAX_GROWTH = BOMB / 8 / 1024**2
"""[MB] by which memory may grow while such a file is refused."""


def make_plain():
    buffer = torch.arange(12)
    return {
        "texts": ["a", "ä", ""],
        "numbers": {1: 2.5, "none": None, "flags": (True, False)},
        "tensors": {
            "matrix": torch.rand(3, 4, dtype=torch.float64),
            "columns": torch.rand(3, 4, dtype=torch.float64).T,
            "views": [buffer[:4], buffer[4:].view(2, 4)],
            "scalar": torch.tensor(0.1, dtype=torch.float64),
            "empty": torch.zeros((0, 2), dtype=torch.int64),
            "single": torch.rand(5),
            "mask": torch.tensor([True, False]),
        },
    }


def flatten(plain, path=()):
    if isinstance(plain, dict | list | tuple):
        items = plain.items() if isinstance(plain, dict) else enumerate(plain)
        return [leaf for key, value in items for leaf in flatten(value, (*path, key))]
    return [(path, plain)]


def test_what_is_read_is_what_torch_reads(tmp_path):
    write_tensors(make_plain(), tmp_path / "x.pt")
    found, expected = flatten(read_tensors(tmp_path / "x.pt")), flatten(torch.load(tmp_path / "x.pt"))
    assert [path for path, _ in found] == [path for path, _ in expected]
    for (path, one), (_, other) in zip(found, expected, strict=True):
        if isinstance(other, torch.Tensor):
            assert (one.dtype, one.shape, one.stride()) == (other.dtype, other.shape, other.stride()), path
            assert torch.equal(one, other), path
        else:
            assert one == other, path


def test_what_is_changed_in_memory_stays_there(tmp_path):
    write_tensors({"x": torch.zeros(3)}, tmp_path / "x.pt")
    read_tensors(tmp_path / "x.pt")["x"] += 1.0
    assert torch.equal(read_tensors(tmp_path / "x.pt")["x"], torch.zeros(3))


class Surprise:
    """What runs code when it is unpickled."""

    def __init__(self, function, *args):
        self.reduced = function, args

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("surprise", [Surprise(pytest.fail, "run"), Surprise(eval, "1"), Surprise(torch.load, "x")])
def test_anything_else_is_refused(surprise, tmp_path):
    torch.save([surprise], tmp_path / "x.pt")
    with pytest.raises(RefusedError, match="it asks for"):
        read_tensors(tmp_path / "x.pt")


def rewrite(path: pathlib.Path, change, copy: pathlib.Path, **options) -> None:
    """A copy of a file of tensors with other members; ``change`` takes and gives a dict of them."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(copy, "w", **options) as archive:
        for name, content in change(members).items():
            archive.writestr(name, content)


def rewrite_pickle(path: pathlib.Path, old: bytes, new: bytes, copy: pathlib.Path) -> None:
    """A copy that says something else in its pickle."""

    def change(members):
        assert members["archive/data.pkl"].count(old) == 1
        return {**members, "archive/data.pkl": members["archive/data.pkl"].replace(old, new)}

    rewrite(path, change, copy)


FOUR = pickle.BININT1 + bytes([4])
MANY = pickle.BININT + (BOMB // 8).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (FOUR + pickle.TUPLE1, MANY + pickle.TUPLE1),  # the size of the tensor
        (FOUR + pickle.TUPLE, MANY + pickle.TUPLE),  # that of its storage
    ],
)
def test_tensors_cannot_reach_beyond_their_storage(old, new, tmp_path):
    """A size that was tampered with is an error, not a look into other memory."""
    write_tensors({"x": torch.arange(4)}, tmp_path / "x.pt")
    rewrite_pickle(tmp_path / "x.pt", old, new, tmp_path / "y.pt")
    with pytest.raises(ValueError, match=r"resize|size|out of bounds"):
        read_tensors(tmp_path / "y.pt")


def test_a_bit_that_has_changed_is_noticed(tmp_path):
    write_tensors({"x": torch.arange(4000)}, tmp_path / "x.pt")
    content = bytearray((tmp_path / "x.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "x.pt").write_bytes(content)
    assert (torch.load(tmp_path / "x.pt", weights_only=True)["x"] != torch.arange(4000)).sum() == 1  # torch is silent
    with pytest.raises(ValueError, match=r"not what was written|Bad CRC"):
        read_tensors(tmp_path / "x.pt")
    assert read_tensors_if_whole(tmp_path / "x.pt") is None


# --- files that ask for more than they are ---------------------------------------------------------------------------


def write_pickle(pickled: bytes, path: pathlib.Path) -> None:
    """A file of tensors that says this."""
    write_tensors([], path.with_name("x.pt"))
    rewrite(path.with_name("x.pt"), lambda members: {**members, "archive/data.pkl": pickled}, path)


def write_packed(path: pathlib.Path) -> None:
    """Zeros, compressed: a thousandth of what they are."""
    write_tensors({"x": torch.zeros(BOMB, dtype=torch.uint8)}, path.with_name("x.pt"))
    rewrite(path.with_name("x.pt"), lambda members: members, path, compression=zipfile.ZIP_DEFLATED)


def write_overlapping(path: pathlib.Path) -> None:
    """A directory in which a hundred names stand for the same bytes."""
    write_tensors({"x": torch.zeros(BOMB // 100, dtype=torch.uint8)}, path.with_name("x.pt"))
    with zipfile.ZipFile(path.with_name("x.pt")) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        [first] = [member for member in archive.filelist if member.filename.endswith("data/0")]
        for i in range(1, 100):
            other = zipfile.ZipInfo(first.filename[:-1] + str(i))
            for name in ("header_offset", "CRC", "compress_size", "file_size"):
                setattr(other, name, getattr(first, name))
            archive.filelist.append(other)
            archive.NameToInfo[other.filename] = other
        archive._didModify = True


def write_laughs(path: pathlib.Path) -> None:
    """A list of two lists that are one, of two lists that are one, and so on."""
    laughs: list = []
    for _ in range(64):
        laughs = [laughs, laughs]
    write_tensors(laughs, path)


BOMBS: dict[str, tuple[collections.abc.Callable[[pathlib.Path], None], str]] = {
    "packed": (write_packed, r"data.pkl is compressed: \d+ bytes out of \d+"),
    "overlapping": (write_overlapping, r"its parts are larger than its \d+ bytes|Overlapped"),
    "bytes": (
        lambda path: torch.save([Surprise(bytearray, BOMB)], path),
        r"it asks for (__builtin__|builtins)\.bytearray",
    ),
    "a tensor by its size": (
        lambda path: torch.save([Surprise(torch.Tensor, BOMB // 4)], path),
        "it asks for torch.*Tensor",
    ),
    "one number over and over": (
        lambda path: write_tensors({"x": torch.zeros(1).expand(BOMB)}, path),
        "a tensor of 1073741824 bytes has 4 in the file",
    ),
    "nothing but lists": (
        lambda path: write_pickle(b"\x80\x02(" + 4_000_000 * b"]" + b"l.", path),
        "more than|it says",
    ),
    "lists of themselves": (write_laughs, "over and over"),
    "another protocol": (lambda path: torch.save({1, 2}, path), "it asks for"),
    "two files": (
        lambda path: (
            write_tensors({}, path.with_name("x.pt")),
            rewrite(path.with_name("x.pt"), lambda m: {**m, "other/data.pkl": m["archive/data.pkl"]}, path),
        ),
        "it is no file of tensors, or of two",
    ),
    "a program": (
        lambda path: (
            write_tensors({}, path.with_name("x.pt")),
            rewrite(path.with_name("x.pt"), lambda m: {**m, "archive/constants.pkl": b""}, path),
        ),
        "no part of a file of tensors",
    ),
}

REPORT_GROWTH = """
import json, pathlib, sys
from common.files.tensor_file import RefusedError, read_tensors, write_tensors
from common.processes.memory import measure_peak_memory
write_tensors({}, sys.argv[1] + "/first.pt")
read_tensors(sys.argv[1] + "/first.pt")
for path in sorted(pathlib.Path(sys.argv[1]).glob("bomb-*.pt")):
    before = measure_peak_memory()
    try:
        read_tensors(path)
    except ValueError as error:
        what = ("refused: " if isinstance(error, RefusedError) else "damaged: ") + str(error)
    else:
        what = "read"
    print(json.dumps([path.stem, path.stat().st_size, measure_peak_memory() - before, what]))
"""


def test_files_that_ask_for_more_than_they_are_take_no_memory(tmp_path):
    """In a process of its own, whose peak memory grows by each file in turn."""
    for name, (write, _) in BOMBS.items():
        write(tmp_path / f"bomb-{name}.pt")
    command = [sys.executable, "-c", REPORT_GROWTH, tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(reports) == len(BOMBS)
    for stem, n_bytes, growth, what in reports:
        name = stem.removeprefix("bomb-")
        assert n_bytes < BOMB // 50, name
        assert growth < MAX_GROWTH, name
        assert re.match(f"refused: .*({BOMBS[name][1]})", what), (name, what)


# --- what names the contents -----------------------------------------------------------------------------------------


def test_the_hash_is_of_what_a_nest_says():
    plain = make_plain()
    first = compute_tensors_hash({**plain, "numbers": [1, 2.5, None, True]})
    tensors = plain["tensors"]
    laid_out = {name: tensors[name].contiguous() for name in ("matrix", "columns", "scalar", "empty", "single", "mask")}
    again = {"tensors": {**laid_out, "views": [view.clone() for view in tensors["views"]]}}
    again |= {"numbers": (1, 2.5, None, True), "texts": list(plain["texts"])}
    assert compute_tensors_hash(again) == first
    assert compute_tensors_hash(dict(reversed(again.items()))) == first


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1, 2], [2, 1]),
        ([1], [1.0]),
        ([1], [True]),
        (["ab", "c"], ["a", "bc"]),
        ([[], [1]], [[1], []]),
        ({"a": 1}, ["a", 1]),
        (None, "None"),
        (torch.tensor([1.0]), torch.tensor([-1.0])),
        (torch.zeros(2, 3), torch.zeros(3, 2)),
        (torch.zeros(2), torch.zeros(2, dtype=torch.float64)),
        (torch.zeros(0), torch.zeros(0, 2)),
        (torch.tensor(1.0), torch.tensor([1.0])),
    ],
)
def test_nests_that_say_different_things_have_different_hashes(one, other):
    assert compute_tensors_hash(one) != compute_tensors_hash(other)


@pytest.mark.parametrize("value", [{1: 2}, {"x": {2}}, b"x", float])
def test_what_is_not_plain_has_no_hash(value):
    with pytest.raises(TypeError, match=r"plain value|is text"):
        compute_tensors_hash(value)
