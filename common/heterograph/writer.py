"""DGL's binary graph files written without DGL; ``common.heterograph.layout`` says how they are laid out."""

import collections.abc
import os
import struct

import numpy

from common.files.atomic import replace_atomically
from common.heterograph.layout import (
    FILE_MAGIC,
    GRAPH_KIND,
    HEADER_BYTES,
    HETERO_MAGIC,
    SAVED_AS_COO,
    U64,
    VERSION,
    encode_metagraph,
    encode_relation_start,
    encode_tensor,
)
from common.heterograph.reader import EdgeType, Frame, Heterograph


def write_heterograph(path: str | os.PathLike, graph: Heterograph) -> None:
    """Writes one graph as DGL 0.9 does: adjacency as coordinate lists, tensors in the order of their frames.

    Every DGL from 0.5 on loads it. The header holds zeros where DGL leaves uninitialised memory.

    Raises:
        ValueError: the edges are missing, or sizes disagree, or a dtype has no counterpart in DGL.
    """
    edges = _check_graph(graph)
    labels = _encode_frame(graph.labels)
    graph_start = HEADER_BYTES + 8 + len(labels)
    header = struct.pack("<QQQQ", FILE_MAGIC, VERSION, GRAPH_KIND, 1).ljust(HEADER_BYTES, b"\0")
    footer = struct.pack("<QQQQ", 16, 1, graph_start, 16)
    with replace_atomically(path) as beside:
        beside.write_bytes(header + U64.pack(graph_start) + labels + _encode_graph(graph, edges) + footer)


Edges = collections.abc.Mapping[EdgeType, tuple[numpy.ndarray, numpy.ndarray]]


def _check_graph(graph: Heterograph) -> Edges:
    """The edges of the graph, which are there and fit its nodes, as everything else does."""
    if graph.edges is None:
        raise ValueError("a graph without its edges cannot be written; read it with with_edges=True")
    for source, name, target in graph.edge_types:
        ends = graph.edges[source, name, target]
        for nodes, type_ in zip(ends, (source, target), strict=True):
            n_nodes = graph.node_counts[type_]
            if (
                nodes.shape != ends[0].shape
                or nodes.ndim != 1
                or (nodes.size and not 0 <= nodes.min() <= nodes.max() < n_nodes)
            ):
                raise ValueError(f"edges {name}: expected indices of the {n_nodes} nodes {type_}")
    for type_, frame in graph.node_frames.items():
        for name, values in frame.items():
            if values.shape[:1] != (graph.node_counts[type_],):
                raise ValueError(
                    f"{type_} {name}: shape {values.shape}, but there are {graph.node_counts[type_]} nodes"
                )
    return graph.edges


def _encode_graph(graph: Heterograph, edges: Edges) -> bytes:
    ids = {type_: i for i, type_ in enumerate(graph.node_types)}
    ends = [(ids[source], ids[target]) for source, _, target in graph.edge_types]
    return b"".join(
        [
            U64.pack(HETERO_MAGIC),
            encode_metagraph(ends, len(ids)),
            U64.pack(len(ends)),
            *(_encode_relation(graph, edge_type, edges) for edge_type in graph.edge_types),
            struct.pack(f"<Q{len(ids)}q", len(ids), *(graph.node_counts[type_] for type_ in graph.node_types)),
            U64.pack(len(ids)),
            *(_encode_frame(graph.node_frames.get(type_, {})) for type_ in graph.node_types),
            U64.pack(len(ends)),
            *(_encode_frame(graph.edge_frames.get(edge_type, {})) for edge_type in graph.edge_types),
            U64.pack(len(ids)),
            *(_encode_text(type_) for type_ in graph.node_types),
            U64.pack(len(ends)),
            *(_encode_text(name) for _, name, _ in graph.edge_types),
        ]
    )


def _encode_relation(graph: Heterograph, edge_type: EdgeType, edges: Edges) -> bytes:
    source, _, target = edge_type
    row, column = edges[edge_type]
    return b"".join(
        [
            encode_relation_start(source == target, SAVED_AS_COO),
            struct.pack("<qq", graph.node_counts[target], graph.node_counts[source]),
            encode_tensor(row),
            encode_tensor(column),
            encode_tensor(numpy.empty(0, numpy.int64)),  # no edge ids: 0, 1, 2, ...
            b"\0\0",  # not known to be sorted
        ]
    )


def _encode_frame(frame: Frame) -> bytes:
    return U64.pack(len(frame)) + b"".join(_encode_text(n) + encode_tensor(v) for n, v in frame.items())


def _encode_text(text: str) -> bytes:
    encoded = text.encode()
    return U64.pack(len(encoded)) + encoded
