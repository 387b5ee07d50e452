"""DGL's binary graph files read without DGL; ``common.heterograph.layout`` says how they are laid out.

There is no checksum: damage inside the data of a tensor cannot be seen.
"""

import collections.abc
import dataclasses
import functools
import os
import pathlib
import typing

import numpy

from common.heterograph.cursor import SHORTEST_FRAME, SHORTEST_RELATION, Cursor, HeterographError, Matrix, Tensor
from common.heterograph.layout import FILE_MAGIC, GRAPH_KIND, HEADER_BYTES, HETERO_MAGIC, U64, VERSION

FOOTER_BYTES = 32

N_REMEMBERED = 16
"""Blocks of bytes that files have alike; an archive has two, unless several programs wrote it."""

EdgeType = tuple[str, str, str]
"""Source node type, name, destination node type: DGL's canonical edge type."""

Frame = dict[str, numpy.ndarray]


@dataclasses.dataclass(frozen=True)
class Heterograph:
    """A graph with several types of nodes and edges.

    Attributes:
        node_types: names, by node type id.
        edge_types: canonical edge types, by edge type id.
        node_counts: number of nodes of each type.
        node_frames: named tensors of each node type, ``shape=(n_nodes, ...)``.
        edge_frames: named tensors of each edge type, ``shape=(n_edges, ...)``.
        edges: of each edge type the source and the destination nodes, ``shape=(n_edges,)`` each, by edge id; None if
            they were not asked for.
        labels: named tensors of the file.
    """

    node_types: tuple[str, ...]
    edge_types: tuple[EdgeType, ...]
    node_counts: dict[str, int]
    node_frames: dict[str, Frame]
    edge_frames: dict[EdgeType, Frame] = dataclasses.field(default_factory=dict)
    edges: dict[EdgeType, tuple[numpy.ndarray, numpy.ndarray]] | None = None
    labels: Frame = dataclasses.field(default_factory=dict)


def read_heterograph(
    path: str | os.PathLike,
    keep: collections.abc.Collection[tuple[str, str]] | None = None,
    with_edges: bool = False,
) -> Heterograph:
    """Reads a file that holds one graph.

    Args:
        path: the file.
        keep: which tensors of the nodes are wanted, as (node type, name), e.g. ``{("n1", "xyz")}``; all by default.
            Those that the file lacks are simply not in the frames. The others, and those of the edges, are passed
            over without copying.
        with_edges: give the edges as well.

    Raises:
        OSError: the file cannot be read.
        HeterographError: it is damaged, of another version, no graph file, or holds several graphs.
    """
    path = pathlib.Path(path)
    with path.open("rb", buffering=0) as file:
        _check_header(Cursor(path, file.read(HEADER_BYTES)))
        file.seek(0)
        data = file.read()
    cursor = Cursor(path, data)
    cursor.offset = HEADER_BYTES
    graph_start = cursor.u64("offset of the graph")
    labels = cursor.frame("labels")
    if cursor.offset != graph_start:
        cursor.fail(f"the labels to end at {graph_start}, where the graph starts", cursor.offset)
    graph = _read_graph(cursor, labels, keep, with_edges)
    _check_footer(cursor, graph_start)
    return graph


def _check_header(cursor: Cursor) -> None:
    cursor.expect(FILE_MAGIC, "DGL graph file magic")
    version = cursor.u64("container version")
    if version != VERSION:
        old = " (written by DGL 0.4 or older, in another layout)" if version == 1 else ""
        cursor.fail(f"container version {VERSION}", f"version {version}{old}", 8)
    cursor.expect(GRAPH_KIND, "graph kind")
    n_graphs = cursor.u64("number of graphs")
    if n_graphs != 1:
        cursor.fail("one graph", n_graphs, 24)
    cursor.require(HEADER_BYTES - cursor.offset, "header")


def _check_footer(cursor: Cursor, graph_start: int) -> None:
    for value, what in (
        (16, "footer length"),
        (1, "number of offsets"),
        (graph_start, "graph offset"),
        (16, "footer end"),
    ):
        cursor.expect(value, what)
    if cursor.offset != len(cursor.data):
        cursor.fail("the end of the file", f"{len(cursor.data) - cursor.offset} more bytes")


def _read_graph(
    cursor: Cursor,
    labels: dict[str, Tensor],
    keep: collections.abc.Collection[tuple[str, str]] | None,
    with_edges: bool,
) -> Heterograph:
    cursor.expect(HETERO_MAGIC, "heterograph magic")
    n_node_types, ends = _read_edge_ends(cursor)
    n_edge_types = len(ends)
    cursor.count(SHORTEST_RELATION, "relations", n_edge_types)
    relations = [_read_relation(cursor, source == target, with_edges) for source, target in ends]
    cursor.count(8, "node counts", n_node_types)
    counts = [cursor.size("node count") for _ in range(n_node_types)]
    _check_relations(cursor, relations, [(counts[source], counts[target]) for source, target in ends])
    cursor.count(SHORTEST_FRAME, "node frames", n_node_types)
    node_frames = [cursor.frame("a node frame") for _ in range(n_node_types)]
    edge_frames = _read_edge_frames(cursor, n_edge_types)
    _check_frames(cursor, node_frames, counts)
    _check_frames(cursor, edge_frames, [matrices[0].n_edges for matrices in relations])

    end = max(cursor.offset, len(cursor.data) - FOOTER_BYTES)
    node_types, edge_types = _read_block(cursor, end, _decode_names, n_node_types, ends)
    return Heterograph(
        node_types,
        edge_types,
        dict(zip(node_types, counts, strict=True)),
        {
            type_: {n: cursor.copy(t) for n, t in frame.items() if keep is None or (type_, n) in keep}
            for type_, frame in zip(node_types, node_frames, strict=True)
        },
        {
            type_: {n: cursor.copy(t) for n, t in frame.items() if keep is None}
            for type_, frame in zip(edge_types, edge_frames, strict=True)
        },
        {t: cursor.copy_edges(m[0]) for t, m in zip(edge_types, relations, strict=True)} if with_edges else None,
        {name: cursor.copy(tensor) for name, tensor in labels.items()},
    )


