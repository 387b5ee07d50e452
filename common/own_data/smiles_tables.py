"""Tables of SMILES: of names (``.smi``), and of calculations in XYZ files (CSV and ``.smi``).

A CSV file has the columns ``smiles`` and ``xyz`` (a path beside the table), and may have ``name``, ``energy`` and
``charge``. Of a ``.smi`` file, each line is a SMILES and a name, and the calculations are in ``<name>.xyz`` beside it.
"""

import collections.abc
import csv
import pathlib

import ase

from common.own_data import extended_xyz
from common.own_data.records import Block, Frames, InputError, Reading, collect_blocks

DELIMITERS = {".csv": ",", ".tsv": "\t"}


def read_smiles_by_name(path: pathlib.Path) -> dict[str, str]:
    """The SMILES of each name in a ``.smi`` file or in a CSV file with the columns ``name`` and ``smiles``.

    Raises:
        InputError: a line lacks either, or a name occurs twice.
    """
    table: dict[str, str] = {}
    for number, row in _read_rows(path):
        if not row.get("name") or not row.get("smiles"):
            raise InputError(f"{path}, line {number}: expected a SMILES and a name")
        if table.setdefault(row["name"], row["smiles"]) != row["smiles"]:
            raise InputError(f"{path}, line {number}: {row['name']!r} occurs twice, with two SMILES")
    if not table:
        raise InputError(f"{path}: no SMILES in this table")
    return table


def find_blocks(path: pathlib.Path, reading: Reading) -> list[Block]:
    """The conformers of all XYZ files that a table names, those of one SMILES and order of elements together.

    Raises:
        InputError: a file is missing or damaged, or a row has one energy for several conformers.
    """
    return collect_blocks(path, _scan(path, reading))


def read_block(block: Block, reading: Reading) -> Frames:
    """Reads the conformers of a block; energies of the table go before those of the files."""
    frames: list[ase.Atoms] = []
    energies: list[float | None] = []
    for file, start, n_bytes, energy in block.places:
        with open(file, "rb") as stream:
            stream.seek(start)
            frames += extended_xyz.parse_frames(stream.read(n_bytes).decode(), pathlib.Path(file))
        energies.append(energy)
    return extended_xyz.convert_atoms(frames, reading, energies)


def _scan(path: pathlib.Path, reading: Reading) -> collections.abc.Iterator[tuple]:
    for number, row in _read_rows(path):
        smiles, where = row.get("smiles", ""), f"{path}, line {number}"
        file = path.parent / (row.get("xyz") or f"{row.get('name', '')}.xyz")
        if not smiles:
            raise InputError(f"{where}: no SMILES")
        if not file.is_file():
            raise InputError(f"{where}: {file} is missing; paths are relative to the table")
        name = row.get("name") or file.stem
        charge = extended_xyz.get_charge(row, reading.charge_key)
        energy = _parse_energy(row.get("energy", ""), where)
        frames = list(extended_xyz.scan_frames(file))
        if energy is not None and len(frames) > 1:
            raise InputError(f"{where}: one energy, but {file} has {len(frames)} conformers")
        for frame in frames:
            yield name, smiles, charge, frame.elements, (str(file), *frame.place, energy)


def _parse_energy(text: str, where: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError as error:
        raise InputError(f"{where}: {text!r} is no energy") from error


def _read_rows(path: pathlib.Path) -> list[tuple[int, dict[str, str]]]:
    """The rows of a table with the numbers of their lines.

    Raises:
        InputError: it is no text, or has no column ``smiles``.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: no text; expected a table of SMILES") from error
    if path.suffix.lower() in DELIMITERS:
        reader = csv.DictReader(lines, delimiter=DELIMITERS[path.suffix.lower()])
        names = {name: name.strip().lower() for name in reader.fieldnames or ()}
        if "smiles" not in names.values():
            raise InputError(f"{path}: no column 'smiles', only {', '.join(names) or 'nothing'}")
        return [
            (number, {names[name]: (value or "").strip() for name, value in row.items() if name in names})
            for number, row in enumerate(reader, 2)
        ]
    rows = []
    for number, line in enumerate(lines, 1):
        words = line.split(None, 1)
        if words and not line.startswith("#"):
            rows.append((number, {"smiles": words[0], "name": words[1].strip() if len(words) > 1 else ""}))
    return rows
