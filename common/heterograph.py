"""DGL's binary graph files read without DGL; ``common.heterograph_layout`` says how they are laid out.

There is no checksum: damage inside the data of a tensor cannot be seen.
"""

import dataclasses
import math
import os
import pathlib
import typing

import numpy

from common.heterograph_layout import (
    COO_MAGIC,
    CSR_MAGIC,
    DTYPES,
    FILE_MAGIC,
    GRAPH_KIND,
    HEADER_BYTES,
    HETERO_MAGIC,
    I64,
    MASK_FLAG,
    MAX_DIMENSIONS,
    META_MAGIC,
    RELATION_MAGIC,
    SHAPES,
    TENSOR_PREFIX,
    TENSOR_START,
    U64,
    VERSION,
    encode_relation_metagraph,
)

_SHORTEST_TEXT, _SHORTEST_FRAME, _SHORTEST_RELATION = 8, 8, 24  # bytes

EdgeType = tuple[str, str, str]
"""Source node type, name, destination node type: DGL's canonical edge type."""

Frame = dict[str, numpy.ndarray]


class HeterographError(ValueError):
    """A file that is damaged, of another version, or no graph file; the message names file, offset and expectation."""


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


class _Tensor(typing.NamedTuple):
    """Where a tensor lies in the file: nothing is copied before it is wanted."""

    start: int
    offset: int
    dtype: numpy.dtype
    shape: tuple[int, ...]


class _Matrix(typing.NamedTuple):
    """A sparse matrix: rows are source nodes, except in a transposed one.

    ``row`` of a compressed matrix is its index pointer, ``column`` its indices.
    """

    start: int
    n_rows: int
    n_columns: int
    row: _Tensor
    column: _Tensor
    edge_ids: _Tensor
    is_compressed: bool
    is_transposed: bool


