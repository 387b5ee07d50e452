"""The layout of DGL's binary graph files (``dgl.save_graphs``, container version 2): numbers, tensors, metagraphs.

After DGL's sources (https://github.com/dmlc/dgl, src/graph/serialize and src/graph/heterograph.cc): everything
little-endian and packed; a 4096-byte header of which 32 bytes mean something; the labels; the graphs; a table of their
offsets. A graph holds a *metagraph* (which node type each edge type joins to which), one *relation* (adjacency matrix)
an edge type, the node counts, one *frame* (named tensors) a node and edge type, and last the names.
"""

import functools
import struct

import numpy

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

U64 = struct.Struct("<Q")
I64 = struct.Struct("<q")
TENSOR_START = struct.Struct("<24siBBH")
TENSOR_PREFIX = struct.pack("<QQii", TENSOR_MAGIC, 0, 1, 0)  # magic, reserved, device type CPU, device id
SHAPES = tuple(struct.Struct(f"<{n_dims + 1}q") for n_dims in range(MAX_DIMENSIONS + 1))  # shape and byte length


@functools.cache
def encode_relation_start(has_one_node_type: bool, saved_formats: int) -> bytes:
    """The bytes with which a relation saved as a coordinate list begins, up to the numbers of its columns and rows."""
    words = (RELATION_MAGIC, saved_formats, ALL_FORMATS_ALLOWED)
    return struct.pack("<QQQ", *words) + encode_relation_metagraph(has_one_node_type) + U64.pack(COO_MAGIC)


@functools.cache
def encode_relation_metagraph(has_one_node_type: bool) -> bytes:
    """The bytes of the metagraph that every relation repeats: one node with a loop, or an edge between two."""
    return encode_metagraph([(0, 0)], 1) if has_one_node_type else encode_metagraph([(0, 1)], 2)


def encode_metagraph(ends: list[tuple[int, int]], n_node_types: int) -> bytes:
    """The bytes of a metagraph.

    Args:
        ends: the ids of the source and the destination node type of each edge type.
        n_node_types: how many there are.
    """
    sources, targets = numpy.array(ends, numpy.int64).reshape(-1, 2).T
    order = numpy.argsort(sources, kind="stable")
    pointer = numpy.searchsorted(sources[order], numpy.arange(n_node_types + 1))
    tensors = (pointer.astype(numpy.int64), targets[order], order.astype(numpy.int64))
    start = struct.pack("<QQqq", META_MAGIC, CSR_MAGIC, n_node_types, n_node_types)
    return start + b"".join(encode_tensor(tensor) for tensor in tensors) + b"\0"


def encode_tensor(values: numpy.ndarray) -> bytes:
    """The bytes of a tensor, header and data.

    Raises:
        ValueError: DGL has no counterpart of the dtype.
    """
    values = values.view("u1") if values.dtype == bool else values
    codes = {dtype: code for code, dtype in DTYPES.items()}
    code, bits = codes.get(values.dtype, (None, None))
    if code is None:
        raise ValueError(f"a tensor of dtype {values.dtype} cannot be written: DGL has none of that type")
    start = TENSOR_START.pack(TENSOR_PREFIX, values.ndim, code, bits, 1)
    return start + SHAPES[values.ndim].pack(*values.shape, values.nbytes) + values.tobytes()
