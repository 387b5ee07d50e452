"""The reader and writer against files and figures of DGL itself, and against damage."""

import dataclasses
import json
import pathlib
import random
import struct
import tracemalloc

import numpy
import pytest

from common.heterograph.cursor import Cursor, HeterographError
from common.heterograph.layout import HEADER_BYTES
from common.heterograph.reader import Heterograph, read_heterograph
from common.heterograph.writer import write_heterograph
from tests.helpers import DATA

HETEROGRAPHS = DATA / "heterograph"
SAMPLES = ("ethanol", "methanol-opt-path", "n-methylacetamide")

SAVED_BY_NEW_DGL = struct.pack("<QQ", 0x1_0000_0001, 0x1_0000_0007)  # of a relation: DGL 1.0 and later
SAVED_BY_OLD_DGL = struct.pack("<QQ", 0x1, 0x1_0000_0007)

MAX_MEMORY = 4  # times the file: the bytes, the copies of tensors, and small objects


def read_sample(name: str) -> Heterograph:
    return read_heterograph(HETEROGRAPHS / name / "heterograph.bin", with_edges=True)


# --- figures from DGL ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLES)
def test_sample_is_read_to_the_last_bit(name):
    expected = json.loads((HETEROGRAPHS / name / "expected.json").read_text())
    graph = read_sample(name)
    assert list(graph.node_types) == expected["ntypes"]
    assert [list(edge_type) for edge_type in graph.edge_types] == expected["canonical_etypes"]
    assert graph.node_counts == expected["num_nodes"]
    assert [len(graph.edges[edge_type][0]) for edge_type in graph.edge_types] == expected["num_edges"]
    assert {t: set(frame) for t, frame in graph.node_frames.items()} == {
        t: set(frame) for t, frame in expected["ndata"].items()
    }
    for node_type, frame in expected["ndata"].items():
        for tensor_name, tensor in frame.items():
            wanted = numpy.array(tensor["data"], dtype=tensor["dtype"]).reshape(tensor["shape"])
            found = graph.node_frames[node_type][tensor_name]
            assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape), tensor_name
            assert found.tobytes() == wanted.tobytes(), tensor_name


@pytest.mark.parametrize("name", SAMPLES)
def test_edges_join_the_atoms_that_the_index_lists_name(name):
    graph = read_sample(name)
    for source, edge, target in graph.edge_types:
        if source == "n1" and "_as_" in edge:
            k = int(edge.split("_")[2])
            atoms, nodes = graph.edges[source, edge, target]
            numpy.testing.assert_array_equal(graph.node_frames[target]["idxs"][nodes, k], atoms)


@pytest.mark.parametrize("formats", ["all-formats", "csr", "csc"])
def test_every_sparse_format_dtype_edge_data_and_labels(formats):
    expected = json.loads((HETEROGRAPHS / "dgl-1.1.3.json").read_text())
    graph = read_heterograph(HETEROGRAPHS / f"dgl-1.1.3-{formats}.bin", with_edges=True)
    assert graph.node_counts == expected["node_counts"]
    assert {edge[1]: [nodes.tolist() for nodes in ends] for edge, ends in graph.edges.items()} == expected["edges"]
    assert {name: values.tolist() for name, values in graph.node_frames["a"].items()} == expected["a"]
    for name, values in graph.node_frames["a"].items():
        assert values.dtype == ("uint8" if name == "bool" else name)  # DGL keeps booleans as uint8
    assert graph.node_frames["b"]["cube"].tolist() == expected["cube"]
    assert graph.edge_frames["a", "to", "b"]["w"].tolist() == expected["w"]
    assert graph.labels["y"].tolist() == [[1.5, 2.5]]


def test_homogeneous_graph():
    graph = read_heterograph(HETEROGRAPHS / "methanol-opt-path" / "homograph.bin")
    assert graph.node_types == ("_N",)
    assert graph.edge_types == (("_N", "_E", "_N"),)
    assert graph.node_counts == {"_N": 6}


