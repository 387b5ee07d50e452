"""Calculations that are kept by content: what was paid for is never lost and never paid for twice.

One file a calculation, ``<key>.json``, written whole or not at all by the process that ran it, before anybody hears of
it. Failures stand there too, with their reason. A plain folder: any number of processes and machines may write to it.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import typing

import numpy

from common.calculators.calculation import Calculation
from common.files.atomic import replace_atomically


@dataclasses.dataclass(frozen=True)
class LedgerEntry:
    """A calculation with all that it belongs to.

    Attributes:
        numbers: atomic numbers, ``shape=(n_atoms,)`` int64.
        coords: [Angstrom] ``shape=(n_atoms, 3)`` float64, to the last bit.
        charge: [e].
        level: fingerprint of the level, see :func:`common.calculators.registry.compute_level_fingerprint`.
        calculation: what came of it.
    """

    numbers: numpy.ndarray
    coords: numpy.ndarray
    charge: int
    level: str
    calculation: Calculation


def compute_key(numbers: numpy.ndarray, coords: numpy.ndarray, charge: int, level: str) -> str:
    """SHA-256, in hexadecimal digits, of all that determines a calculation; arguments as in :class:`LedgerEntry`."""
    digest = hashlib.sha256(f"{level}|{charge}|".encode())
    digest.update(numpy.ascontiguousarray(numbers, dtype="<i8").tobytes())
    digest.update(numpy.ascontiguousarray(coords, dtype="<f8").tobytes())
    return digest.hexdigest()


class Ledger:
    """The folder of calculations."""

    def __init__(self, folder: str | os.PathLike):
        self.folder = pathlib.Path(folder)

    def path(self, key: str) -> pathlib.Path:
        """Where the calculation of this key stands, or would."""
        return self.folder / f"{key}.json"

    def keys(self) -> list[str]:
        """Of all calculations that are there, sorted."""
        return sorted(path.stem for path in self.folder.glob("*.json") if not path.name.startswith("."))

    def read(self, key: str) -> LedgerEntry | None:
        """The calculation of this key; None where there is none.

        Raises:
            ValueError: the file is damaged, or its contents are not those of its name.
        """
        path = self.path(key)
        try:
            text = path.read_text()
        except FileNotFoundError:
            return None
        try:
            entry = _from_plain(json.loads(text))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: damaged ({error}); remove it, and it will be computed again") from error
        if compute_key(entry.numbers, entry.coords, entry.charge, entry.level) != key:
            raise ValueError(f"{path}: holds another calculation than its name says; remove it")
        return entry

    def write(self, entry: LedgerEntry) -> str:
        """Writes a calculation and returns its key.

        Raises:
            OSError: it could not be written; the disk may be full.
        """
        key = compute_key(entry.numbers, entry.coords, entry.charge, entry.level)
        with replace_atomically(self.path(key)) as beside:
            beside.write_text(json.dumps(_to_plain(entry)) + "\n")
        return key


def _to_plain(entry: LedgerEntry) -> dict[str, typing.Any]:
    """JSON writes the shortest decimals that read back as the same float64."""
    calculation = entry.calculation
    return {
        "level": entry.level,
        "charge": entry.charge,
        "numbers": entry.numbers.tolist(),
        "coords": entry.coords.tolist(),
        "energy": calculation.energy,
        "forces": None if calculation.forces is None else calculation.forces.tolist(),
        "reason": calculation.reason,
        "seconds": calculation.seconds,
    }


def _from_plain(plain: dict[str, typing.Any]) -> LedgerEntry:
    n_atoms = len(plain["numbers"])
    forces = None if plain["forces"] is None else _to_array(plain["forces"], n_atoms)
    if (plain["energy"] is None) != bool(plain["reason"]) or (forces is None) != bool(plain["reason"]):
        raise ValueError("neither energy and forces nor the reason why there are none")
    return LedgerEntry(
        numpy.array(plain["numbers"], dtype=numpy.int64),
        _to_array(plain["coords"], n_atoms),
        int(plain["charge"]),
        str(plain["level"]),
        Calculation(plain["energy"], forces, plain["reason"], float(plain["seconds"])),
    )


def _to_array(rows: list[list[float]], n_atoms: int) -> numpy.ndarray:
    array = numpy.array(rows, dtype=numpy.float64)
    if array.shape != (n_atoms, 3):
        raise ValueError(f"an array of shape {array.shape}, expected ({n_atoms}, 3)")
    return array
