"""The ``.pt`` files: that of a force field and its molecules, and that of a fitted force field.

Both are dicts, lists, text, numbers and tensors, which ``torch.load(weights_only=True)`` reads. The parameters file::

    {"format": 2,
     "content_hash": "...",      # of force field and topologies: the same whenever, and by whom, they were made
     "force_field": {...},       # common.forcefields.plain_force_field
     "topologies": {...},        # common.forcefields.stacking: one tensor a field, all molecules end to end
     "failures": {mapped SMILES: reason, ...},
     "provenance": {...}}        # see ParameterizedMolecules

A fitted force field goes without molecules, and so without their charges (Electrostatics, whose rows belong to atoms of
molecules). In the place of ``topologies`` and ``failures`` it names the parameters file that it was fitted from::

     "parameters_file": {"content_hash": "...", "path": absolute, "relative_path": from the folder of this file}
"""

import collections.abc
import contextlib
import dataclasses
import gc
import hashlib
import os
import pathlib
import sys
import typing

from common.files.artifacts import ArtifactError, MissingArtifactError
from common.files.atomic import replace_atomically
from common.files.tensor_file import RefusedError, compute_tensors_hash, read_tensors, write_tensors
from common.forcefields.plain_force_field import make_plain_force_field, read_plain_force_field
from common.forcefields.stacking import StackedTopologies, check_stacked, stack_topologies
from common.forcefields.tensors import ParameterizedMolecules, ParametersFile, TensorForceField

FORMAT = 2
"""Version of the ``.pt`` layout that this code writes and reads."""

OF_MOLECULES = ("Electrostatics",)
"""Types whose rows belong to atoms of molecules: they stay with the topologies."""

IS_ELSEWHERE = ", or name the parameters file that it was fitted from with --parameters"
"""What else may be done about a fitted force field that does not find its molecules."""


