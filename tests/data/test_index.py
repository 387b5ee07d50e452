"""The index: what the rows of data sets are, without reading their coordinates."""

import dataclasses

import numpy
import pyarrow
import pytest

from common.data.dataset import SCHEMA, Entry
from common.data.index import Row, index_dataset, index_sources
from common.files.artifacts import ArtifactError
from tests.helpers import write_dataset


def make_entry(smiles: str, n_confs: int, n_atoms: int) -> Entry:
    coords = numpy.zeros((n_confs, n_atoms, 3))
    return Entry(smiles, coords, numpy.zeros(n_confs), coords)


ENTRIES = {"b": [make_entry("x", 3, 5), make_entry("y", 1, 2)], "a": [make_entry("x", 2, 5)]}
ROWS = [Row("a", 0, "x", 2, 30), Row("b", 0, "x", 3, 45), Row("b", 1, "y", 1, 6)]


@pytest.fixture
def data(tmp_path):
    for source, entries in ENTRIES.items():
        write_dataset(tmp_path / source, entries)
    return tmp_path


def test_all_rows_are_there_with_their_sizes(data):
    assert index_sources(data) == ROWS
    assert index_dataset(data / "b") == ROWS[1:]


def test_sizes_belong_to_a_number_of_atoms():
    assert ROWS[0].fits(5)
    assert not ROWS[0].fits(4)
    assert not dataclasses.replace(ROWS[0], n_confs=3).fits(5)


def test_no_data_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no data sets here"):
        index_sources(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere: no data set here"):
        index_dataset(tmp_path / "nowhere")


@pytest.mark.parametrize("column", ["smiles", "energy", "coords"])
def test_a_row_that_is_not_whole_is_named(column, data):
    """As another program may have written it."""
    [path] = (data / "b").glob("*.arrow")
    row = {"smiles": "x", "coords": [0.0] * 3, "energy": [0.0], "forces": [0.0] * 3, "energy_offset": 0.0, "entry": ""}
    with pyarrow.ipc.new_stream(str(path), SCHEMA) as stream:
        stream.write_batch(pyarrow.RecordBatch.from_pylist([row, {**row, column: None}], SCHEMA))
    with pytest.raises(ArtifactError, match=f"{data}/b: row 1, .*is not whole; run the stage that wrote it again"):
        index_dataset(data / "b")
