"""A weights file is data: it must not run anything, and when damaged it must say so."""

import io
import pathlib
import pickle
import zipfile

import pytest
import torch

from common.nagl.weights import find_weights, load_weights

MODEL = "openff-gnn-am1bcc-1.0.0.pt"


class Touch:
    """Unpickled with full trust, makes a file."""

    def __init__(self, path: pathlib.Path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


class Evaluate:
    """Unpickled with full trust, evaluates an expression."""

    def __init__(self, expression: str):
        self.expression = expression

    def __reduce__(self):
        return eval, (self.expression,)


def write_archive(path: pathlib.Path, content: bytes, storages: dict[str, bytes] | None = None) -> pathlib.Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", content)
        for key, storage in (storages or {}).items():
            archive.writestr(f"model/data/{key}", storage)
    return path


def test_a_file_that_would_run_something_is_refused_and_runs_nothing(tmp_path):
    trace = tmp_path / "it-ran"
    for payload in (Touch(trace), Evaluate(f"__import__('pathlib').Path({str(trace)!r}).touch()")):
        content = pickle.dumps({"hyperparameters": payload, "state_dict": {}}, protocol=2)
        path = write_archive(tmp_path / "hostile.pt", content)
        with pytest.raises(
            ValueError, match=r"hostile\.pt: refused, it asks for (pathlib|posixpath|builtins|__builtin__)"
        ):
            load_weights(path)
        assert not trace.exists()
        pickle.loads(content)  # the payload does work on a reader that trusts it
        assert trace.exists()
        trace.unlink()


def test_the_refusal_names_the_class(tmp_path):
    content = pickle.dumps({"hyperparameters": io.BytesIO(b"")}, protocol=4)
    with pytest.raises(ValueError, match=r"asks for _io\.BytesIO, which no charge model needs; nothing was run"):
        load_weights(write_archive(tmp_path / "other.pt", content))


def test_a_name_that_hides_behind_an_allowed_module_is_refused(tmp_path):
    """A dotted name would walk from an allowed one to its attributes."""
    content = b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.fromkeys\x93."
    with pytest.raises(ValueError, match=r"refused, it asks for collections\.OrderedDict\.fromkeys"):
        load_weights(write_archive(tmp_path / "dotted.pt", content))


def test_a_storage_of_another_type_is_refused(tmp_path):
    path = tmp_path / "double.pt"
    torch.save({"hyperparameters": {}, "state_dict": {"weight": torch.zeros(3, dtype=torch.float64)}}, path)
    with pytest.raises(ValueError, match=r"refused, it asks for torch\.DoubleStorage"):
        load_weights(path)


def test_a_tensor_that_reaches_beyond_its_storage_is_refused(tmp_path):
    path = tmp_path / "short.pt"
    torch.save({"hyperparameters": {"config": {}}, "state_dict": {"weight": torch.zeros(4, 4)}}, path)
    assert load_weights(path).tensors["weight"].shape == (4, 4)
    with zipfile.ZipFile(path) as archive:
        content = archive.read("short/data.pkl")
    assert content.count(b"K\x04K\x04\x86") == 1  # the shape
    longer = content.replace(b"K\x04K\x04\x86", b"K\x64K\x04\x86")
    with pytest.raises(ValueError, match=r"short\.pt: damaged"):
        load_weights(write_archive(path, longer, {"0": bytes(64)}))


@pytest.mark.parametrize("keep", [0, 10, 5_000, 1_000_000, 16_000_000])
def test_a_truncated_file_is_called_damaged(tmp_path, keep):
    path = tmp_path / "cut.pt"
    path.write_bytes(find_weights(MODEL).read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"cut\.pt: damaged, or no NAGL charge model.*install the package"):
        load_weights(path)


@pytest.mark.parametrize("position", [2_000, 1_000_000, 5_000_000, 8_000_000, 16_000_000])
def test_a_single_damaged_byte_is_noticed(tmp_path, position):
    """In the pickle (the first third) or in a tensor, where the number would still be a number."""
    content = bytearray(find_weights(MODEL).read_bytes())
    content[position] ^= 1
    path = tmp_path / "flipped.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"flipped\.pt: damaged, or no NAGL charge model \(BadZipFile: Bad CRC"):
        load_weights(path)


def test_a_file_of_another_kind_is_called_no_charge_model(tmp_path):
    path = tmp_path / "other.pt"
    torch.save({"format": 1}, path)
    with pytest.raises(ValueError, match=r"other\.pt: damaged, or no NAGL charge model"):
        load_weights(path)


def test_what_the_released_model_holds():
    weights = load_weights(find_weights(MODEL))
    assert weights.allowed_elements == (1, 6, 7, 8, 9, 15, 16, 17, 35, 53)
    assert len(weights.forbidden_patterns) == 19
    assert len(weights.lookup_table) == 13944
    assert len(weights.tensors) == 22
    ethanol = weights.lookup_table["InChI=1/CH4O/c1-2/h2H,1H3"]
    assert sum(ethanol.charges) == pytest.approx(0.0, abs=1e-4)  # tabulated with five decimals


def test_tensors_are_those_that_torch_reads():
    """The weights alone, saved again by torch and read by its own restricted reader."""
    tensors = load_weights(find_weights(MODEL)).tensors
    buffer = io.BytesIO()
    torch.save(tensors, buffer)
    buffer.seek(0)
    for name, tensor in torch.load(buffer, weights_only=True).items():
        assert torch.equal(tensor, tensors[name])
