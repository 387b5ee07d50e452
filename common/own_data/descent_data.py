"""Data sets of descent, and those of these stages: folders in the schema of ``descent.targets.energy``.

Energies [kcal/mol], forces [kcal/mol/Angstrom], coordinates [Angstrom] mapped SMILES, as descent says.
"""

import pathlib

import numpy

from common.data.dataset import open_dataset, read_entries
from common.data.index import index_dataset
from common.molecules.mapped_smiles import from_mapped_smiles
from common.own_data.records import Block, Frames, InputError, Reading


def find_blocks(path: pathlib.Path, reading: Reading) -> list[Block]:
    """A block for each row.

    Raises:
        InputError: this is no such data set.
    """
    try:
        rows = index_dataset(path)
    except (ValueError, OSError) as error:
        raise InputError(str(error)) from error
    return [
        Block(path, str(row.row), row.n_coords // (3 * max(1, row.n_confs)), range(row.n_confs), row.smiles)
        for row in rows
    ]


def read_block(block: Block, reading: Reading) -> Frames:
    """Reads some conformers of a row."""
    try:
        [entry] = read_entries(open_dataset(block.path), [int(block.name)])
        atoms = from_mapped_smiles(entry.smiles).GetAtoms()
    except ValueError as error:
        raise InputError(str(error)) from error
    rows = slice(block.places[0], block.places[-1] + 1)
    numbers = numpy.array([atom.GetAtomicNum() for atom in atoms], dtype=numpy.int64)
    if len(numbers) != entry.n_atoms:
        raise InputError(f"{len(numbers)} atoms in {entry.smiles}, {entry.n_atoms} in the coordinates")
    energy = entry.energy[rows] + entry.energy_offset
    sign = -1.0 if reading.gradients else 1.0
    return Frames(numbers, entry.coords[rows], energy, sign * entry.forces[rows])