class _Cursor:
    """Walks over the bytes of a file; every step is checked against the bytes that are left."""

    def __init__(self, path: pathlib.Path, data: bytes):
        self.path = path
        self.data = data
        self.offset = 0

    def fail(self, expected: str, found: typing.Any, offset: int | None = None) -> typing.NoReturn:
        offset = self.offset if offset is None else offset
        raise HeterographError(f"{self.path}: at byte {offset}: expected {expected}, found {found}")

    def require(self, n_bytes: int, what: str) -> None:
        left = len(self.data) - self.offset
        if n_bytes > left:
            self.fail(f"{n_bytes} bytes of {what}", f"{left} bytes to the end of the file")

    def u64(self, what: str) -> int:
        self.require(8, what)
        value = U64.unpack_from(self.data, self.offset)[0]
        self.offset += 8
        return value

    def i64(self, what: str) -> int:
        self.require(8, what)
        value = I64.unpack_from(self.data, self.offset)[0]
        self.offset += 8
        return value

    def expect(self, value: int, what: str) -> None:
        found = self.u64(what)
        if found != value:
            self.fail(f"{what} {value:#x}", f"{found:#x}", self.offset - 8)

    def size(self, what: str) -> int:
        value = self.i64(what)
        if value < 0:
            self.fail(f"{what} of at least 0", value, self.offset - 8)
        return value

    def count(self, n_bytes_each: int, what: str, wanted: int | None = None) -> int:
        value = self.u64(f"number of {what}")
        if wanted is not None and value != wanted:
            self.fail(f"{wanted} {what}", value, self.offset - 8)
        self.require(n_bytes_each * value, what)
        return value

    def flag(self, what: str) -> None:
        self.require(1, what)
        if self.data[self.offset] > 1:
            self.fail(f"{what} 0 or 1", self.data[self.offset])
        self.offset += 1

    def text(self, what: str) -> str:
        length = self.count(1, f"bytes of {what}")
        start = self.offset
        self.offset += length
        try:
            return self.data[start : self.offset].decode()
        except UnicodeDecodeError as error:
            self.fail(f"UTF-8 text in {what}", error.reason, start)

    def tensor(self, what: str) -> _Tensor:
        start = self.offset
        self.require(40, f"tensor {what}")
        prefix, n_dims, code, bits, lanes = TENSOR_START.unpack_from(self.data, start)
        if prefix != TENSOR_PREFIX:
            self.fail(f"tensor {what} (magic, 0, device 1, 0)", prefix.hex(" ", 8), start)
        dtype = DTYPES.get((code, bits))
        if dtype is None or lanes != 1:
            self.fail(f"a known type of tensor {what}", f"code {code}, {bits} bits, {lanes} lanes", start + 28)
        if not 0 <= n_dims <= MAX_DIMENSIONS:
            self.fail(f"0 to {MAX_DIMENSIONS} dimensions of tensor {what}", n_dims, start + 24)
        self.require(40 + 8 * n_dims, f"tensor {what}")
        *shape, n_bytes = SHAPES[n_dims].unpack_from(self.data, start + 32)
        if n_dims == 1:  # nearly all tensors
            n_elements = shape[0]
            has_sane_shape = n_elements >= 0
        else:
            n_elements = math.prod(shape)
            has_sane_shape = min(shape, default=0) >= 0 and math.prod(n or 1 for n in shape) < 2**56  # NumPy's limit
        if not has_sane_shape or n_bytes != n_elements * dtype.itemsize:
            self.fail(f"shape and byte length of tensor {what} that agree", f"{shape}, {n_bytes}", start + 32)
        offset = start + 40 + 8 * n_dims
        self.offset = offset
        self.require(n_bytes, f"data of tensor {what}")
        self.offset += n_bytes
        return _Tensor(start, offset, dtype, tuple(shape))

    def frame(self, what: str) -> dict[str, _Tensor]:
        frame = {}
        for _ in range(self.count(_SHORTEST_TEXT + 40, f"tensors of {what}")):
            start = self.offset
            name = self.text(f"tensor name of {what}")
            if name in frame:
                self.fail(f"different tensor names in {what}", f"{name!r} twice", start)
            frame[name] = self.tensor(name)
        return frame

    def names(self, wanted: int, what: str) -> list[str]:
        return [self.text(what) for _ in range(self.count(_SHORTEST_TEXT, what, wanted))]

    def coo(self) -> _Matrix:
        start = self.offset
        self.expect(COO_MAGIC, "COO magic")
        n_columns, n_rows = self.size("columns"), self.size("rows")
        row, column, edge_ids = (self._indices(name) for name in ("row", "column", "edge ids"))
        if row.shape != column.shape:
            self.fail(f"column indices of shape {row.shape}", column.shape, column.start)
        if edge_ids.shape not in ((0,), row.shape):
            self.fail(f"edge ids of shape (0,) or {row.shape}", edge_ids.shape, edge_ids.start)
        self.flag("row sorted")
        self.flag("column sorted")
        return _Matrix(start, n_rows, n_columns, row, column, edge_ids, is_compressed=False, is_transposed=False)

    def csr(self, is_transposed: bool = False) -> _Matrix:
        start = self.offset
        self.expect(CSR_MAGIC, "CSR magic")
        n_columns, n_rows = self.size("columns"), self.size("rows")
        pointer, column, edge_ids = (self._indices(name) for name in ("index pointer", "indices", "edge ids"))
        if pointer.shape != (n_rows + 1,):
            self.fail(f"an index pointer of shape {(n_rows + 1,)}", pointer.shape, pointer.start)
        if edge_ids.shape not in ((0,), column.shape):
            self.fail(f"edge ids of shape (0,) or {column.shape}", edge_ids.shape, edge_ids.start)
        self.flag("sorted")
        return _Matrix(
            start, n_rows, n_columns, pointer, column, edge_ids, is_compressed=True, is_transposed=is_transposed
        )

    def metagraph(self) -> _Matrix:
        self.expect(META_MAGIC, "metagraph magic")
        return self.csr()

    def relation(self, has_one_node_type: bool) -> list[_Matrix]:
        start = self.offset
        self.expect(RELATION_MAGIC, "relation magic")
        saved, _allowed = self.u64("saved formats"), self.u64("allowed formats")
        if saved & MASK_FLAG and 0 < saved - MASK_FLAG < 8:
            formats = [bit for bit in (1, 2, 4) if saved & bit]
        elif saved in (1, 2, 3):
            formats = [(1, 2, 4)[saved - 1]]
        else:
            self.fail("saved formats 1, 2, 3 (DGL 0.5 to 0.9) or a mask from 0x100000001 (1.0)", hex(saved), start + 8)
        matrices = []
        usual = encode_relation_metagraph(has_one_node_type)
        for bit in formats:
            if self.data.startswith(usual, self.offset):
                self.offset += len(usual)  # as nearly always; three tensor headers less to look at
            else:
                self.metagraph()
            matrices.append(self.coo() if bit == 1 else self.csr(is_transposed=bit == 4))
        return matrices

    def _indices(self, what: str) -> _Tensor:
        tensor = self.tensor(what)
        if len(tensor.shape) != 1 or tensor.dtype.str not in ("<i8", "<i4"):
            self.fail(f"{what} of int64 or int32 in one dimension", f"{tensor.dtype} {tensor.shape}", tensor.start)
        return tensor

    def copy(self, tensor: _Tensor) -> numpy.ndarray:
        flat = numpy.frombuffer(self.data, tensor.dtype, math.prod(tensor.shape), tensor.offset)
        if tensor.dtype == bool and flat.size and flat.view("u1").max() > 1:
            self.fail("booleans of 0 or 1", int(flat.view("u1").max()), tensor.offset)
        return flat.reshape(tensor.shape).copy()  # a view would be unaligned and keep the whole file in memory

    def copy_edges(self, matrix: _Matrix) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Source and destination nodes by edge id."""
        row, column = self.copy(matrix.row), self.copy(matrix.column)
        if matrix.is_compressed:
            if row[0] != 0 or row[-1] != len(column) or (row[1:] < row[:-1]).any():
                self.fail(f"an index pointer that rises from 0 to {len(column)}", "another", matrix.row.start)
            row = numpy.repeat(numpy.arange(matrix.n_rows, dtype=row.dtype), numpy.diff(row))
        for indices, n_nodes, tensor in ((row, matrix.n_rows, matrix.row), (column, matrix.n_columns, matrix.column)):
            if indices.size and (indices.min() < 0 or indices.max() >= n_nodes):
                self.fail(f"indices from 0 to {n_nodes - 1}", "others", tensor.start)
        if matrix.edge_ids.shape[0]:
            edge_ids = self.copy(matrix.edge_ids)
            if (numpy.sort(edge_ids) != numpy.arange(len(row))).any():
                self.fail("a permutation of the edge ids", "another list", matrix.edge_ids.start)
            order = numpy.argsort(edge_ids)
            row, column = row[order], column[order]
        return (column, row) if matrix.is_transposed else (row, column)


def read_heterograph(
    path: str | os.PathLike,
    keep: typing.Collection[tuple[str, str]] | None = None,
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
    with path.open("rb") as file:
        data = file.read(HEADER_BYTES)
        _check_header(_Cursor(path, data))
        data += file.read()
    cursor = _Cursor(path, data)
    cursor.offset = HEADER_BYTES
    graph_start = cursor.u64("offset of the graph")
    labels = cursor.frame("labels")
    if cursor.offset != graph_start:
        cursor.fail(f"the labels to end at {graph_start}, where the graph starts", cursor.offset)
    graph = _read_graph(cursor, labels, keep, with_edges)
    _check_footer(cursor, graph_start)
    return graph


def _check_header(cursor: _Cursor) -> None:
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


def _check_footer(cursor: _Cursor, graph_start: int) -> None:
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
    cursor: _Cursor, labels: dict[str, _Tensor], keep: typing.Collection[tuple[str, str]] | None, with_edges: bool
) -> Heterograph:
    cursor.expect(HETERO_MAGIC, "heterograph magic")
    n_node_types, ends = _read_edge_ends(cursor)
    n_edge_types = len(ends)
    cursor.count(_SHORTEST_RELATION, "relations", n_edge_types)
    relations = [cursor.relation(has_one_node_type=source == target) for source, target in ends]
    cursor.count(8, "node counts", n_node_types)
    counts = [cursor.size("node count") for _ in range(n_node_types)]
    _check_relations(cursor, relations, [(counts[source], counts[target]) for source, target in ends])
    cursor.count(_SHORTEST_FRAME, "node frames", n_node_types)
    node_frames = [cursor.frame("a node frame") for _ in range(n_node_types)]
    cursor.count(_SHORTEST_FRAME, "edge frames", n_edge_types)
    edge_frames = [cursor.frame("an edge frame") for _ in range(n_edge_types)]
    _check_frames(cursor, node_frames, counts)
    _check_frames(cursor, edge_frames, [_count_edges(matrices[0]) for matrices in relations])

    names_start = cursor.offset
    node_types = tuple(cursor.names(n_node_types, "node type names"))
    edge_names = cursor.names(n_edge_types, "edge type names")
    edge_types = tuple(
        (node_types[source], name, node_types[target]) for name, (source, target) in zip(edge_names, ends, strict=True)
    )
    for what, names in (("node types", node_types), ("edge types", edge_types)):
        if len(set(names)) != len(names):
            cursor.fail(f"{what} that differ", "a name twice", names_start)
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


def _read_edge_ends(cursor: _Cursor) -> tuple[int, list[tuple[int, int]]]:
    """The number of node types, and the ids of the source and destination node type of each edge type."""
    metagraph = cursor.metagraph()
    if metagraph.n_rows != metagraph.n_columns:
        cursor.fail(f"a metagraph of {metagraph.n_rows} columns", metagraph.n_columns, metagraph.start)
    source, target = cursor.copy_edges(metagraph)
    return metagraph.n_rows, list(zip(source.tolist(), target.tolist(), strict=True))


def _count_edges(matrix: _Matrix) -> int:
    return matrix.column.shape[0]


def _check_relations(cursor: _Cursor, relations: list[list[_Matrix]], node_counts: list[tuple[int, int]]) -> None:
    for matrices, (n_sources, n_targets) in zip(relations, node_counts, strict=True):
        for matrix in matrices:
            wanted = (n_targets, n_sources) if matrix.is_transposed else (n_sources, n_targets)
            found = (matrix.n_rows, matrix.n_columns)
            if found != wanted:
                cursor.fail(f"a matrix of shape {wanted}, as the node counts say", found, matrix.start)
            if _count_edges(matrix) != _count_edges(matrices[0]):
                cursor.fail(f"{_count_edges(matrices[0])} edges in each matrix", _count_edges(matrix), matrix.start)


def _check_frames(cursor: _Cursor, frames: list[dict[str, _Tensor]], counts: list[int]) -> None:
    for frame, count in zip(frames, counts, strict=True):
        for name, tensor in frame.items():
            if tensor.shape[:1] != (count,):
                cursor.fail(f"tensor {name} of first dimension {count}", f"shape {tensor.shape}", tensor.start)
