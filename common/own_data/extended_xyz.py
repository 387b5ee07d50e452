"""Extended XYZ files: a frame of text for each conformer, with energy and forces in its columns and second line.

Format: https://github.com/libAtoms/extxyz. Frames are found by their line counts and parsed by ASE.
"""

import collections.abc
import io
import pathlib
import typing

import ase.io
import numpy
from ase.io.extxyz import key_val_str_to_dict

from common.own_data.records import Block, Frames, InputError, Reading, collect_blocks, make_frames


class Place(typing.NamedTuple):
    """The bytes of a frame: where it begins, and how many they are."""

    start: int
    n_bytes: int


class FrameText(typing.NamedTuple):
    """A frame as found: its second line, the first column, its bytes."""

    comment: str
    elements: tuple[str, ...]
    place: Place


def find_blocks(path: pathlib.Path, reading: Reading) -> list[Block]:
    """The conformers of a file, those of one name, SMILES and order of elements together.

    Raises:
        InputError: a frame is cut off or has no number of atoms; the message names the line.
    """
    frames = scan_frames(path)
    return collect_blocks(path, ((*_describe(f.comment, reading, path), f.elements, f.place) for f in frames))


def read_block(block: Block, reading: Reading) -> Frames:
    """Reads the conformers of a block.

    Raises:
        InputError: a frame has no energy, or cannot be parsed.
    """
    texts = []
    with open(block.path, "rb") as file:
        for place in block.places:
            file.seek(place[0])
            texts.append(file.read(place[1]).decode())
    return convert_atoms(parse_frames("".join(texts), block.path), reading)


def parse_frames(text: str, path: pathlib.Path) -> list[ase.Atoms]:
    """All frames of a text.

    Raises:
        InputError: ASE cannot parse it.
    """
    try:
        return list(ase.io.iread(io.StringIO(text), index=":", format="extxyz"))
    except Exception as error:  # whatever ASE raises, all of it says that the file is no extended XYZ
        raise InputError(f"{path}: no extended XYZ ({error})") from error


def convert_atoms(
    frames: collections.abc.Sequence[ase.Atoms],
    reading: Reading,
    known_energies: collections.abc.Sequence[float | None] | None = None,
) -> Frames:
    """Conformers that ASE has read, all of the same atoms.

    Args:
        frames: the conformers.
        reading: what they call energies and forces, and the units.
        known_energies: where given and not None they count, and not those of the frame.

    Raises:
        InputError: one has no energy.
    """
    energies, forces = [], []
    for atoms, known_energy in zip(frames, known_energies or [None] * len(frames), strict=True):
        results = dict(atoms.calc.results) if atoms.calc is not None else {}
        energy = results.get(reading.energy_key, atoms.info.get(reading.energy_key))
        energy = energy if known_energy is None else known_energy
        if energy is None:
            known = ", ".join(sorted({*results, *atoms.info})) or "nothing"
            raise InputError(f"no energy under {reading.energy_key!r}, only {known}; name it with --energy-key")
        energies.append(float(energy))
        found = results.get(reading.forces_key, atoms.arrays.get(reading.forces_key))
        forces.append(numpy.full((len(atoms), 3), numpy.nan) if found is None else numpy.asarray(found))
    coords = numpy.stack([atoms.get_positions() for atoms in frames])
    return make_frames(frames[0].get_atomic_numbers(), coords, energies, numpy.stack(forces), reading)


def get_text(values: collections.abc.Mapping[str, typing.Any], key: str) -> str:
    """What a frame has under a key as text; "" where it has nothing."""
    value = values.get(key, "")
    return str(value).strip() if isinstance(value, str | int | numpy.integer) else ""


def get_charge(values: collections.abc.Mapping[str, typing.Any], key: str) -> int | None:
    """The charge [e] under a key; None where there is none.

    Raises:
        InputError: it is no whole number.
    """
    value = values.get(key)
    if value is None or value == "":
        return None
    try:
        charge = float(value)
    except (TypeError, ValueError):
        charge = 0.5
    if charge != round(charge):
        raise InputError(f"{key} {value}: a charge is a whole number")
    return round(charge)


def scan_frames(path: pathlib.Path) -> collections.abc.Iterator[FrameText]:
    """Where the frames of a file are; their columns are not looked at.

    Raises:
        InputError: a frame is cut off or has no number of atoms; the message names the line.
    """
    line_number = 0
    with open(path, "rb") as file:
        while first := file.readline():
            line_number += 1
            if not first.strip():
                continue
            start = file.tell() - len(first)
            try:
                n_atoms = int(first)
            except ValueError as error:
                raise InputError(
                    f"{path}, line {line_number}: {first[:40].decode(errors='replace').strip()!r} is no number of "
                    "atoms; is this an XYZ file?"
                ) from error
            comment = file.readline().decode(errors="replace")
            lines = [file.readline() for _ in range(n_atoms)]
            if n_atoms < 1 or not all(line.strip() for line in lines):
                raise InputError(f"{path}, line {line_number}: a frame of {n_atoms} atoms ends before its time")
            line_number += 1 + n_atoms
            yield FrameText(comment, _read_symbols(lines), Place(start, file.tell() - start))


def _describe(comment: str, reading: Reading, path: pathlib.Path) -> tuple[str, str, int | None]:
    try:
        values = key_val_str_to_dict(comment)
    except (ValueError, IndexError, KeyError):
        values = {}
    name = get_text(values, reading.name_key)
    smiles = get_text(values, reading.smiles_key) or find_smiles(name, path, reading)
    return name, smiles, get_charge(values, reading.charge_key)


def find_smiles(name: str, path: pathlib.Path, reading: Reading) -> str:
    """The SMILES of a name in the user's table, by the file's name where the frame has none; "" without a table.

    Raises:
        InputError: there is a table, and it has neither.
    """
    table = reading.smiles_by_name
    if table and not (name in table or path.stem in table):
        raise InputError(f"{path}: the table of SMILES has no {name or path.stem!r}; add it, or leave --smiles out")
    return table.get(name, table.get(path.stem, ""))


def _read_symbols(lines: list[bytes]) -> tuple[str, ...]:
    """The first column, which holds the elements in nearly all files; others are told apart by it none the worse."""
    return tuple(line.split(None, 1)[0].decode(errors="replace") for line in lines)
