"""Structures with energies and forces, of any molecules, as arrays laid end to end."""

import collections.abc
import dataclasses
import os

import numpy

from common.files.arrays import read_arrays, write_arrays


@dataclasses.dataclass(frozen=True)
class Labels:
    """Labelled structures.

    Attributes:
        molecules: which molecule of the search space each is of, ``shape=(n,)`` int64.
        n_atoms: of each, ``shape=(n,)`` int64.
        numbers: atomic numbers of all of them, ``shape=(n_atoms,)`` int64.
        coords: [Angstrom] ``shape=(n_atoms, 3)`` float64.
        energies: [kcal/mol] total energies, ``shape=(n,)`` float64.
        forces: [kcal/mol/Angstrom] ``shape=(n_atoms, 3)`` float64.
    """

    molecules: numpy.ndarray
    n_atoms: numpy.ndarray
    numbers: numpy.ndarray
    coords: numpy.ndarray
    energies: numpy.ndarray
    forces: numpy.ndarray

    def __len__(self) -> int:
        return len(self.n_atoms)

    @property
    def starts(self) -> numpy.ndarray:
        """The first atom of each, ``shape=(n,)``."""
        return numpy.cumsum(self.n_atoms) - self.n_atoms

    def list_atoms(self, structures: numpy.ndarray) -> numpy.ndarray:
        """The atoms of some structures, in the order of the index ``structures``."""
        starts = self.starts
        parts = [numpy.arange(starts[i], starts[i] + self.n_atoms[i]) for i in structures]
        return numpy.concatenate(parts) if parts else numpy.zeros(0, dtype=numpy.int64)

    def select(self, structures: numpy.ndarray) -> "Labels":
        """Some of the structures, by an index."""
        atoms = self.list_atoms(structures)
        return Labels(
            self.molecules[structures],
            self.n_atoms[structures],
            self.numbers[atoms],
            self.coords[atoms],
            self.energies[structures],
            self.forces[atoms],
        )

    def find_largest_forces(self) -> numpy.ndarray:
        """The largest force on an atom of each [kcal/mol/Angstrom], ``shape=(n,)``."""
        norms = numpy.linalg.norm(self.forces, axis=1)
        return numpy.maximum.reduceat(norms, self.starts) if len(self) else numpy.zeros(0)

    def get(self, i: int) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
        """The atomic numbers, coordinates and forces of one."""
        part = slice(int(self.starts[i]), int(self.starts[i] + self.n_atoms[i]))
        return self.numbers[part], self.coords[part], self.forces[part]


def make_labels(
    molecules: collections.abc.Sequence[int],
    numbers: collections.abc.Sequence[numpy.ndarray],
    coords: collections.abc.Sequence[numpy.ndarray],
    energies: collections.abc.Sequence[float],
    forces: collections.abc.Sequence[numpy.ndarray],
) -> Labels:
    """Labels of structures that come one by one; each argument has one item a structure."""
    return Labels(
        numpy.array(molecules, dtype=numpy.int64),
        numpy.array([len(each) for each in numbers], dtype=numpy.int64),
        numpy.concatenate([numpy.zeros(0, dtype=numpy.int64), *numbers]),
        numpy.concatenate([numpy.zeros((0, 3)), *coords]),
        numpy.array(energies, dtype=numpy.float64),
        numpy.concatenate([numpy.zeros((0, 3)), *forces]),
    )


def join_labels(parts: collections.abc.Sequence[Labels]) -> Labels:
    """All structures of several, in order; at least one part."""
    names = [field.name for field in dataclasses.fields(Labels)]
    return Labels(*(numpy.concatenate([getattr(part, name) for part in parts]) for name in names))


def save_labels(path: str | os.PathLike, labels: Labels) -> None:
    """Writes labels as ``.npz``, whole or not at all."""
    write_arrays(path, {field.name: getattr(labels, field.name) for field in dataclasses.fields(Labels)})


def load_labels(path: str | os.PathLike) -> Labels:
    """Reads what :func:`save_labels` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged.
    """
    labels = Labels(**read_arrays(path, [field.name for field in dataclasses.fields(Labels)]))
    n = int(labels.n_atoms.sum())
    if labels.coords.shape != (n, 3) or labels.forces.shape != (n, 3) or labels.energies.shape != (len(labels),):
        raise ValueError(f"{path}: damaged (arrays do not belong together)")
    return labels
