"""The children that a type might have: sets of its leaves that one primitive of one tagged atom tells apart."""

import dataclasses

import numpy

from common.type_discovery.leaves import Leaves


@dataclasses.dataclass(frozen=True)
class TypeOfNow:
    """A type in the course of the search.

    Attributes:
        leaves: numbers of its leaves, ``shape=(n_leaves,)``.
        columns: of φ at the grain of leaves, ``shape=(size, n_leaves)``: its trained columns.
        bits: what the ways of each leaf satisfy, ``shape=(n_leaves, n_tags, n_primitives)`` bool.
        molecules: which molecules have each leaf, ``shape=(n_leaves, n_molecules)`` bool.
        is_linear: of each leaf.
        min_molecules: that must have the child, and the parent without it.
    """

    leaves: numpy.ndarray
    columns: numpy.ndarray
    bits: numpy.ndarray
    molecules: numpy.ndarray
    is_linear: numpy.ndarray
    min_molecules: int

    @property
    def size(self) -> int:
        """How many columns of φ belong to it."""
        return len(self.columns)

    def _select(self, mask: numpy.ndarray) -> "TypeOfNow":
        return dataclasses.replace(
            self,
            leaves=self.leaves[mask],
            columns=self.columns[:, mask],
            bits=self.bits[mask],
            molecules=self.molecules[mask],
            is_linear=self.is_linear[mask],
        )

    def make_child(self, leaves: numpy.ndarray) -> "TypeOfNow":
        """The type that has these leaves."""
        return self._select(numpy.isin(self.leaves, leaves))

    def without(self, leaves: numpy.ndarray) -> "TypeOfNow":
        """The type that has the other leaves."""
        return self._select(~numpy.isin(self.leaves, leaves))

    def get_columns(self, leaves: numpy.ndarray) -> numpy.ndarray:
        """The leaf columns of some of its leaves, ``shape=(size, n)``."""
        return self.columns[:, numpy.isin(self.leaves, leaves)]


@dataclasses.dataclass(frozen=True)
class Candidates:
    """Possible children of one type, each a different set of leaves.

    Attributes:
        members: ``shape=(n_candidates, n_leaves)`` bool.
        tags: of the atom, from 1, ``shape=(n_candidates,)``.
        primitives: number of the primitive, ``shape=(n_candidates,)``.
    """

    members: numpy.ndarray
    tags: numpy.ndarray
    primitives: numpy.ndarray


def list_candidates(type_: TypeOfNow) -> Candidates:
    """The children of a type that enough molecules have, each set of leaves once: by the primitive that comes first.

    Of a set and its complement, which part the type alike, the one that fewer molecules have is the child. Torsions
    about linear groups are not told apart: a set that has one is none.
    """
    n_leaves, n_tags, n_primitives = type_.bits.shape
    sets = type_.bits.reshape(n_leaves, n_tags * n_primitives).T
    n_with = (sets.astype(numpy.float32) @ type_.molecules.astype(numpy.float32) > 0).sum(axis=1)
    n_without = ((~sets).astype(numpy.float32) @ type_.molecules.astype(numpy.float32) > 0).sum(axis=1)
    allowed = (n_with >= type_.min_molecules) & (n_without >= type_.min_molecules)
    allowed &= ~(sets & type_.is_linear).any(axis=1) & sets.any(axis=1) & ~sets.all(axis=1)
    chosen: dict[bytes, int] = {}
    packed = numpy.packbits(sets, axis=1)
    for i in numpy.flatnonzero(allowed).tolist():
        complement = numpy.packbits(~sets[i]).tobytes()
        if complement in chosen:
            other = chosen[complement]
            if n_with[other] <= n_with[i]:
                continue
            del chosen[complement]
        chosen.setdefault(packed[i].tobytes(), i)
    order = numpy.array(sorted(chosen.values()), dtype=numpy.int64)
    return Candidates(sets[order], order // n_primitives + 1, order % n_primitives)


def make_leaf_bits(leaves: Leaves, numbers: numpy.ndarray) -> numpy.ndarray:
    """For each leaf, tag and primitive whether some way satisfies it, ``shape=(n, n_tags, n_primitives)``."""
    n_tags = len(next(iter(leaves.leaves[numbers[0]].ways)))
    bits = numpy.zeros((len(numbers), n_tags, len(leaves.primitives)), dtype=bool)
    for i, number in enumerate(numbers.tolist()):
        for way in leaves.leaves[number].ways:
            bits[i] |= leaves.classes[list(way)]
    return bits
