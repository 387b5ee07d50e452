"""``.npz`` files as those of MD17: one molecule, all conformers in a few arrays.

    R or coords              (n_confs, n_atoms, 3)
    z or nuclear_charges     (n_atoms,)
    E or energies            (n_confs,) or (n_confs, 1)
    F or forces              (n_confs, n_atoms, 3)

The names are those of http://www.sgdml.org and of the revised MD17; these are in Angstrom and kcal/mol. Members are
read slice by slice: a trajectory need not fit in memory.
"""

import math
import pathlib
import zipfile

import numpy

from common.own_data.extended_xyz import find_smiles
from common.own_data.records import Block, Frames, InputError, Reading, make_frames

NAMES = {
    "coords": ("R", "coords", "coordinates", "positions"),
    "numbers": ("z", "nuclear_charges", "atomic_numbers", "numbers"),
    "energy": ("E", "energies", "energy"),
    "forces": ("F", "forces"),
}


def find_blocks(path: pathlib.Path, reading: Reading) -> list[Block]:
    """The one block of a file.

    Raises:
        InputError: it is no ``.npz`` file, lacks an array, or has them of other shapes.
    """
    with _open(path) as archive:
        members = {what: _find_member(archive, what, path) for what in ("coords", "numbers", "energy")}
        shape = _read_shape(archive, members["coords"])
        n_atoms = math.prod(_read_shape(archive, members["numbers"]))
        if len(shape) != 3 or shape[1:] != (n_atoms, 3):
            raise InputError(f"{path}: coordinates of shape {shape}, expected (n_confs, {n_atoms}, 3)")
        text = _read_text(archive, reading.smiles_key)
    smiles = text or find_smiles(path.stem, path, reading)
    return [Block(path, path.stem, n_atoms, range(shape[0]), smiles)]


def read_block(block: Block, reading: Reading) -> Frames:
    """Reads some conformers, which follow each other."""
    start, stop = block.places[0], block.places[-1] + 1
    with _open(block.path) as archive:
        rows = {
            what: _read_rows(archive, _find_member(archive, what, block.path), start, stop)
            for what in ("coords", "energy")
        }
        has_forces = any(f"{name}.npy" in archive.namelist() for name in NAMES["forces"])
        forces = _read_rows(archive, _find_member(archive, "forces", block.path), start, stop) if has_forces else None
        numbers = _read_rows(archive, _find_member(archive, "numbers", block.path), 0, None)
    return make_frames(numbers, rows["coords"], rows["energy"], forces, reading)


def _open(path: pathlib.Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(f"{path}: no .npz file ({error})") from error


def _find_member(archive: zipfile.ZipFile, what: str, path: pathlib.Path) -> str:
    for name in NAMES[what]:
        if f"{name}.npy" in archive.namelist():
            return f"{name}.npy"
    found = ", ".join(name.removesuffix(".npy") for name in archive.namelist()) or "nothing"
    raise InputError(f"{path}: no array {' or '.join(NAMES[what])}, only {found}")


def _read_header(file) -> tuple[tuple[int, ...], bool, numpy.dtype]:
    version = numpy.lib.format.read_magic(file)
    read = numpy.lib.format.read_array_header_1_0 if version == (1, 0) else numpy.lib.format.read_array_header_2_0
    return read(file)


def _read_shape(archive: zipfile.ZipFile, member: str) -> tuple[int, ...]:
    with archive.open(member) as file:
        return _read_header(file)[0]


def _read_rows(archive: zipfile.ZipFile, member: str, start: int, stop: int | None) -> numpy.ndarray:
    """The rows of an array from ``start`` to ``stop``, None for all."""
    with archive.open(member) as file:
        shape, is_fortran, dtype = _read_header(file)
        if is_fortran or dtype.hasobject:
            raise InputError(f"{member}: stored in another way than row by row; save it with numpy.savez once more")
        stop = shape[0] if stop is None else stop
        row_bytes = dtype.itemsize * math.prod(shape[1:])
        file.seek(file.tell() + start * row_bytes)
        data = file.read((stop - start) * row_bytes)
    return numpy.frombuffer(data, dtype).reshape(stop - start, *shape[1:])


def _read_text(archive: zipfile.ZipFile, key: str) -> str:
    if f"{key}.npy" not in archive.namelist():
        return ""
    with archive.open(f"{key}.npy") as file:
        value = numpy.lib.format.read_array(file, allow_pickle=False).reshape(-1)[0]
    return value.decode() if isinstance(value, bytes) else str(value)
