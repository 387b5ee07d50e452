"""The formats that can be read: how each is recognised, in which units it is, which module reads it."""

import collections.abc
import contextlib
import dataclasses
import pathlib

from common.own_data import arrays, ase_databases, descent_data, extended_xyz, qcarchive, smiles_tables, spice
from common.own_data.records import Block, Frames, InputError, Reading


@dataclasses.dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        suffixes: of its files; none where it is a folder.
        energy_unit, length_unit: where neither the file nor the user says another.
        find_blocks: from a path and how to read it, where the conformers are.
        read_block: reads a block.
        keep_open: a context within which a file may stay open from one block to the next.
    """

    suffixes: tuple[str, ...]
    energy_unit: str
    length_unit: str
    find_blocks: collections.abc.Callable[[pathlib.Path, Reading], list[Block]]
    read_block: collections.abc.Callable[[Block, Reading], Frames]
    keep_open: collections.abc.Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext


FORMATS = {
    "extended-xyz": Format((".xyz", ".extxyz"), "eV", "angstrom", extended_xyz.find_blocks, extended_xyz.read_block),
    "ase-database": Format((".db",), "eV", "angstrom", ase_databases.find_blocks, ase_databases.read_block),
    "smiles-table": Format(
        (".csv", ".tsv", ".smi"), "eV", "angstrom", smiles_tables.find_blocks, smiles_tables.read_block
    ),
    "spice": Format((".hdf5", ".h5"), "hartree", "bohr", spice.find_blocks, spice.read_block, spice.keep_open),
    "qcarchive": Format(
        (".json", ".jsonl", ".json.gz", ".jsonl.gz"), "hartree", "bohr", qcarchive.find_blocks, qcarchive.read_block
    ),
    "npz": Format((".npz",), "kcal/mol", "angstrom", arrays.find_blocks, arrays.read_block),
    "descent": Format((), "kcal/mol", "angstrom", descent_data.find_blocks, descent_data.read_block),
}
"""By name. ASE's units are eV and Angstrom, MD17's kcal/mol and Angstrom, those of SPICE and QCArchive atomic."""

FIXED_UNITS = ("qcarchive", "descent")
"""Formats that have no other units than their own."""


def recognize(path: pathlib.Path) -> str:
    """The name of a path's format, by its suffix, or by what a folder holds.

    Raises:
        FileNotFoundError: there is nothing.
        InputError: it is of no format that is known.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    if path.is_dir():
        if (path / "state.json").is_file():
            return "descent"
        raise InputError(f"{path}: a folder, and no data set of descent; name the files in it")
    for name, format_ in FORMATS.items():
        if path.name.lower().endswith(format_.suffixes or ("/",)):
            return name
    known = ", ".join(suffix for format_ in FORMATS.values() for suffix in format_.suffixes)
    raise InputError(f"{path}: of no format that is known by its suffix; there are {known}; or name it with --format")


def find_all_blocks(name: str, paths: collections.abc.Sequence[pathlib.Path], reading: Reading) -> list[Block]:
    """The blocks of several files of one format.

    Args:
        name: of the format.
        paths: the files.
        reading: how they are read.

    Raises:
        FileNotFoundError: one is missing.
        InputError: one is of another format, or nothing is in it.
    """
    blocks: list[Block] = []
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file or folder")
        found = FORMATS[name].find_blocks(path, reading)
        if not found:
            raise InputError(f"{path}: no conformers in this file")
        blocks += found
    return blocks


def stamp_files(blocks: collections.abc.Iterable[Block]) -> dict[str, tuple[int, int]]:
    """Size and time of the last change [ns] of all files that blocks are in: what tells a changed file."""
    paths = {str(path) for block in blocks for path in (block.path, *_list_further(block))}
    return {path: (pathlib.Path(path).stat().st_size, pathlib.Path(path).stat().st_mtime_ns) for path in sorted(paths)}


def _list_further(block: Block) -> list[str]:
    """The XYZ files of a table."""
    return [place[0] for place in block.places if isinstance(place, tuple) and isinstance(place[0], str)]
