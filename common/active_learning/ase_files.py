"""ASE databases: starts of trajectories come from them, labelled structures go to them."""

import collections.abc
import os
import pathlib

import ase
import ase.calculators.singlepoint
import ase.db
import ase.units
import numpy

from common.active_learning.search_space import Molecule, Start
from common.files.atomic import replace_atomically
from common.tasks.labels import Labels
from common.units import EV_TO_KCAL_PER_MOL


def read_starts(
    path: str | os.PathLike, molecules: collections.abc.Sequence[Molecule], temperature: float
) -> list[Start]:
    """The rows of a database as starts of trajectories.

    Args:
        path: of the database; key-value pairs that count are ``smiles`` (mapped, which molecule the row is; not needed
            where there is one molecule), ``temperature`` [K] and ``region``.
        molecules: of the search space.
        temperature: [K] of rows that do not say.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a row is of none of the molecules, or there are no rows; the row is named.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    starts = []
    with ase.db.connect(path) as database:
        for row in database.select():
            pairs = row.key_value_pairs
            number = _find_molecule(molecules, row.numbers, pairs.get("smiles"))
            if number is None:
                raise ValueError(
                    f"{path}, row {row.id}: its atoms {row.numbers.tolist()} are those of none of the molecules, in "
                    "this order; give their mapped SMILES, or a key 'smiles' in the row"
                )
            atoms = row.toatoms()
            velocities = atoms.get_velocities() * ase.units.fs if atoms.has("momenta") else None
            starts.append(
                Start(
                    number,
                    numpy.array(row.positions, dtype=numpy.float64),
                    velocities,
                    float(pairs.get("temperature", temperature)),
                    str(pairs.get("region", "known")),
                )
            )
    if not starts:
        raise ValueError(f"{path}: has no rows")
    return starts


def _find_molecule(
    molecules: collections.abc.Sequence[Molecule], numbers: numpy.ndarray, smiles: str | None
) -> int | None:
    for k, molecule in enumerate(molecules):
        if smiles in (None, molecule.smiles) and numpy.array_equal(molecule.numbers, numbers):
            return k
    return None


def write_database(
    path: str | os.PathLike,
    labels: Labels,
    molecules: collections.abc.Sequence[Molecule],
    sources: collections.abc.Sequence[str],
    notes: collections.abc.Sequence[dict[str, str | int | float]],
) -> None:
    """Writes labelled structures, whole or not at all, in eV and Angstrom.

    Args:
        path: of the database, ending in ``.db``.
        labels: the structures.
        molecules: of the search space.
        sources: why each structure was computed: "initial", "audit", "active" or "random".
        notes: further key-value pairs of each.
    """
    with replace_atomically(path) as beside, ase.db.connect(str(beside), type="db", use_lock_file=False) as database:
        for i, (source, pairs) in enumerate(zip(sources, notes, strict=True)):
            numbers, coords, forces = labels.get(i)
            molecule = molecules[int(labels.molecules[i])]
            atoms = ase.Atoms(numbers=numbers, positions=coords, info={"charge": molecule.charge})
            atoms.calc = ase.calculators.singlepoint.SinglePointCalculator(
                atoms, energy=labels.energies[i] / EV_TO_KCAL_PER_MOL, forces=forces / EV_TO_KCAL_PER_MOL
            )
            # a SMILES as a key would be taken for a formula by ASE where it looks like one: it goes with the data
            database.write(atoms, source=source, data={"smiles": molecule.smiles}, **pairs)
