"""DGL's binary graph files (``dgl.save_graphs``, container version 2) read and written without DGL.

The layout follows DGL's sources (https://github.com/dmlc/dgl, src/graph/serialize and src/graph/heterograph.cc):
everything little-endian and packed; a 4096-byte header of which 32 bytes mean something; the labels; the graphs; a
table of their offsets. A graph holds a *metagraph* (which node type each edge type joins to which), one *relation*
(adjacency matrix) an edge type, the node counts, one *frame* (named tensors) a node and edge type, and last the names.
There is no checksum: damage inside the data of a tensor cannot be seen.
"""

import dataclasses
import functools
import math
import os
import pathlib
import struct
import typing

import numpy

from common.files import replace_atomically

FILE_MAGIC = 0xDD2E4FF046B4A13F
HETERO_MAGIC = 0xDD589FBE35224ABF
META_MAGIC = 0xDD3C5FFE20046ABF
RELATION_MAGIC = 0xDD2E60F0F6B4A127
COO_MAGIC = 0xDD61FFD305DFF127
CSR_MAGIC = 0xDD6CD31205DFF127
TENSOR_MAGIC = 0xDD5E40F096B4A13F

VERSION = 2
GRAPH_KIND = 2
HEADER_BYTES = 4096
MAX_DIMENSIONS = 32
SAVED_AS_COO = 1
ALL_FORMATS_ALLOWED = 0x1_0000_0007
MASK_FLAG = 1 << 32
"""Set in the word of saved formats by DGL 1.0 and later: the low word is a mask (COO 1, CSR 2, CSC 4) and no number."""

DTYPES = {
    **{(0, 8 * n): numpy.dtype(f"<i{n}") for n in (1, 2, 4, 8)},
    **{(1, 8 * n): numpy.dtype(f"<u{n}") for n in (1, 2, 4, 8)},
    **{(2, 8 * n): numpy.dtype(f"<f{n}") for n in (2, 4, 8)},
    (6, 8): numpy.dtype(bool),
}
"""By DGL's (type code, bits). DGL 0.8 and later store booleans as u1."""

_U64 = struct.Struct("<Q")
_I64 = struct.Struct("<q")
_TENSOR_START = struct.Struct("<24siBBH")
_TENSOR_PREFIX = struct.pack("<QQii", TENSOR_MAGIC, 0, 1, 0)  # magic, reserved, device type CPU, device id
_SHAPES = tuple(struct.Struct(f"<{n_dims + 1}q") for n_dims in range(MAX_DIMENSIONS + 1))  # shape and byte length
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


# --- reading ---------------------------------------------------------------------------------------------------------


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
        value = _U64.unpack_from(self.data, self.offset)[0]
        self.offset += 8
        return value

    def i64(self, what: str) -> int:
        self.require(8, what)
        value = _I64.unpack_from(self.data, self.offset)[0]
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
        prefix, n_dims, code, bits, lanes = _TENSOR_START.unpack_from(self.data, start)
        if prefix != _TENSOR_PREFIX:
            self.fail(f"tensor {what} (magic, 0, device 1, 0)", prefix.hex(" ", 8), start)
        dtype = DTYPES.get((code, bits))
        if dtype is None or lanes != 1:
            self.fail(f"a known type of tensor {what}", f"code {code}, {bits} bits, {lanes} lanes", start + 28)
        if not 0 <= n_dims <= MAX_DIMENSIONS:
            self.fail(f"0 to {MAX_DIMENSIONS} dimensions of tensor {what}", n_dims, start + 24)
        self.require(40 + 8 * n_dims, f"tensor {what}")
        *shape, n_bytes = _SHAPES[n_dims].unpack_from(self.data, start + 32)
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
        usual = _encode_relation_metagraph(has_one_node_type)
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


# --- writing ---------------------------------------------------------------------------------------------------------


def write_heterograph(path: str | os.PathLike, graph: Heterograph) -> None:
    """Writes one graph as DGL 0.9 does: adjacency as coordinate lists, tensors in the order of their frames.

    Every DGL from 0.5 on loads it. The header holds zeros where DGL leaves uninitialised memory.

    Raises:
        ValueError: the edges are missing, or sizes disagree, or a dtype has no counterpart in DGL.
    """
    _check_graph(graph)
    labels = _encode_frame(graph.labels)
    graph_start = HEADER_BYTES + 8 + len(labels)
    header = struct.pack("<QQQQ", FILE_MAGIC, VERSION, GRAPH_KIND, 1).ljust(HEADER_BYTES, b"\0")
    footer = struct.pack("<QQQQ", 16, 1, graph_start, 16)
    with replace_atomically(path) as beside:
        beside.write_bytes(header + _U64.pack(graph_start) + labels + _encode_graph(graph) + footer)


