"""ASE databases (``.db``, SQLite, and ``.json``): a row for each conformer.

Rows are read by https://ase-lib.org/ase/db/db.html; energies and forces stand where ASE's calculators put them, or
under keys and in ``data``.
"""

import collections.abc
import pathlib
import typing

import ase.db
import numpy

from common.own_data.extended_xyz import find_smiles, get_charge, get_text
from common.own_data.records import Block, Frames, InputError, Reading, collect_blocks, make_frames


def find_blocks(path: pathlib.Path, reading: Reading) -> list[Block]:
    """The conformers of a database, those of one name, SMILES and order of elements together.

    Raises:
        InputError: ASE cannot read it.
    """
    return collect_blocks(path, _scan(path, reading))


def read_block(block: Block, reading: Reading) -> Frames:
    """Reads the conformers of a block.

    Raises:
        InputError: a row has no energy.
    """
    with ase.db.connect(block.path) as database:
        rows = [database.get(id=place) for place in block.places]
    return make_frames(
        rows[0].numbers,
        numpy.stack([row.positions for row in rows]),
        [_get_energy(row, reading) for row in rows],
        numpy.stack([_get_forces(row, reading) for row in rows]),
        reading,
    )


def _scan(path: pathlib.Path, reading: Reading) -> collections.abc.Iterator[tuple]:
    try:
        with ase.db.connect(path) as database:
            for row in database.select(include_data=False):
                values = row.key_value_pairs
                name = get_text(values, reading.name_key)
                smiles = get_text(values, reading.smiles_key) or find_smiles(name, path, reading)
                charge = get_charge(values, reading.charge_key)
                yield name, smiles, charge, tuple(row.numbers.tolist()), row.id
    except InputError:
        raise
    except Exception as error:  # SQLite's and ASE's own: all of them say that this is no database
        raise InputError(f"{path}: no ASE database ({error})") from error


def _get_energy(row: typing.Any, reading: Reading) -> float:
    value = row.get(reading.energy_key)
    if value is None:
        value = row.data.get(reading.energy_key)
    if value is None:
        raise InputError(f"row {row.id} has no energy under {reading.energy_key!r}; name it with --energy-key")
    return float(numpy.asarray(value).reshape(-1)[0])


def _get_forces(row: typing.Any, reading: Reading) -> numpy.ndarray:
    value = row.get(reading.forces_key)
    if value is None:
        value = row.data.get(reading.forces_key)
    if value is None:
        return numpy.full((row.natoms, 3), numpy.nan)
    return numpy.asarray(value, dtype=numpy.float64).reshape(row.natoms, 3)