def test_only_the_tensors_asked_for_are_kept():
    wanted = {("n1", "xyz"), ("g", "u_qm"), ("n1", "not there")}
    graph = read_heterograph(HETEROGRAPHS / "ethanol" / "heterograph.bin", keep=wanted)
    full = read_sample("ethanol")
    assert {t: set(frame) for t, frame in graph.node_frames.items() if frame} == {"n1": {"xyz"}, "g": {"u_qm"}}
    numpy.testing.assert_array_equal(graph.node_frames["n1"]["xyz"], full.node_frames["n1"]["xyz"])
    assert graph.edges is None


@pytest.mark.parametrize("name", SAMPLES)
def test_the_short_way_over_relations_and_the_careful_one_come_to_the_same(name, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Cursor, "relation", lambda *_: pytest.fail("DGL's usual relations need no careful look"))
        by_short_way = read_heterograph(HETEROGRAPHS / name / "heterograph.bin")
    monkeypatch.setattr(Cursor, "pass_over_usual_relation", lambda *_: None)
    by_careful_way = read_heterograph(HETEROGRAPHS / name / "heterograph.bin")
    assert by_short_way.node_counts == by_careful_way.node_counts
    for type_, frame in by_careful_way.node_frames.items():
        for key, values in frame.items():
            numpy.testing.assert_array_equal(by_short_way.node_frames[type_][key], values)


def test_arrays_are_independent_of_the_file():
    xyz = read_sample("ethanol").node_frames["n1"]["xyz"]
    assert xyz.flags.owndata or xyz.base.flags.owndata
    assert xyz.flags.writeable
    assert xyz.flags.aligned


# --- writing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLES)
def test_written_file_is_byte_identical_to_dgls_behind_the_header(name, tmp_path):
    write_heterograph(tmp_path / "graph.bin", read_sample(name))
    written = (tmp_path / "graph.bin").read_bytes()
    by_dgl = (HETEROGRAPHS / name / "heterograph.bin").read_bytes()
    # DGL 1.0 names the same choice of formats by another number
    assert written[HEADER_BYTES:] == by_dgl[HEADER_BYTES:].replace(SAVED_BY_NEW_DGL, SAVED_BY_OLD_DGL)
    assert written[:32] == by_dgl[:32]
    assert not any(written[32:HEADER_BYTES])


def test_written_file_is_read_back(tmp_path):
    graph = read_heterograph(HETEROGRAPHS / "dgl-1.1.3-csr.bin", with_edges=True)
    graph.node_frames["b"]["flag"] = numpy.array([True, False, False, True])
    graph.node_frames["b"]["empty"] = numpy.empty((4, 0), numpy.int8)
    write_heterograph(tmp_path / "graph.bin", graph)
    again = read_heterograph(tmp_path / "graph.bin", with_edges=True)
    assert again.edge_types == graph.edge_types
    for edge_type, ends in graph.edges.items():
        numpy.testing.assert_array_equal(again.edges[edge_type], ends)
    for node_type, frame in graph.node_frames.items():
        for name, values in frame.items():
            numpy.testing.assert_array_equal(again.node_frames[node_type][name], values)
    numpy.testing.assert_array_equal(again.labels["y"], graph.labels["y"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda graph: {"edges": None}, "without its edges"),
        (lambda graph: {"node_counts": {**graph.node_counts, "n1": 7}}, "nodes"),
        (lambda graph: {"node_frames": {"g": {"u": numpy.zeros((1, 2), complex)}}}, "complex128"),
        (lambda graph: {"node_frames": {"g": {"u": numpy.zeros((2, 2))}}}, "there are 1 nodes"),
    ],
)
def test_a_graph_that_does_not_hold_together_is_not_written(change, message, tmp_path):
    graph = read_sample("ethanol")
    with pytest.raises(ValueError, match=message):
        write_heterograph(tmp_path / "graph.bin", dataclasses.replace(graph, **change(graph)))
    assert not list(tmp_path.iterdir())


# --- damage ----------------------------------------------------------------------------------------------------------


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
