"""What is read against files and figures of DGL itself."""

import json

import numpy
import pytest

from common.heterograph.cursor import Cursor
from common.heterograph.reader import read_heterograph
from tests.heterograph.samples import HETEROGRAPHS, SAMPLES, read_sample


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
