"""What is written is what DGL wrote, byte for byte, and can be read back."""

import dataclasses
import struct

import numpy
import pytest

from common.heterograph.layout import HEADER_BYTES
from common.heterograph.reader import read_heterograph
from common.heterograph.writer import write_heterograph
from tests.heterograph.samples import HETEROGRAPHS, SAMPLES, read_sample

SAVED_BY_NEW_DGL = struct.pack("<QQ", 0x1_0000_0001, 0x1_0000_0007)  # of a relation: DGL 1.0 and later
SAVED_BY_OLD_DGL = struct.pack("<QQ", 0x1, 0x1_0000_0007)


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
