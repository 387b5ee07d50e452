"""The ``.pt`` file of a force field and its molecules."""

import collections.abc
import contextlib
import dataclasses
import gc
import hashlib
import itertools
import os
import pathlib
import typing

import torch

from common.files.artifacts import ArtifactError, MissingArtifactError
from common.files.atomic import replace_atomically
from common.files.tensor_file import RefusedError, read_tensors, write_tensors
from common.forcefields.tensors import (
    NonbondedParameterMap,
    ParameterizedMolecules,
    ParameterKey,
    ParameterMap,
    TensorForceField,
    TensorPotential,
    TensorTopology,
    ValenceParameterMap,
)

FORMAT = 1
"""Version of the ``.pt`` layout that this code writes and reads."""


def _potential_to_plain(potential: TensorPotential) -> dict:
    plain = {field.name: getattr(potential, field.name) for field in dataclasses.fields(potential)}
    plain["parameter_keys"] = [key._asdict() for key in potential.parameter_keys]
    return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}


def _potential_from_plain(plain: dict) -> TensorPotential:
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()}
    values["parameter_keys"] = tuple(ParameterKey(**key) for key in plain["parameter_keys"])
    return TensorPotential(**values)


def _map_to_plain(parameter_map: ParameterMap) -> dict[str, torch.Tensor]:
    return {field.name: getattr(parameter_map, field.name) for field in dataclasses.fields(parameter_map)}


def _map_from_plain(plain: dict[str, torch.Tensor]) -> ParameterMap:
    return ValenceParameterMap(**plain) if "particle_idxs" in plain else NonbondedParameterMap(**plain)


def _topology_to_plain(topology: TensorTopology) -> dict:
    plain = {field.name: getattr(topology, field.name) for field in dataclasses.fields(topology)}
    plain["parameters"] = {type_: _map_to_plain(map_) for type_, map_ in topology.parameters.items()}
    return plain


def _topology_from_plain(plain: dict) -> TensorTopology:
    parameters = {type_: _map_from_plain(map_) for type_, map_ in plain["parameters"].items()}
    return TensorTopology(**{**plain, "parameters": parameters})


def _share_storage(plain: typing.Any) -> typing.Any:
    """The same nest of dicts with its int64 tensors as views of one buffer.

    ``torch.save`` writes one archive member for each storage: hundreds of thousands of small tensors would make a
    file several times as large and slow to write. A tensor that occurs twice, as exclusions do, is stored once.
    """
    leaves: dict[int, torch.Tensor] = {}

    def collect(value):
        if isinstance(value, dict):
            for item in value.values():
                collect(item)
        elif isinstance(value, torch.Tensor) and value.dtype == torch.int64:
            leaves[id(value)] = value

    collect(plain)
    if not leaves:
        return plain
    buffer = torch.cat([leaf.reshape(-1) for leaf in leaves.values()])
    ends = itertools.accumulate(leaf.numel() for leaf in leaves.values())
    views = {
        key: buffer[end - leaf.numel() : end].view(leaf.shape)
        for (key, leaf), end in zip(leaves.items(), ends, strict=True)
    }

    def rebuild(value):
        if isinstance(value, dict):
            return {name: rebuild(item) for name, item in value.items()}
        return views.get(id(value), value)

    return rebuild(plain)


@contextlib.contextmanager
def _pause_garbage_collection() -> collections.abc.Iterator[None]:
    """Looking through hundreds of thousands of tensors over and over, while more come, costs a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@_pause_garbage_collection()
def save_parameters(path: str | os.PathLike, molecules: ParameterizedMolecules) -> None:
    """Writes a ``.pt`` file of plain dicts, lists, strings and tensors; nothing is at ``path`` until it is whole."""
    plain = {
        "format": FORMAT,
        "force_field": {"potentials": [_potential_to_plain(p) for p in molecules.force_field.potentials]},
        "topologies": _share_storage({s: _topology_to_plain(t) for s, t in molecules.topologies.items()}),
        "failures": dict(molecules.failures),
        "provenance": molecules.provenance,
    }
    with replace_atomically(path) as beside:
        write_tensors(plain, beside)


@_pause_garbage_collection()
def load_parameters(path: str | os.PathLike) -> ParameterizedMolecules:
    """Reads a ``.pt`` file that :func:`save_parameters` wrote.

    Raises:
        MissingArtifactError: there is no such file.
        ArtifactError: the file is damaged, holds pickled classes, or is of another format.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise MissingArtifactError(f"{path}: no such file", "parameters")
    try:
        plain = read_tensors(path)
    except RefusedError as error:
        raise ArtifactError(
            f"{path}: refused, it holds more than plain tensors, text and numbers ({_first_line(error)})", "parameters"
        ) from error
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: damaged or no .pt file ({_first_line(error)})", "parameters") from error
    if not isinstance(plain, dict) or plain.get("format") != FORMAT:
        found = plain.get("format") if isinstance(plain, dict) else type(plain).__name__
        raise ArtifactError(f"{path}: format {found!r}, expected {FORMAT}", "parameters")
    try:
        molecules = ParameterizedMolecules(
            TensorForceField(tuple(_potential_from_plain(p) for p in plain["force_field"]["potentials"])),
            {smiles: _topology_from_plain(topology) for smiles, topology in plain["topologies"].items()},
            plain["failures"],
            plain["provenance"],
        )
        _check_hash(path, molecules.provenance.get("offxml"), molecules.provenance.get("force_field_sha256"))
    except (KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{path}: a field is missing or misplaced ({error})", "parameters") from error
    return molecules


def _check_hash(path: pathlib.Path, offxml: str | None, sha256: str | None) -> None:
    """Refuses a file whose force field is not the one it names: fitted values would be written into another's text."""
    if offxml and sha256 and (found := hashlib.sha256(offxml.encode()).hexdigest()) != sha256:
        raise ArtifactError(f"{path}: names a force field of SHA-256 {sha256} and holds one of {found}", "parameters")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
