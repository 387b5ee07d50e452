"""Damage: every step is checked against the bytes that are left, and the message says where it fails."""

import pathlib
import random
import struct
import tracemalloc

import pytest

from common.heterograph.cursor import HeterographError
from common.heterograph.layout import HEADER_BYTES
from common.heterograph.reader import read_heterograph
from tests.heterograph.samples import HETEROGRAPHS, SAMPLES

MAX_MEMORY = 4  # times the file: the bytes, the copies of tensors, and small objects


def write_damaged(tmp_path: pathlib.Path, offset: int, value: bytes) -> pathlib.Path:
    data = bytearray((HETEROGRAPHS / "ethanol" / "heterograph.bin").read_bytes())
    data[offset : offset + len(value)] = value
    path = tmp_path / "damaged.bin"
    path.write_bytes(data)
    return path


def u64(value: int) -> bytes:
    return struct.pack("<Q", value)


@pytest.mark.parametrize(
    ("offset", "value", "at", "message"),
    [  # offsets in the ethanol sample: header, metagraph, relation 0, node counts, frame of g, names, footer
        (0, u64(1), 0, "DGL graph file magic"),
        (8, u64(1), 8, "DGL 0.4 or older"),
        (8, u64(3), 8, "container version 2, found version 3"),
        (16, u64(1), 16, "graph kind"),
        (24, u64(2), 24, "one graph, found 2"),
        (4096, u64(4113), 4112, "labels to end at 4113"),
        (4104, u64(2**60), 4112, "tensors of labels"),
        (4112, u64(7), 4112, "heterograph magic"),
        (4120, u64(7), 4120, "metagraph magic"),
        (4136, u64(9), 4128, "a metagraph of 8 columns, found 9"),
        (4144, u64(2**63 - 1), 4152, "index pointer"),
        (4144, struct.pack("<q", -1), 4144, "rows of at least 0"),
        (5377, u64(62), 5377, "63 relations, found 62"),
        (5385, u64(7), 5385, "relation magic"),
        (5393, u64(9), 5393, "saved formats"),
        (5393, u64(0x1_0000_0008), 5393, "saved formats"),
        (5634, u64(10), 5626, "matrix of shape"),
        (48902, u64(9), 48902, "8 node counts, found 9"),
        (48910, struct.pack("<q", -5), 48910, "node count of at least 0"),
        (48982, u64(2**61), 48990, "tensors of a node frame"),
        (62431, u64(17), 62431, "footer length"),
        (62447, u64(4113), 62447, "graph offset"),
    ],
)
def test_damage_is_named_with_file_and_offset(offset, value, at, message, tmp_path):
    path = write_damaged(tmp_path, offset, value)
    with pytest.raises(HeterographError) as raised:
        read_heterograph(path)
    assert str(raised.value).startswith(f"{path}: at byte {at}: expected ")
    assert message in str(raised.value)


TENSOR_FIELDS = [  # offset in the tensor, value, what the message says
    (0, b"\0", "tensor"),
    (8, b"\1", "tensor"),
    (16, b"\2", "device"),
    (24, struct.pack("<i", 33), "0 to 32 dimensions"),
    (24, struct.pack("<i", -1), "0 to 32 dimensions"),
    (28, b"\4", "known type"),
    (29, b"\x07", "known type"),
    (30, struct.pack("<H", 2), "2 lanes"),
    (32, struct.pack("<q", -1), "shape and byte length"),
    (32, struct.pack("<q", 2**62), "shape and byte length"),
    (32, struct.pack("<qq", 0, 2**62), "shape and byte length"),
    (48, struct.pack("<q", 2**40), "shape and byte length"),
]


@pytest.mark.parametrize(("offset", "value", "message"), TENSOR_FIELDS)
def test_damaged_tensor_header(offset, value, message, tmp_path):
    data = (HETEROGRAPHS / "ethanol" / "heterograph.bin").read_bytes()
    name = struct.pack("<Q", 4) + b"u_qm"
    start = data.index(name + u64(0xDD5E40F096B4A13F)) + len(name)
    with pytest.raises(HeterographError, match=message):
        read_heterograph(write_damaged(tmp_path, start + offset, value))


