"""Arrays in files."""

import numpy
import pytest

from common.files.arrays import read_arrays, write_arrays


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "arrays.npz"
    write_arrays(path, {"a": numpy.arange(6.0).reshape(2, 3), "word": numpy.array("known"), "n": 3})
    return path


def test_arrays_come_back(path):
    found = read_arrays(path, ["n", "a", "word"])
    numpy.testing.assert_array_equal(found["a"], numpy.arange(6.0).reshape(2, 3))
    assert (int(found["n"]), str(found["word"])) == (3, "known")


def test_one_that_is_missing_is_named(path):
    with pytest.raises(ValueError, match=r"arrays\.npz: damaged .*'b"):
        read_arrays(path, ["b"])


@pytest.mark.parametrize("damage", ["cut", "empty", "other"])
def test_a_damaged_file_is_named(path, damage):
    content = path.read_bytes()
    path.write_bytes({"cut": content[:100], "empty": b"", "other": b"PK" + content[2:60]}[damage])
    with pytest.raises(ValueError, match=r"arrays\.npz: damaged"):
        read_arrays(path, ["a"])


def test_objects_are_never_unpickled(tmp_path):
    numpy.savez(tmp_path / "objects.npz", a=numpy.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"objects\.npz: damaged .*pickle"):
        read_arrays(tmp_path / "objects.npz", ["a"])


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz: no such file"):
        read_arrays(tmp_path / "none.npz", ["a"])