Result = typing.TypeVar("Result")


def _read_block(cursor: Cursor, end: int, decode: collections.abc.Callable[..., Result], *arguments) -> Result:
    """What ``decode`` makes of the bytes up to ``end``, which are alike in many files: remembered, not done again."""
    found = _decode_block(cursor.data[cursor.offset : end], decode, *arguments)
    if found is None:
        return decode(cursor, *arguments)  # again, to say what is wrong and where
    cursor.offset = end
    return found


@functools.lru_cache(maxsize=N_REMEMBERED)
def _decode_block(block: bytes, decode: collections.abc.Callable[..., Result], *arguments) -> Result | None:
    cursor = Cursor(pathlib.Path(), block)
    try:
        result = decode(cursor, *arguments)
    except HeterographError:
        return None
    return result if cursor.offset == len(block) else None


def _read_edge_ends(cursor: Cursor) -> tuple[int, tuple[tuple[int, int], ...]]:
    """The number of node types, and the ids of the source and destination node type of each edge type."""
    start = cursor.offset
    cursor.metagraph()
    end, cursor.offset = cursor.offset, start
    return _read_block(cursor, end, _decode_edge_ends)


def _decode_edge_ends(cursor: Cursor) -> tuple[int, tuple[tuple[int, int], ...]]:
    metagraph = cursor.metagraph()
    if metagraph.n_rows != metagraph.n_columns:
        cursor.fail(f"a metagraph of {metagraph.n_rows} columns", metagraph.n_columns, metagraph.start)
    source, target = cursor.copy_edges(metagraph)
    return metagraph.n_rows, tuple(zip(source.tolist(), target.tolist(), strict=True))


def _decode_names(
    cursor: Cursor, n_node_types: int, ends: tuple[tuple[int, int], ...]
) -> tuple[tuple[str, ...], tuple[EdgeType, ...]]:
    """The node types and the canonical edge types."""
    start = cursor.offset
    node_types = tuple(cursor.names(n_node_types, "node type names"))
    edge_names = cursor.names(len(ends), "edge type names")
    edge_types = tuple(
        (node_types[source], name, node_types[target]) for name, (source, target) in zip(edge_names, ends, strict=True)
    )
    for what, names in (("node types", node_types), ("edge types", edge_types)):
        if len(set(names)) != len(names):
            cursor.fail(f"{what} that differ", "a name twice", start)
    return node_types, edge_types


def _read_relation(cursor: Cursor, has_one_node_type: bool, with_edges: bool) -> list[Matrix]:
    passed = None if with_edges else cursor.pass_over_usual_relation(has_one_node_type)
    return cursor.relation(has_one_node_type) if passed is None else passed


def _read_edge_frames(cursor: Cursor, n_edge_types: int) -> list[dict[str, Tensor]]:
    empty = U64.pack(n_edge_types) + bytes(8 * n_edge_types)
    if cursor.data.startswith(empty, cursor.offset):  # as always in archives
        cursor.offset += len(empty)
        return [{}] * n_edge_types
    cursor.count(SHORTEST_FRAME, "edge frames", n_edge_types)
    return [cursor.frame("an edge frame") for _ in range(n_edge_types)]


def _check_relations(cursor: Cursor, relations: list[list[Matrix]], node_counts: list[tuple[int, int]]) -> None:
    if [m[0][1:3] for m in relations if len(m) == 1 and not m[0].is_transposed] == node_counts:
        return
    for matrices, (n_sources, n_targets) in zip(relations, node_counts, strict=True):
        for matrix in matrices:
            wanted = (n_targets, n_sources) if matrix.is_transposed else (n_sources, n_targets)
            found = (matrix.n_rows, matrix.n_columns)
            if found != wanted:
                cursor.fail(f"a matrix of shape {wanted}, as the node counts say", found, matrix.start)
            if matrix.n_edges != matrices[0].n_edges:
                cursor.fail(f"{matrices[0].n_edges} edges in each matrix", matrix.n_edges, matrix.start)


def _check_frames(cursor: Cursor, frames: list[dict[str, Tensor]], counts: list[int]) -> None:
    for frame, count in zip(frames, counts, strict=True):
        for name, tensor in frame.items():
            if tensor.shape[:1] != (count,):
                cursor.fail(f"tensor {name} of first dimension {count}", f"shape {tensor.shape}", tensor.start)
