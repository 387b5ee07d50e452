"""Read a NAGL weights file without trusting it.

The file is a ``torch.save`` archive whose pickle names classes of openff-nagl. A pickle can call whatever it names, so
this reader knows a short list of names, gives each an inert stand-in, and refuses every other. Tensors are built from
the archive's raw bytes by torch's own checked functions.
"""

import collections.abc
import dataclasses
import hashlib
import importlib.resources
import io
import os
import pathlib
import pickle
import struct
import typing
import zipfile

import numpy
import torch


@dataclasses.dataclass(frozen=True)
class LookupEntry:
    """Charges of one small molecule, tabulated in place of predicted.

    Attributes:
        mapped_smiles: the molecule; map numbers less one are positions in ``charges``.
        charges: [e].
    """

    mapped_smiles: str
    charges: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class ChargeWeights:
    """What a NAGL weights file holds.

    Attributes:
        name: the file's name.
        sha256: of its bytes, as hexadecimal digits.
        config: atom features, convolution and readout, as plain dicts; activation functions by name.
        allowed_elements: atomic numbers that the model was trained on; empty if it does not say.
        forbidden_patterns: SMARTS of what it was not trained on.
        lookup_table: by InChI with fixed hydrogens.
        tensors: weights and biases by name, float32.
    """

    name: str
    sha256: str
    config: dict[str, typing.Any]
    allowed_elements: tuple[int, ...]
    forbidden_patterns: tuple[str, ...]
    lookup_table: dict[str, LookupEntry]
    tensors: dict[str, torch.Tensor]


READOUT = "am1bcc_charges"
"""The one property that is read from a model."""


def find_weights(name_or_path: str | os.PathLike) -> pathlib.Path:
    """The path of a weights file: as given, or by its name inside the installed package openff-nagl-models.

    Raises:
        FileNotFoundError: it is in neither place.
    """
    path = pathlib.Path(name_or_path)
    if path.is_file():
        return path
    try:
        folder = importlib.resources.files("openff.nagl_models") / "models" / "am1bcc"
    except ModuleNotFoundError as error:
        raise FileNotFoundError(
            f"{name_or_path}: no such file, and the package openff-nagl-models that holds the released models is not "
            "installed; run pip install -r requirements.txt"
        ) from error
    if path.name == str(name_or_path) and (folder / path.name).is_file():
        return pathlib.Path(str(folder / path.name))
    known = ", ".join(sorted(item.name for item in folder.iterdir() if item.name.endswith(".pt")))
    raise FileNotFoundError(f"{name_or_path}: no such charge model; the installed ones are {known}")


def load_weights(path: str | os.PathLike) -> ChargeWeights:
    """Reads a weights file.

    Raises:
        ValueError: the file is damaged, names a class that no charge model needs, or is no charge model.
    """
    path = pathlib.Path(path)
    content = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name.split("/", 1)[-1]: name for name in archive.namelist()}
            file = io.BytesIO(archive.read(members["data.pkl"]))  # read whole, for the archive's checksum
            plain = _WeightsUnpickler(file, path, lambda key: archive.read(members[f"data/{key}"])).load()
        return _to_weights(plain, path, hashlib.sha256(content).hexdigest())
    except _RefusedError as error:
        raise ValueError(str(error)) from error
    except (
        zipfile.BadZipFile,
        pickle.UnpicklingError,
        struct.error,
        AttributeError,
        EOFError,
        ImportError,
        IndexError,
        KeyError,
        MemoryError,
        OverflowError,
        RuntimeError,
        TypeError,
        UnicodeError,
        ValueError,
    ) as error:
        raise ValueError(
            f"{path}: damaged, or no NAGL charge model ({type(error).__name__}: {error}); install the package "
            "openff-nagl-models again, or name another file"
        ) from error


def _to_weights(plain: typing.Any, path: pathlib.Path, sha256: str) -> ChargeWeights:
    hyperparameters = plain["hyperparameters"]
    domain = hyperparameters.get("chemical_domain") or {}
    tables = hyperparameters.get("lookup_tables") or {}
    entries = tables[READOUT]["properties"].values() if READOUT in tables else ()
    fields = [vars(entry) for entry in entries]
    return ChargeWeights(
        name=path.name,
        sha256=sha256,
        config=hyperparameters["config"],
        allowed_elements=tuple(domain.get("allowed_elements", ())),
        forbidden_patterns=tuple(domain.get("forbidden_patterns", ())),
        lookup_table={
            field["inchi"]: LookupEntry(field["mapped_smiles"], tuple(field["property_value"])) for field in fields
        },
        tensors=dict(plain["state_dict"]),
    )


