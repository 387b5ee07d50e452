"""Databases of molecules: ASE's format, as G-SchNet's own recipe writes it, with units in the metadata.

A row has atomic numbers, positions, and properties under ``data``, numbers or vectors; the metadata say in which unit
positions and properties are (``_distance_unit``, ``_property_unit_dict``). Inside lengths are in Angstrom; properties
keep their unit until somebody asks for another.
"""

import dataclasses
import os
import pathlib
import sqlite3
import typing
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence

import ase
import ase.db
import ase.units
import numpy

from common.files.atomic import replace_atomically

DISTANCE_UNIT = "_distance_unit"
PROPERTY_UNITS = "_property_unit_dict"
"""Names in the metadata."""

LEAST_DISTANCE = 0.1
"""[Angstrom] Two atoms nearer than this are a mistake."""

SMILES = "smiles"
"""Under ``data``, where it is known; canonical and isomeric, hydrogens implicit."""

NUMBER = "number"
"""Under ``data`` of generated molecules: which of all it is. The one plain number there that is no property."""

_NAMES = {
    "Ang": ase.units.Ang,
    "Angstrom": ase.units.Angstrom,
    "nm": ase.units.nm,
    "Bohr": ase.units.Bohr,
    "a0": ase.units.Bohr,
    "eV": ase.units.eV,
    "meV": 1e-3 * ase.units.eV,
    "Hartree": ase.units.Hartree,
    "Ha": ase.units.Hartree,
    "Ry": ase.units.Rydberg,
    "kcal": ase.units.kcal,
    "cal": 1e-3 * ase.units.kcal,
    "kJ": ase.units.kJ,
    "mol": ase.units.mol,
    "Debye": ase.units.Debye,
    "D": ase.units.Debye,
    "e": 1.0,
    "K": 1.0,
    "1": 1.0,
}
"""Units by name, in those of ASE (eV and Angstrom)."""


