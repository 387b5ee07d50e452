"""A walk over the bytes of a DGL graph file: numbers, texts, tensors and sparse matrices, each checked on the way.

What lies where is said by ``common.heterograph.layout``, in what order by ``common.heterograph.reader``.
"""

import math
import pathlib
import struct
import typing

import numpy

from common.heterograph.layout import (
    COO_MAGIC,
    CSR_MAGIC,
    DTYPES,
    I64,
    MASK_FLAG,
    MAX_DIMENSIONS,
    META_MAGIC,
    RELATION_MAGIC,
    SAVED_AS_COO,
    SHAPES,
    TENSOR_PREFIX,
    TENSOR_START,
    U64,
    encode_relation_metagraph,
    encode_relation_start,
    encode_tensor,
)

_INDICES_START = TENSOR_START.pack(TENSOR_PREFIX, 1, 0, 64, 1)
_COO_ROWS = struct.Struct(f"<qq{len(_INDICES_START)}sqq")  # columns, rows; then the tensor: its start, shape and bytes
_COO_COLUMNS = struct.Struct(f"<{len(_INDICES_START)}sqq")
_COO_END = encode_tensor(numpy.empty(0, numpy.int64)) + b"\0\0"  # edge ids 0, 1, 2, ...; not known to be sorted
SHORTEST_TEXT, SHORTEST_FRAME, SHORTEST_RELATION = 8, 8, 24  # bytes


class HeterographError(ValueError):
    """A file that is damaged, of another version, or no graph file; the message names file, offset and expectation."""


class Tensor(typing.NamedTuple):
    """Where a tensor lies in the file: nothing is copied before it is wanted."""

    start: int
    offset: int
    dtype: numpy.dtype
    shape: tuple[int, ...]


class Indices(typing.NamedTuple):
    """Which elements of a sparse matrix there are; of a compressed one, ``row`` is the index pointer."""

    row: Tensor
    column: Tensor
    edge_ids: Tensor


class Matrix(typing.NamedTuple):
    """A sparse matrix: rows are source nodes, except in a transposed one.

    ``indices`` are None where nobody wants the edges.
    """

    start: int
    n_rows: int
    n_columns: int
    n_edges: int
    is_compressed: bool
    is_transposed: bool
    indices: Indices | None = None


