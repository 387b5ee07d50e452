"""Files of plain tensors: what torch reads of them, and nothing that runs."""

import pickle
import zipfile

import pytest
import torch

from common.files.tensor_file import RefusedError, read_tensors, write_tensors


def make_plain():
    buffer = torch.arange(12)
    return {
        "texts": ["a", "ä", ""],
        "numbers": {1: 2.5, "none": None, "flags": (True, False)},
        "tensors": {
            "matrix": torch.rand(3, 4, dtype=torch.float64),
            "columns": torch.rand(3, 4, dtype=torch.float64).T,
            "views": [buffer[:4], buffer[4:].view(2, 4)],
            "scalar": torch.tensor(0.1, dtype=torch.float64),
            "empty": torch.zeros((0, 2), dtype=torch.int64),
            "single": torch.rand(5),
            "mask": torch.tensor([True, False]),
        },
    }


def flatten(plain, path=()):
    if isinstance(plain, dict | list | tuple):
        items = plain.items() if isinstance(plain, dict) else enumerate(plain)
        return [leaf for key, value in items for leaf in flatten(value, (*path, key))]
    return [(path, plain)]


def test_what_is_read_is_what_torch_reads(tmp_path):
    write_tensors(make_plain(), tmp_path / "x.pt")
    found, expected = flatten(read_tensors(tmp_path / "x.pt")), flatten(torch.load(tmp_path / "x.pt"))
    assert [path for path, _ in found] == [path for path, _ in expected]
    for (path, one), (_, other) in zip(found, expected, strict=True):
        if isinstance(other, torch.Tensor):
            assert (one.dtype, one.shape, one.stride()) == (other.dtype, other.shape, other.stride()), path
            assert torch.equal(one, other), path
        else:
            assert one == other, path


def test_what_is_changed_in_memory_stays_there(tmp_path):
    write_tensors({"x": torch.zeros(3)}, tmp_path / "x.pt")
    read_tensors(tmp_path / "x.pt")["x"] += 1.0
    assert torch.equal(read_tensors(tmp_path / "x.pt")["x"], torch.zeros(3))


class Surprise:
    """What runs code when it is unpickled."""

    def __init__(self, function, *args):
        self.reduced = function, args

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("surprise", [Surprise(pytest.fail, "run"), Surprise(eval, "1"), Surprise(torch.load, "x")])
def test_anything_else_is_refused(surprise, tmp_path):
    torch.save([surprise], tmp_path / "x.pt")
    with pytest.raises(RefusedError, match="it asks for"):
        read_tensors(tmp_path / "x.pt")


def test_tensors_cannot_reach_beyond_their_storage(tmp_path):
    """A size that was tampered with is an error, not a look into other memory."""
    write_tensors({"x": torch.arange(4)}, tmp_path / "x.pt")
    with zipfile.ZipFile(tmp_path / "x.pt") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    [name] = [name for name in members if name.endswith("data.pkl")]
    size = pickle.BININT1 + bytes([4]) + pickle.TUPLE1  # of the tensor: (4,)
    assert members[name].count(size) == 1
    members[name] = members[name].replace(size, pickle.BININT1 + bytes([200]) + pickle.TUPLE1)
    with zipfile.ZipFile(tmp_path / "y.pt", "w") as archive:
        for one, content in members.items():
            archive.writestr(one, content)
    with pytest.raises(ValueError, match="out of bounds"):
        read_tensors(tmp_path / "y.pt")