@dataclasses.dataclass(frozen=True)
class Molecule:
    """One geometry of a molecule.

    Attributes:
        numbers: atomic numbers, ``shape=(n_atoms,)`` int64.
        coords: [Angstrom] ``shape=(n_atoms, 3)`` float64.
        properties: numbers ``shape=()`` or vectors ``shape=(n,)`` by name, float64.
        smiles: where it is known; "" elsewhere.
        data: anything else that the row holds and JSON can: targets, settings, checks.
    """

    numbers: numpy.ndarray
    coords: numpy.ndarray
    properties: Mapping[str, numpy.ndarray] = dataclasses.field(default_factory=dict)
    smiles: str = ""
    data: Mapping[str, typing.Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Database:
    """What a file holds.

    Attributes:
        molecules: its rows.
        units: of properties, by name; a property that is not here has none.
        metadata: everything in the metadata but the units.
    """

    molecules: Sequence[Molecule]
    units: Mapping[str, str]
    metadata: Mapping[str, typing.Any]

    @property
    def properties(self) -> list[str]:
        """The properties that every molecule has, sorted."""
        names = [set(molecule.properties) for molecule in self.molecules]
        return sorted(set.intersection(*names)) if names else []

    def get_values(self, name: str, unit: str | None = None) -> numpy.ndarray:
        """A property of all molecules, ``shape=(n_molecules,)`` or ``(n_molecules, n)`` float64.

        Args:
            name: of the property.
            unit: in which it is wanted; None for its own.

        Raises:
            ValueError: some molecule lacks it, a value is not finite, or the units do not fit.
        """
        if name not in self.properties:
            there = ", ".join(self.properties) or "none"
            raise ValueError(f"no property {name!r} in every molecule of the database; there are {there}")
        values = numpy.array([molecule.properties[name] for molecule in self.molecules], dtype=numpy.float64)
        wrong = numpy.flatnonzero(~numpy.isfinite(values.reshape(len(values), -1)).all(axis=1))
        if len(wrong):
            raise ValueError(
                f"property {name!r} is not finite in {len(wrong)} molecules, the first is row {wrong[0] + 1}"
            )
        if unit is None:
            return values
        if name not in self.units:
            raise ValueError(f"property {name!r} has no unit in the database, and cannot be converted to {unit}")
        return values * find_factor(self.units[name], unit)


def parse_unit(name: str) -> float:
    """The size of a unit in those of ASE, e.g. of ``kcal/mol``; products with ``*``, quotients with ``/``.

    Raises:
        ValueError: a part of it is unknown; the message names those that are known.
    """
    size = 1.0
    for i, factor in enumerate(name.replace(" ", "").split("/")):
        for part in factor.split("*"):
            if part not in _NAMES:
                raise ValueError(f"unit {name!r}: {part!r} is unknown; there are {', '.join(_NAMES)}, with / and *")
            size = size / _NAMES[part] if i else size * _NAMES[part]
    return size


def find_factor(unit: str, wanted: str) -> float:
    """What a value in one unit is multiplied with to be in another; whether they measure the same is not checked.

    Raises:
        ValueError: one of them is unknown.
    """
    return parse_unit(unit) / parse_unit(wanted)


def read_database(path: str | os.PathLike) -> Database:
    """All molecules of an ASE database.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no database, says no or an unknown unit of length, or a row is periodic, has a position that
            is not finite or two atoms at one place.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such database; run the stage that writes it, or say where it is")
    try:
        with ase.db.connect(path, type="db") as connection:
            metadata = dict(connection.metadata)
            if DISTANCE_UNIT not in metadata:
                raise ValueError(f"{path}: its metadata have no {DISTANCE_UNIT}, e.g. 'Ang' or 'Bohr'")
            factor = find_factor(metadata.pop(DISTANCE_UNIT), "Ang")
            units = {name: unit for name, unit in metadata.pop(PROPERTY_UNITS, {}).items() if unit}
            molecules = [_from_row(row, factor, path) for row in connection.select()]
    except (sqlite3.DatabaseError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: no ASE database, or a damaged one ({error})") from error
    return Database(molecules, units, metadata)


def _from_row(row: typing.Any, factor: float, path: pathlib.Path) -> Molecule:
    where = f"{path}, row {row.id}"
    if row.pbc.any():
        raise ValueError(f"{where}: has a periodic cell; only molecules can be used here")
    coords = factor * numpy.asarray(row.positions, dtype=numpy.float64)
    check_coords(coords, where)
    properties, data = {}, {}
    for name, value in row.data.items():
        array = numpy.asarray(value) if isinstance(value, int | float | list | numpy.ndarray | numpy.generic) else None
        if name != NUMBER and array is not None and array.dtype.kind in "iuf" and array.ndim <= 1:
            properties[name] = array.astype(numpy.float64).reshape(() if array.size == 1 else -1)
        else:
            data[name] = value
    smiles = data.pop(SMILES, "")
    return Molecule(numpy.asarray(row.numbers, dtype=numpy.int64), coords, properties, smiles, data)


def check_coords(coords: numpy.ndarray, where: str) -> None:
    """Looks over the positions [Angstrom] of a molecule, ``shape=(n_atoms, 3)``.

    Raises:
        ValueError: there is none, one is not finite, or two atoms are at one place; the message begins with ``where``.
    """
    if not len(coords) or not numpy.isfinite(coords).all():
        raise ValueError(f"{where}: has no atoms, or a position that is not finite")
    if len(coords) > 1:
        squares = ((coords[:, None] - coords[None, :]) ** 2).sum(axis=2)
        numpy.fill_diagonal(squares, numpy.inf)
        if squares.min() < LEAST_DISTANCE**2:
            i, j = numpy.unravel_index(squares.argmin(), squares.shape)
            raise ValueError(f"{where}: atoms {min(i, j) + 1} and {max(i, j) + 1} are at one place")


def write_database(
    path: str | os.PathLike,
    molecules: Iterable[Molecule],
    units: Mapping[str, str],
    metadata: Mapping[str, typing.Any],
) -> None:
    """Writes a database as a whole, in place of what stands at ``path``.

    Args:
        path: ends in ``.db``.
        molecules: its rows.
        units: of properties, by name.
        metadata: plain values.
    """
    with replace_atomically(path) as beside, ase.db.connect(beside, type="db", append=False) as connection:
        connection.metadata = make_metadata(units, metadata)
        for molecule in molecules:
            connection.write(*to_row(molecule))


def make_metadata(units: Mapping[str, str], metadata: Mapping[str, typing.Any]) -> dict[str, typing.Any]:
    """The metadata of a database whose positions are in Angstrom."""
    return {DISTANCE_UNIT: "Ang", PROPERTY_UNITS: dict(units), **metadata}


def to_row(molecule: Molecule) -> tuple[ase.Atoms, dict, dict]:
    """What ASE's ``write`` takes: atoms, key-value pairs, data."""
    data: dict[str, typing.Any] = {name: numpy.atleast_1d(value) for name, value in molecule.properties.items()}
    if molecule.smiles:
        data[SMILES] = molecule.smiles
    return ase.Atoms(molecule.numbers, molecule.coords), {}, {**data, **molecule.data}


PACKED_PRECISION = 2.0**-11
"""[Angstrom] to which packed coordinates are rounded: a tenth of a step of the grid on which atoms are placed."""


def write_packed(path: str | os.PathLike, database: Database, properties: Sequence[str]) -> None:
    """Writes molecules in about six bytes an atom, coordinates rounded, for sets that are handed on whole.

    Args:
        path: ends in ``.npz``; no pickled objects are in it.
        database: the molecules, none of them larger than ±16 Å.
        properties: the numbers that are kept.
    """
    molecules = database.molecules
    coords = numpy.concatenate([molecule.coords - molecule.coords.mean(axis=0) for molecule in molecules])
    arrays: dict[str, typing.Any] = {
        "n_atoms": numpy.array([len(molecule.numbers) for molecule in molecules], dtype=numpy.uint16),
        "numbers": numpy.concatenate([molecule.numbers for molecule in molecules]).astype(numpy.uint8),
        "coords": numpy.round(coords / PACKED_PRECISION).astype(numpy.int16),
        "smiles": numpy.frombuffer("\n".join(molecule.smiles for molecule in molecules).encode(), dtype=numpy.uint8),
    }
    for name in properties:
        arrays[f"property {name} [{database.units.get(name, '')}]"] = database.get_values(name).astype(numpy.float32)
    with replace_atomically(path) as beside, open(beside, "wb") as file:
        numpy.savez_compressed(file, allow_pickle=False, **arrays)


def read_packed(path: str | os.PathLike) -> Database:
    """What :func:`write_packed` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged or of another kind.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of packed molecules")
    try:
        with path.open("rb") as opened, numpy.load(opened, allow_pickle=False) as file:
            arrays = dict(file)
        molecules = list(_unpack(arrays))
        named = [name for name in arrays if name.startswith("property ")]
        units = {name.split()[1]: name.partition("[")[2].rstrip("]") for name in named}
    except (OSError, ValueError, KeyError, IndexError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: no packed molecules, or damaged ({error})") from error
    return Database(molecules, {name: unit for name, unit in units.items() if unit}, {})


def _unpack(arrays: Mapping[str, numpy.ndarray]) -> Iterator[Molecule]:
    starts = numpy.cumsum([0, *arrays["n_atoms"].tolist()])
    numbers, coords = arrays["numbers"].astype(numpy.int64), PACKED_PRECISION * arrays["coords"].astype(numpy.float64)
    smiles = arrays["smiles"].tobytes().decode().split("\n")
    values = {name.split()[1]: array for name, array in arrays.items() if name.startswith("property ")}
    for i, own in enumerate(smiles):
        atoms = slice(starts[i], starts[i + 1])
        properties = {name: numpy.asarray(array[i], dtype=numpy.float64) for name, array in values.items()}
        yield Molecule(numbers[atoms], coords[atoms], properties, own)
