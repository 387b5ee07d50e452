"""HDF5 files in the layout of SPICE: a group for each molecule.

    <group>/smiles                  mapped SMILES
    <group>/atomic_numbers          (n_atoms,)
    <group>/conformations           (n_confs, n_atoms, 3) [bohr]
    <group>/dft_total_energy        (n_confs,) [hartree]
    <group>/dft_total_gradient      (n_confs, n_atoms, 3) [hartree/bohr], +dE/dx

The layout is that of https://github.com/openmm/spice-dataset. A data set's attribute "units", where it has one, goes
before these units.
"""

import collections.abc
import contextlib
import pathlib
import typing

import numpy

from common.own_data.records import Block, Frames, InputError, Reading, make_frames
from common.own_data.units import Units, parse_units

COORDS, ENERGY, GRADIENT = "conformations", "dft_total_energy", "dft_total_gradient"


def find_blocks(path: pathlib.Path, reading: Reading) -> list[Block]:
    """A block for each group.

    Raises:
        InputError: this is no such file.
    """
    blocks = []
    with _open(path) as file:
        for name, group in file.items():
            missing = [key for key in ("atomic_numbers", COORDS, ENERGY) if key not in group]
            if missing:
                raise InputError(f"{path}: the group {name!r} has no {missing[0]}; is this a file in SPICE's layout?")
            n_confs, n_atoms = group[COORDS].shape[:2]
            smiles = _read_text(group["smiles"]) if "smiles" in group else reading.smiles_by_name.get(name, "")
            blocks.append(Block(path, name, n_atoms, range(n_confs), smiles))
    if not blocks:
        raise InputError(f"{path}: no groups; is this a file in SPICE's layout?")
    return blocks


def read_block(block: Block, reading: Reading) -> Frames:
    """Reads some conformers of a group."""
    rows = slice(block.places[0], block.places[-1] + 1)
    with _open(block.path) as file:
        group = file[block.name]
        datasets = {key: group[key] for key in (COORDS, ENERGY, GRADIENT) if key in group}
        values = {key: dataset[rows] for key, dataset in datasets.items()}
        own = Reading(_read_units(datasets, reading.units), gradients=True)
        numbers = group["atomic_numbers"][:]
    return make_frames(numbers, values[COORDS], values[ENERGY], values.get(GRADIENT), own)


@contextlib.contextmanager
def keep_open() -> collections.abc.Iterator[None]:
    """Within it a file stays open from one block to the next of the same file: opening takes as long as reading."""
    try:
        _kept.append(None)
        yield
    finally:
        _close(_kept.pop())


_kept: list[typing.Any] = []
"""The file that is kept open, or None where none has been read yet; empty where none is to be kept."""


@contextlib.contextmanager
def _open(path: pathlib.Path) -> collections.abc.Iterator[typing.Any]:
    """The file, closed afterwards unless it is to be kept open."""
    if _kept and _kept[-1] is not None and _kept[-1].filename == str(path):
        yield _kept[-1]
        return
    import h5py  # half a second that other formats need not wait for

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path}: no HDF5 file ({error})") from error
    if _kept:
        _close(_kept[-1])
        _kept[-1] = file
        yield file
    else:
        with file:
            yield file


def _close(file: typing.Any) -> None:
    if file is not None:
        file.close()


def _read_units(datasets: collections.abc.Mapping[str, typing.Any], default: Units) -> Units:
    """Units by the attributes of the data sets, where these have any."""
    factors = []
    for key, factor in ((COORDS, default.length), (ENERGY, default.energy), (GRADIENT, default.force)):
        stated = datasets[key].attrs.get("units") if key in datasets else None
        if stated is not None:
            text = stated.decode() if isinstance(stated, bytes) else str(stated)
            try:
                factor = _parse_stated(key, text)
            except ValueError as error:
                raise InputError(f"{key}: {error}") from error
        factors.append(factor)
    return Units(energy=factors[1], length=factors[0], force=factors[2])


def _parse_stated(key: str, text: str) -> float:
    if key == COORDS:
        return parse_units("hartree", text).length
    if key == ENERGY:
        return parse_units(text, "bohr").energy
    return parse_units("hartree", "bohr", text).force


def _read_text(dataset: typing.Any) -> str:
    value = dataset[()]
    value = value.reshape(-1)[0] if isinstance(value, numpy.ndarray) else value
    return value.decode() if isinstance(value, bytes) else str(value)