class Cursor:
    """Walks over the bytes of a file; every step is checked against the bytes that are left."""

    def __init__(self, path: pathlib.Path, data: bytes):
        self.path = path
        self.data = data
        self.offset = 0

    def fail(self, expected: str, found: typing.Any, offset: int | None = None) -> typing.NoReturn:
        offset = self.offset if offset is None else offset
        raise HeterographError(f"{self.path}: at byte {offset}: expected {expected}, found {found}")

    def require(self, n_bytes: int, *what: str) -> None:
        left = len(self.data) - self.offset
        if n_bytes > left:
            self.fail(f"{n_bytes} bytes of {' '.join(what)}", f"{left} bytes to the end of the file")

    def u64(self, *what: str) -> int:
        self.require(8, *what)
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
        value = self.u64("number of", what)
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
        length = self.count(1, what)
        start = self.offset
        self.offset += length
        try:
            return self.data[start : self.offset].decode()
        except UnicodeDecodeError as error:
            self.fail(f"UTF-8 text in {what}", error.reason, start)

    def tensor(self, what: str) -> Tensor:
        start = self.offset
        self.require(40, "tensor", what)
        prefix, n_dims, code, bits, lanes = TENSOR_START.unpack_from(self.data, start)
        if prefix != TENSOR_PREFIX:
            self.fail(f"tensor {what} (magic, 0, device 1, 0)", prefix.hex(" ", 8), start)
        dtype = DTYPES.get((code, bits))
        if dtype is None or lanes != 1:
            self.fail(f"a known type of tensor {what}", f"code {code}, {bits} bits, {lanes} lanes", start + 28)
        if not 0 <= n_dims <= MAX_DIMENSIONS:
            self.fail(f"0 to {MAX_DIMENSIONS} dimensions of tensor {what}", n_dims, start + 24)
        self.require(40 + 8 * n_dims, "tensor", what)
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
        self.require(n_bytes, "data of tensor", what)
        self.offset += n_bytes
        return Tensor(start, offset, dtype, tuple(shape))

    def frame(self, what: str) -> dict[str, Tensor]:
        frame = {}
        for _ in range(self.count(SHORTEST_TEXT + 40, f"tensors of {what}")):
            start = self.offset
            name = self.text(what)
            if name in frame:
                self.fail(f"different tensor names in {what}", f"{name!r} twice", start)
            frame[name] = self.tensor(name)
        return frame

    def names(self, wanted: int, what: str) -> list[str]:
        return [self.text(what) for _ in range(self.count(SHORTEST_TEXT, what, wanted))]

    def coo(self) -> Matrix:
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
        return Matrix(start, n_rows, n_columns, row.shape[0], False, False, Indices(row, column, edge_ids))

    def csr(self, is_transposed: bool = False) -> Matrix:
        start = self.offset
        self.expect(CSR_MAGIC, "CSR magic")
        n_columns, n_rows = self.size("columns"), self.size("rows")
        pointer, column, edge_ids = (self._indices(name) for name in ("index pointer", "indices", "edge ids"))
        if pointer.shape != (n_rows + 1,):
            self.fail(f"an index pointer of shape {(n_rows + 1,)}", pointer.shape, pointer.start)
        if edge_ids.shape not in ((0,), column.shape):
            self.fail(f"edge ids of shape (0,) or {column.shape}", edge_ids.shape, edge_ids.start)
        self.flag("sorted")
        indices = Indices(pointer, column, edge_ids)
        return Matrix(start, n_rows, n_columns, column.shape[0], True, is_transposed, indices)

    def metagraph(self) -> Matrix:
        self.expect(META_MAGIC, "metagraph magic")
        return self.csr()

    def pass_over_usual_relation(self, has_one_node_type: bool) -> list[Matrix] | None:
        """The sizes of a relation of the one kind that archives hold; None, and not a step, if it is any other.

        There are some sixty of them in a file, whose edges nobody wants: this is where the time goes.
        """
        data, start = self.data, self.offset
        usual = encode_relation_start(has_one_node_type, SAVED_AS_COO)
        if not data.startswith(usual, start):
            usual = encode_relation_start(has_one_node_type, MASK_FLAG | SAVED_AS_COO)
            if not data.startswith(usual, start):
                return None
        first = start + len(usual)
        try:
            n_columns, n_rows, header, n_edges, n_bytes = _COO_ROWS.unpack_from(data, first)
            if header != _INDICES_START or n_bytes != 8 * n_edges or min(n_columns, n_rows, n_edges) < 0:
                return None
            second = first + _COO_ROWS.size + n_bytes
            if _COO_COLUMNS.unpack_from(data, second) != (header, n_edges, n_bytes):
                return None
        except (struct.error, OverflowError):
            return None
        end = second + _COO_COLUMNS.size + n_bytes
        if not data.startswith(_COO_END, end):
            return None
        self.offset = end + len(_COO_END)
        return [Matrix(first - 8, n_rows, n_columns, n_edges, False, False)]

    def relation(self, has_one_node_type: bool) -> list[Matrix]:
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

    def _indices(self, what: str) -> Tensor:
        tensor = self.tensor(what)
        if len(tensor.shape) != 1 or tensor.dtype.str not in ("<i8", "<i4"):
            self.fail(f"{what} of int64 or int32 in one dimension", f"{tensor.dtype} {tensor.shape}", tensor.start)
        return tensor

    def copy(self, tensor: Tensor) -> numpy.ndarray:
        flat = numpy.frombuffer(self.data, tensor.dtype, math.prod(tensor.shape), tensor.offset)
        if tensor.dtype == bool and flat.size and flat.view("u1").max() > 1:
            self.fail("booleans of 0 or 1", int(flat.view("u1").max()), tensor.offset)
        return flat.reshape(tensor.shape).copy()  # a view would be unaligned and keep the whole file in memory

    def copy_edges(self, matrix: Matrix) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Source and destination nodes by edge id, of a matrix that was read with its indices."""
        if matrix.indices is None:
            raise ValueError("the edges of this matrix were passed over")
        row, column = self.copy(matrix.indices.row), self.copy(matrix.indices.column)
        if matrix.is_compressed:
            if row[0] != 0 or row[-1] != len(column) or (row[1:] < row[:-1]).any():
                self.fail(f"an index pointer that rises from 0 to {len(column)}", "another", matrix.indices.row.start)
            row = numpy.repeat(numpy.arange(matrix.n_rows, dtype=row.dtype), numpy.diff(row))
        for nodes, n_nodes, tensor in (
            (row, matrix.n_rows, matrix.indices.row),
            (column, matrix.n_columns, matrix.indices.column),
        ):
            if nodes.size and (nodes.min() < 0 or nodes.max() >= n_nodes):
                self.fail(f"indices from 0 to {n_nodes - 1}", "others", tensor.start)
        if matrix.indices.edge_ids.shape[0]:
            edge_ids = self.copy(matrix.indices.edge_ids)
            if (numpy.sort(edge_ids) != numpy.arange(len(row))).any():
                self.fail("a permutation of the edge ids", "another list", matrix.indices.edge_ids.start)
            order = numpy.argsort(edge_ids)
            row, column = row[order], column[order]
        return (column, row) if matrix.is_transposed else (row, column)
