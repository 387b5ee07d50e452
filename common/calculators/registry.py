"""Levels of theory by name, and what names one: the same fingerprint means the same energies.

gfn2-xtb, gfn1-xtb            tblite
b3lyp-d3bj/dzvp               PySCF, where it is installed
smirnoff:FILE.pt              a force field with its molecules; smirnoff:FILE.pt:SMILES takes one of them
ase:MODULE:NAME               an ASE calculator made by NAME(); ase:MODULE:NAME:{"option": 1} by NAME(option=1)
function:MODULE:NAME          a function of one's own, (numbers, coords, charge) -> energy, forces
"""

import dataclasses
import importlib.metadata
import importlib.util
import json
import pathlib
import typing

from common.calculators.density_functional import OPENFF_DEFAULT, DensityFunctional
from common.calculators.imported import AseCalculator, import_object
from common.calculators.interface import Calculator
from common.calculators.tight_binding import METHODS, TightBinding
from common.files.fingerprints import compute_content_hash, compute_fingerprint

TIGHT_BINDING = {method.lower(): method for method in METHODS}

DENSITY_FUNCTIONAL = "b3lyp-d3bj/dzvp"

KNOWN = (
    *TIGHT_BINDING,
    DENSITY_FUNCTIONAL,
    "smirnoff:FILE.pt[:SMILES]",
    "ase:MODULE:NAME[:JSON]",
    "function:MODULE:NAME",
)
"""The forms of a level's name."""


def make_calculator(level: str) -> Calculator:
    """The calculator of a level.

    Args:
        level: its name, in one of the forms of this module's docstring.

    Raises:
        ValueError: there is no such level, what it needs is not installed, or its file is damaged; the message says
            which there are, or what to install.
        FileNotFoundError: the file that it names is missing.
    """
    if level.lower() in TIGHT_BINDING:
        _require("tblite", "tblite")
        return TightBinding(TIGHT_BINDING[level.lower()])
    if level.lower() == DENSITY_FUNCTIONAL:
        _require("pyscf", "pyscf pyscf-dispersion")
        _require("pyscf.dispersion", "pyscf-dispersion")
        return DensityFunctional()
    kind, _, rest = level.partition(":")
    if kind == "smirnoff" and rest:
        from common.calculators.force_field import ForceField  # loads torch, which no other level needs

        return ForceField(*_split_force_field(rest))
    if kind == "ase" and rest:
        module, name, options = _split_ase(level, rest)
        return AseCalculator(import_object(module, name), options)
    if kind == "function" and rest.count(":") == 1:
        return typing.cast(Calculator, import_object(*rest.split(":")))
    raise ValueError(f"level {level!r} is not known; there are {', '.join(KNOWN)}")


def compute_level_fingerprint(level: str) -> str:
    """What names a level's energies: its settings, the version of its program, the contents of its file.

    Args:
        level: as for :func:`make_calculator`.

    Raises:
        ValueError: there is no such level, or what it needs is not installed.
        FileNotFoundError: the file that it names is missing.
    """
    return compute_fingerprint(describe_level(level))


def describe_level(level: str) -> dict[str, typing.Any]:
    """The level, and what else determines its energies, as plain values; errors as :func:`compute_level_fingerprint`.

    A file or module counts by its contents, never by its place.
    """
    if level.lower() in TIGHT_BINDING:
        return {"level": level.lower(), "tblite": _find_version("tblite")}
    if level.lower() == DENSITY_FUNCTIONAL:
        versions = {name: _find_version(name) for name in ("pyscf", "pyscf-dispersion")}
        return {"level": DENSITY_FUNCTIONAL, "settings": dataclasses.asdict(OPENFF_DEFAULT), **versions}
    kind, _, rest = level.partition(":")
    if kind == "smirnoff" and rest:
        from common.forcefields.parameter_file import read_content_hash  # loads torch, which no other level needs

        path, smiles = _split_force_field(rest)
        return {"level": "smirnoff", "file": read_content_hash(path), "smiles": smiles}
    if kind == "ase" and rest:
        module, name, options = _split_ase(level, rest)
        return {"level": f"ase:{module}:{name}", "options": options, "ase": _find_version("ase"), **_hash(module)}
    if kind == "function" and rest.count(":") == 1:
        module, name = rest.split(":")
        return {"level": level, **_hash(module)}
    raise ValueError(f"level {level!r} is not known; there are {', '.join(KNOWN)}")


def _require(module: str, packages: str) -> None:
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:  # of the package that the module would be in
        found = None
    if found is None:
        raise ValueError(f"this level needs {packages}: pip install {packages}")


def _find_version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError as error:
        raise ValueError(f"this level needs {package}: pip install {package}") from error


def _split_force_field(rest: str) -> tuple[str, str | None]:
    """``FILE.pt`` or ``FILE.pt:SMILES``; a mapped SMILES is full of colons, a file ends at its ``.pt``."""
    path, separator, smiles = rest.partition(".pt:")
    return (f"{path}.pt", smiles) if separator else (rest, None)


def _split_ase(level: str, rest: str) -> tuple[str, str, dict[str, typing.Any]]:
    parts = rest.split(":", 2)
    if len(parts) < 2:
        raise ValueError(f"level {level!r}: expected ase:MODULE:NAME, e.g. ase:ase.calculators.emt:EMT")
    try:
        options = json.loads(parts[2]) if len(parts) == 3 else {}
    except ValueError as error:
        raise ValueError(f"level {level!r}: the options are no JSON ({error})") from error
    if not isinstance(options, dict):
        raise ValueError(f'level {level!r}: the options are no JSON object such as {{"cutoff": 5.0}}')
    return parts[0], parts[1], options


def _hash(module: str) -> dict[str, str]:
    """The contents of a module's file."""
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        found = None
    if found is None or found.origin is None or not pathlib.Path(found.origin).is_file():
        raise ValueError(f"cannot import {module!r}; install it, or put its folder on PYTHONPATH")
    return {"module": compute_content_hash([found.origin])}