@contextlib.contextmanager
def _pause_garbage_collection() -> collections.abc.Iterator[None]:
    """Looking through hundreds of thousands of tensors over and over, while more come, costs half of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


# --- write -----------------------------------------------------------------------------------------------------------


@_pause_garbage_collection()
def save_parameters(path: str | os.PathLike, molecules: ParameterizedMolecules) -> None:
    """Writes a parameters file; nothing is at ``path`` until it is whole.

    Raises:
        ValueError: a topology has maps of other types than the force field has.
    """
    topologies = stack_topologies(molecules.topologies, molecules.force_field)
    topologies["smiles"] = [sys.intern(smiles) for smiles in topologies["smiles"]]  # the charges are named by them, too
    contents = {"force_field": make_plain_force_field(molecules.force_field), "topologies": topologies}
    _write(path, contents, {"failures": dict(molecules.failures), "provenance": molecules.provenance})


def save_fitted_force_field(
    path: str | os.PathLike,
    force_field: TensorForceField,
    start: ParameterizedMolecules,
    comments: collections.abc.Sequence[str],
) -> None:
    """Writes the file of a fitted force field; nothing is at ``path`` until it is whole.

    Args:
        path: the file.
        force_field: the fitted values, on the rows of ``start``'s.
        start: what the fit started from, as :func:`load_parameters` gave it.
        comments: what made it, for the provenance.
    """
    if start.origin is None:
        raise ValueError(f"{path}: the molecules that it was fitted to were read from no file that it could name")
    own = tuple(potential for potential in force_field.potentials if potential.type not in OF_MOLECULES)
    place, folder = start.origin.path.resolve(), pathlib.Path(path).resolve().parent
    contents = {
        "force_field": make_plain_force_field(TensorForceField(own)),
        "parameters_file": {"content_hash": start.origin.content_hash},
    }
    named = {"path": str(place), "relative_path": os.path.relpath(place, folder), **contents["parameters_file"]}
    _write(path, contents, {"parameters_file": named, "provenance": {**start.provenance, "fitted": list(comments)}})


def _write(path: str | os.PathLike, contents: dict[str, typing.Any], others: dict[str, typing.Any]) -> None:
    plain = {"format": FORMAT, "content_hash": compute_tensors_hash(contents), **contents, **others}
    with replace_atomically(path) as beside:
        write_tensors(plain, beside)


# --- read ------------------------------------------------------------------------------------------------------------


@_pause_garbage_collection()
def load_parameters(
    path: str | os.PathLike, parameters_file: str | os.PathLike | None = None
) -> ParameterizedMolecules:
    """Reads a parameters file, or a fitted force field together with the molecules that it was fitted to.

    Args:
        path: either file.
        parameters_file: the one that a fitted force field was fitted from, if it is not where it was.

    Raises:
        MissingArtifactError: there is no such file.
        ArtifactError: a file is damaged, holds pickled classes or what makes no sense, or is of another format; or the
            fitted force field was fitted from another parameters file.
    """
    path = pathlib.Path(path)
    plain = _read(path, "parameters")
    if "parameters_file" not in plain:
        return _build_molecules(path, plain)
    place = pathlib.Path(parameters_file or _find_parameters_file(path, plain))
    molecules = _read(place, "parameters")
    if "parameters_file" in molecules:
        raise ArtifactError(f"{place}: a fitted force field, which has no molecules; name a parameters file")
    return load_values(path, _build_molecules(place, molecules))


def _build_molecules(path: pathlib.Path, plain: dict[str, typing.Any]) -> ParameterizedMolecules:
    with _name_fault(path, "parameters"):
        force_field = read_plain_force_field(plain["force_field"])
        check_stacked(plain["topologies"], force_field)
        failures = plain["failures"]
        if not isinstance(failures, dict) or not all(isinstance(one, str) for one in (*failures, *failures.values())):
            raise ValueError("failures: no reasons by SMILES")
        topologies = StackedTopologies(plain["topologies"])
    origin = ParametersFile(path, plain["content_hash"])
    return ParameterizedMolecules(force_field, topologies, failures, plain["provenance"], origin)


def load_values(path: str | os.PathLike, molecules: ParameterizedMolecules) -> ParameterizedMolecules:
    """The molecules with the force field of another file.

    Args:
        path: a force field that was fitted to these molecules, or a parameters file of the same force field.
        molecules: as :func:`load_parameters` gave them.

    Raises:
        MissingArtifactError, ArtifactError: as :func:`load_parameters`; the two do not belong together.
    """
    path = pathlib.Path(path)
    plain = _read(path, "run")
    with _name_fault(path, "run"):
        values = read_plain_force_field(plain["force_field"])
    place, found = (molecules.origin.path, molecules.origin.content_hash) if molecules.origin else ("no file", "none")
    named = plain.get("parameters_file")
    if named is not None and named["content_hash"] != found:
        raise ArtifactError(
            f"{path} was fitted from a parameters file of contents {named['content_hash'][:12]} ({named['path']}), but "
            f"{place} holds {found[:12]}",
            "run",
            detail=IS_ELSEWHERE,
        )
    try:
        force_field = _replace_values(molecules.force_field, values)
    except ValueError as error:
        raise ArtifactError(
            f"{path} holds other parameters than {place} ({error}): one of them was made anew since",
            "run",
            detail=IS_ELSEWHERE,
        ) from error
    fitted = ParametersFile(path, plain["content_hash"])
    return dataclasses.replace(molecules, force_field=force_field, provenance=plain["provenance"], fitted=fitted)


def _replace_values(force_field: TensorForceField, values: TensorForceField) -> TensorForceField:
    """The force field with the potentials of another one that has the same rows; charges may be missing there."""
    mine, others = force_field.potentials_by_type, values.potentials_by_type
    for type_ in dict.fromkeys((*mine, *others)):
        if type_ not in others and type_ in OF_MOLECULES:
            continue
        if type_ not in mine or type_ not in others or mine[type_].parameter_keys != others[type_].parameter_keys:
            raise ValueError(f"in {type_}")
    return TensorForceField(tuple(others.get(type_, potential) for type_, potential in mine.items()))


def load_force_field(path: str | os.PathLike) -> TensorForceField:
    """The force field of either file, without its molecules; that of a fitted one has no charges (Electrostatics).

    Raises:
        MissingArtifactError, ArtifactError: as :func:`load_parameters`.
    """
    path = pathlib.Path(path)
    plain = _read(path, "parameters")
    with _name_fault(path, "parameters"):
        return read_plain_force_field(plain["force_field"])


def read_content_hash(path: str | os.PathLike) -> str:
    """What names the contents of either file: all that energies and forces depend on, and nothing else.

    Raises:
        MissingArtifactError, ArtifactError: as :func:`load_parameters`.
    """
    return _read(pathlib.Path(path), "parameters")["content_hash"]


def _find_parameters_file(path: pathlib.Path, plain: dict[str, typing.Any]) -> pathlib.Path:
    """The parameters file that a fitted force field names: from its own place, as the two may have moved together."""
    named = plain["parameters_file"]
    beside = (path.resolve().parent / named["relative_path"]).resolve()
    places = dict.fromkeys((beside, pathlib.Path(named["path"])))
    found = [place for place in places if place.is_file()]
    if not found:
        raise MissingArtifactError(
            f"{path}: the molecules that it was fitted to are in {named['path']}, which is not there any more",
            "run",
            detail=IS_ELSEWHERE,
        )
    return next((place for place in found[:-1] if read_content_hash(place) == named["content_hash"]), found[-1])


def _read(path: pathlib.Path, artifact: str) -> dict[str, typing.Any]:
    """The contents of either file, in plain values: these are what was written, but may mean nothing.

    Args:
        path: the file.
        artifact: what it is, for the advice where it cannot be used.
    """
    if not path.is_file():
        raise MissingArtifactError(f"{path}: no such file", artifact)
    try:
        plain = read_tensors(path)
    except RefusedError as error:
        raise ArtifactError(
            f"{path}: refused, it holds more than plain tensors, text and numbers ({_first_line(error)})", artifact
        ) from error
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: damaged or no .pt file ({_first_line(error)})", artifact) from error
    if not isinstance(plain, dict) or plain.get("format") != FORMAT:
        found = plain.get("format") if isinstance(plain, dict) else type(plain).__name__
        raise ArtifactError(f"{path}: format {found!r}, which this version does not read, expected {FORMAT}", artifact)
    with _name_fault(path, artifact):
        contents = {"force_field": plain["force_field"]}
        if "parameters_file" in plain:
            named = plain["parameters_file"]
            if not all(isinstance(named[name], str) for name in ("content_hash", "path", "relative_path")):
                raise ValueError("parameters_file: names no file")
            contents["parameters_file"] = {"content_hash": named["content_hash"]}
        else:
            contents["topologies"] = plain["topologies"]
        if compute_tensors_hash(contents) != plain["content_hash"]:
            raise ValueError("its contents are not those that it names")
        _check_provenance(plain["provenance"])
    return plain


def _check_provenance(provenance: dict[str, typing.Any]) -> None:
    """Refuses a file whose force field is not the one it names: fitted values would be written into another's text."""
    offxml, sha256 = provenance.get("offxml"), provenance.get("force_field_sha256")
    if offxml and sha256 and (found := hashlib.sha256(offxml.encode()).hexdigest()) != sha256:
        raise ValueError(f"names a force field of SHA-256 {sha256} and holds one of {found}")


@contextlib.contextmanager
def _name_fault(path: pathlib.Path, artifact: str) -> collections.abc.Iterator[None]:
    """In this block, whatever does not fit in the contents of a file is one error that names it."""
    try:
        yield
    except KeyError as error:
        raise ArtifactError(f"{path}: {error} is missing", artifact) from error
    except (TypeError, AttributeError) as error:
        raise ArtifactError(f"{path}: a field is misplaced ({_first_line(error)})", artifact) from error
    except (ValueError, RuntimeError) as error:
        raise ArtifactError(f"{path}: {_first_line(error)}", artifact) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