def test_node_tensor_with_another_number_of_nodes(tmp_path):
    data = (HETEROGRAPHS / "ethanol" / "heterograph.bin").read_bytes()
    start = data.index(struct.pack("<Q", 5) + b"q_ref") + 13
    with pytest.raises(HeterographError, match="q_ref of first dimension 9"):
        read_heterograph(write_damaged(tmp_path, start + 32, struct.pack("<qq", 3, 3)))


def test_text_that_is_no_utf8(tmp_path):
    with pytest.raises(HeterographError, match="UTF-8"):
        read_heterograph(write_damaged(tmp_path, 61061 + 16, b"\xff\xff"))


def test_edge_to_a_node_that_does_not_exist(tmp_path):
    path = write_damaged(tmp_path, 5818, struct.pack("<q", 9))  # destinations of relation 0: atoms 0 to 8
    read_heterograph(path)  # without edges, their data are not looked at
    with pytest.raises(HeterographError, match="indices from 0 to 8"):
        read_heterograph(path, with_edges=True)


def test_index_pointer_that_falls(tmp_path):
    data = bytearray((HETEROGRAPHS / "dgl-1.1.3-csr.bin").read_bytes())
    pointer = struct.pack("<4i", 0, 2, 3, 5)  # of the edge type "to": two, one and two edges of the three nodes
    assert data.count(pointer) == 1
    start = data.index(pointer)
    data[start : start + 16] = struct.pack("<4i", 0, 2**31 - 1, -2, 5)  # the differences overflow to positive numbers
    path = tmp_path / "damaged.bin"
    path.write_bytes(data)
    with pytest.raises(HeterographError, match="an index pointer that rises from 0 to 5"):
        read_heterograph(path, with_edges=True)


def test_more_bytes_behind_the_footer(tmp_path):
    path = tmp_path / "longer.bin"
    path.write_bytes((HETEROGRAPHS / "ethanol" / "heterograph.bin").read_bytes() + b"\0")
    with pytest.raises(HeterographError, match="at byte 62463: expected the end of the file, found 1 more bytes"):
        read_heterograph(path)


@pytest.mark.parametrize("content", [b"", b"garbage", b"\0" * 10_000, b"PK\x03\x04" + bytes(100)])
def test_files_of_another_kind(content, tmp_path):
    path = tmp_path / "other.bin"
    path.write_bytes(content)
    with pytest.raises(HeterographError, match=r"other\.bin: at byte"):
        read_heterograph(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.bin"):
        read_heterograph(tmp_path / "nowhere.bin")


def damage_at_random(data: bytes, generator: random.Random) -> bytes:
    """The file cut short, with one flipped bit, with eight other bytes, or with bytes put in."""
    kind = generator.choice(["cut", "flip", "overwrite", "insert"])
    position = generator.randrange(HEADER_BYTES, len(data) - 8)
    if kind == "cut":
        return data[: generator.randrange(len(data))]
    if kind == "flip":
        flipped = data[position] ^ 1 << generator.randrange(8)
        return data[:position] + bytes([flipped]) + data[position + 1 :]
    if kind == "overwrite":
        return data[:position] + generator.randbytes(8) + data[position + 8 :]
    return data[:position] + generator.randbytes(generator.randrange(1, 16)) + data[position:]


@pytest.mark.parametrize("name", SAMPLES)
def test_random_damage_raises_nothing_but_the_readers_error_and_needs_little_memory(name, tmp_path):
    data = (HETEROGRAPHS / name / "heterograph.bin").read_bytes()
    generator = random.Random(name)
    path = tmp_path / "damaged.bin"
    n_refused = 0
    tracemalloc.start()
    try:
        for _ in range(300):
            path.write_bytes(damage_at_random(data, generator))
            try:
                read_heterograph(path, with_edges=True)
            except HeterographError:
                n_refused += 1
        assert tracemalloc.get_traced_memory()[1] < MAX_MEMORY * len(data)
    finally:
        tracemalloc.stop()
    assert n_refused > 150  # flips inside tensor data cannot be seen; everything else is


@pytest.mark.parametrize("name", SAMPLES)
def test_every_truncation_is_refused(name, tmp_path):
    data = (HETEROGRAPHS / name / "heterograph.bin").read_bytes()
    generator = random.Random(name)
    path = tmp_path / "truncated.bin"
    for _ in range(100):
        path.write_bytes(data[: generator.randrange(len(data))])
        with pytest.raises(HeterographError):
            read_heterograph(path)