class _RefusedError(Exception):
    """The pickle asks for more than a charge model needs."""


class _Record:
    """Stands in for a record of openff-nagl: keeps the fields that the pickle gives it."""

    def __setstate__(self, state: dict[str, typing.Any]) -> None:
        vars(self).update({str(name): value for name, value in state["__dict__"].items()})


class _Dict(dict):
    """Stands in for the dicts of pytorch-lightning and ``collections``: attributes set on them are dropped."""

    def __setstate__(self, state: typing.Any) -> None:
        pass


class _DoubleType:
    """Stands in for the one numpy number type that occurs, the little-endian double."""

    def __init__(self, code: str, *_: bool):
        if code != "f8":
            raise _RefusedError(f"numbers of numpy type {code!r} in the look-up table, expected 'f8'")

    def __setstate__(self, state: tuple) -> None:
        if state[1] != "<":
            raise _RefusedError(f"numbers of byte order {state[1]!r} in the look-up table, expected '<'")


def _decode_double(_: _DoubleType, content: bytes) -> float:
    return struct.unpack("<d", content)[0]


def _encode_bytes(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise _RefusedError(f"bytes in the encoding {encoding!r}, expected 'latin1'")
    return text.encode("latin1")


def _name_activation(name: str) -> str:
    return name


def _rebuild_tensor(storage: torch.Tensor, offset: int, shape: tuple, strides: tuple, *_: typing.Any) -> torch.Tensor:
    return torch.as_strided(storage, shape, strides, offset).clone()  # torch checks that it lies inside the storage


STAND_INS: dict[tuple[str, str], typing.Any] = {
    ("__builtin__", "set"): set,
    ("_codecs", "encode"): _encode_bytes,
    ("collections", "OrderedDict"): _Dict,
    ("numpy", "dtype"): _DoubleType,
    ("numpy.core.multiarray", "scalar"): _decode_double,
    ("openff.nagl.lookups", "AtomPropertiesLookupTableEntry"): _Record,
    ("openff.nagl.lookups", "PropertyProvenance"): _Record,
    ("openff.nagl.nn.activation", "ActivationFunction"): _name_activation,
    ("pytorch_lightning.utilities.parsing", "AttributeDict"): _Dict,
    ("torch", "FloatStorage"): "FloatStorage",
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch.nn.modules.activation", "ReLU"): "ReLU",
    ("torch.nn.modules.activation", "Sigmoid"): "Sigmoid",
}
"""Every name that a charge model's pickle may mention, and what it stands for here."""


class _WeightsUnpickler(pickle.Unpickler):
    """Resolves names through ``STAND_INS`` alone, and storages through the archive's members."""

    def __init__(
        self, file: typing.IO[bytes], path: pathlib.Path, read_storage: collections.abc.Callable[[str], bytes]
    ):
        super().__init__(file)
        self._path = path
        self._read_storage = read_storage

    def find_class(self, module: str, name: str) -> typing.Any:
        try:
            return STAND_INS[module, name]
        except KeyError:
            raise _RefusedError(
                f"{self._path}: refused, it asks for {module}.{name}, which no charge model needs; nothing was run. "
                "Take the file from the package openff-nagl-models"
            ) from None

    def persistent_load(self, pid: tuple[str, str, str, str, int]) -> torch.Tensor:
        kind, number_type, key, _, n_numbers = pid
        if (kind, number_type) != ("storage", "FloatStorage"):
            raise _RefusedError(f"{self._path}: refused, it holds a {kind} of {number_type}, expected float32 numbers")
        content = self._read_storage(key)
        if len(content) != 4 * n_numbers:
            raise pickle.UnpicklingError(f"storage {key} has {len(content)} bytes, expected {4 * n_numbers}")
        return torch.from_numpy(numpy.frombuffer(content, dtype="<f4").astype(numpy.float32))