def _check_graph(graph: Heterograph) -> None:
    if graph.edges is None:
        raise ValueError("a graph without its edges cannot be written; read it with with_edges=True")
    for source, name, target in graph.edge_types:
        edges = graph.edges[source, name, target]
        for nodes, type_ in zip(edges, (source, target), strict=True):
            n_nodes = graph.node_counts[type_]
            if (
                nodes.shape != edges[0].shape
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


def _encode_graph(graph: Heterograph) -> bytes:
    ids = {type_: i for i, type_ in enumerate(graph.node_types)}
    ends = [(ids[source], ids[target]) for source, _, target in graph.edge_types]
    return b"".join(
        [
            _U64.pack(HETERO_MAGIC),
            _encode_metagraph(ends, len(ids)),
            _U64.pack(len(ends)),
            *(_encode_relation(graph, edge_type) for edge_type in graph.edge_types),
            struct.pack(f"<Q{len(ids)}q", len(ids), *(graph.node_counts[type_] for type_ in graph.node_types)),
            _U64.pack(len(ids)),
            *(_encode_frame(graph.node_frames.get(type_, {})) for type_ in graph.node_types),
            _U64.pack(len(ends)),
            *(_encode_frame(graph.edge_frames.get(edge_type, {})) for edge_type in graph.edge_types),
            _U64.pack(len(ids)),
            *(_encode_text(type_) for type_ in graph.node_types),
            _U64.pack(len(ends)),
            *(_encode_text(name) for _, name, _ in graph.edge_types),
        ]
    )


def _encode_relation(graph: Heterograph, edge_type: EdgeType) -> bytes:
    source, _, target = edge_type
    row, column = graph.edges[edge_type]
    return b"".join(
        [
            struct.pack("<QQQ", RELATION_MAGIC, SAVED_AS_COO, ALL_FORMATS_ALLOWED),
            _encode_relation_metagraph(has_one_node_type=source == target),
            struct.pack("<Qqq", COO_MAGIC, graph.node_counts[target], graph.node_counts[source]),
            _encode_tensor(row),
            _encode_tensor(column),
            _encode_tensor(numpy.empty(0, numpy.int64)),  # no edge ids: 0, 1, 2, ...
            b"\0\0",  # not known to be sorted
        ]
    )


@functools.cache
def _encode_relation_metagraph(has_one_node_type: bool) -> bytes:
    return _encode_metagraph([(0, 0)], 1) if has_one_node_type else _encode_metagraph([(0, 1)], 2)


def _encode_metagraph(ends: list[tuple[int, int]], n_node_types: int) -> bytes:
    sources, targets = numpy.array(ends, numpy.int64).reshape(-1, 2).T
    order = numpy.argsort(sources, kind="stable")
    pointer = numpy.searchsorted(sources[order], numpy.arange(n_node_types + 1))
    tensors = (pointer.astype(numpy.int64), targets[order], order.astype(numpy.int64))
    start = struct.pack("<QQqq", META_MAGIC, CSR_MAGIC, n_node_types, n_node_types)
    return start + b"".join(_encode_tensor(tensor) for tensor in tensors) + b"\0"


def _encode_frame(frame: Frame) -> bytes:
    return _U64.pack(len(frame)) + b"".join(_encode_text(n) + _encode_tensor(v) for n, v in frame.items())


def _encode_text(text: str) -> bytes:
    encoded = text.encode()
    return _U64.pack(len(encoded)) + encoded


def _encode_tensor(values: numpy.ndarray) -> bytes:
    values = values.view("u1") if values.dtype == bool else values
    codes = {dtype: code for code, dtype in DTYPES.items()}
    code, bits = codes.get(values.dtype, (None, None))
    if code is None:
        raise ValueError(f"a tensor of dtype {values.dtype} cannot be written: DGL has none of that type")
    start = _TENSOR_START.pack(_TENSOR_PREFIX, values.ndim, code, bits, 1)
    return start + _SHAPES[values.ndim].pack(*values.shape, values.nbytes) + values.tobytes()
