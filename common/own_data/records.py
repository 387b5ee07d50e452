"""What the readers of all formats share: how a file is to be read, where its conformers lie, and what was read."""

import collections.abc
import dataclasses
import os
import pathlib
import typing

import numpy

from common.own_data.units import Units


class InputError(ValueError):
    """A file, or a block of it, that cannot be used; the message says why and what to do."""


@dataclasses.dataclass(frozen=True)
class Reading:
    """How a file is to be read, where it does not say so itself.

    Attributes:
        units: of coordinates, energies and forces.
        gradients: what the file calls forces are gradients, +dE/dx.
        smiles_key, name_key, energy_key, forces_key, charge_key: what the file calls these.
        smiles_by_name: SMILES of molecules that the file only names.
    """

    units: Units
    gradients: bool = False
    smiles_key: str = "smiles"
    name_key: str = "name"
    energy_key: str = "energy"
    forces_key: str = "forces"
    charge_key: str = "charge"
    smiles_by_name: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Block:
    """Where conformers of one list of atoms lie.

    Attributes:
        path: the file or folder.
        name: of the molecule or calculation, unique in the file.
        n_atoms: in each conformer.
        places: one for each conformer, in the way of the format: bytes, rows, names.
        smiles: of the molecule, mapped or plain; "" where the file does not say.
        charge: [e] of the molecule; None where the file does not say.
        part: counts the parts into which a long block was cut, from 1; 0 of a whole one.
    """

    path: pathlib.Path
    name: str
    n_atoms: int
    places: collections.abc.Sequence[typing.Any]
    smiles: str = ""
    charge: int | None = None
    part: int = 0

    @property
    def n_confs(self) -> int:
        return len(self.places)


@dataclasses.dataclass(frozen=True)
class Frames:
    """Conformers as read, in the units of the project.

    Attributes:
        atomic_nums: ``shape=(n_atoms,)`` int64.
        coords: [Angstrom] ``shape=(n_confs, n_atoms, 3)`` float64.
        energy: [kcal/mol] ``shape=(n_confs,)`` float64, total energies; NaN where there is none.
        forces: [kcal/mol/Angstrom] as ``coords``, minus the gradient; NaN where there are none.
    """

    atomic_nums: numpy.ndarray
    coords: numpy.ndarray
    energy: numpy.ndarray
    forces: numpy.ndarray


def make_frames(
    atomic_nums: typing.Any, coords: typing.Any, energy: typing.Any, forces: typing.Any | None, reading: Reading
) -> Frames:
    """Converts what a file holds, in its units and with its sign, to what the project uses.

    Args:
        atomic_nums: ``shape=(n_atoms,)``.
        coords: ``shape=(n_confs, n_atoms, 3)``, or anything of that size.
        energy: ``shape=(n_confs,)``.
        forces: as ``coords``; None where there are none.
        reading: units, and whether these forces are gradients.

    Raises:
        InputError: the shapes do not belong together.
    """
    numbers = numpy.asarray(atomic_nums, dtype=numpy.int64).reshape(-1)
    energies = numpy.asarray(energy, dtype=numpy.float64).reshape(-1)
    shape = (len(energies), len(numbers), 3)
    arrays = {"coordinates": coords, "forces": numpy.full(shape, numpy.nan) if forces is None else forces}
    for what, array in arrays.items():
        arrays[what] = numpy.asarray(array, dtype=numpy.float64)
        if arrays[what].size != energies.size * numbers.size * 3:
            raise InputError(
                f"{what} of shape {arrays[what].shape}, expected {shape}: {len(energies)} energies, {len(numbers)} "
                "atoms"
            )
    sign = -1.0 if reading.gradients else 1.0
    return Frames(
        numbers,
        arrays["coordinates"].reshape(shape) * reading.units.length,
        energies * reading.units.energy,
        arrays["forces"].reshape(shape) * (sign * reading.units.force),
    )


def collect_blocks(
    path: str | os.PathLike,
    conformers: collections.abc.Iterable[tuple[str, str, int | None, tuple[typing.Any, ...], typing.Any]],
) -> list[Block]:
    """Puts conformers of one molecule in one order of atoms together, wherever in the file they stand.

    Where there is a SMILES it says which molecule it is, and names may be those of conformers; the first one counts.

    Args:
        path: the file.
        conformers: for each its name, SMILES, charge, elements (symbols or numbers), and place.
    """
    groups: dict[tuple, tuple[str, list[typing.Any]]] = {}
    for name, smiles, charge, elements, place in conformers:
        groups.setdefault((smiles or name, smiles, charge, elements), (name, []))[1].append(place)
    blocks, seen = [], dict[str, int]()
    for (_, smiles, charge, elements), (first_name, places) in groups.items():
        name = first_name or pathlib.Path(path).stem
        seen[name] = seen.get(name, 0) + 1
        unique = name if seen[name] == 1 else f"{name}-{seen[name]}"
        blocks.append(Block(pathlib.Path(path), unique, len(elements), tuple(places), smiles, charge))
    return blocks
