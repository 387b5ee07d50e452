"""The database that molecules are generated into: block by block, each of them whole or not there.

A block is a fixed number of molecules, whose own numbers say from which random numbers they come. One that is finished
is written in one transaction, its number with it, so that a database is whole at every moment, however generation ends;
the same command goes on with the blocks that are missing. Each row has its targets, its number and its settings' name.
"""

import dataclasses
import pathlib
import sqlite3
import typing
from collections.abc import Iterator, Mapping, Sequence

import ase.db
import numpy

from common.data.molecule_database import NUMBER, Molecule, make_metadata, to_row
from common.files.atomic import name_full_disk, replace_atomically
from common.generation.sampling import Generated, Request, Sampler, SamplingSettings, Start
from common.generators.conditions import Condition, Targets
from common.generators.file import load_generator
from common.molecules.formulas import format_formula

BLOCK_SIZE = 256
"""Molecules that are generated together: enough to keep all slots busy, few enough to lose."""

BLOCKS = "blocks"
SETTINGS = "settings"
"""Names in the metadata: of each finished block, how many of its molecules were given up; what names the generation."""


@dataclasses.dataclass(frozen=True)
class Block:
    """Molecules with one set of targets.

    Attributes:
        number: of the block.
        first: the number of its first molecule.
        n_molecules: how many.
        targets: what they aim at.
    """

    number: int
    first: int
    n_molecules: int
    targets: Targets


def plan_blocks(targets: Sequence[Targets], n_molecules: int) -> list[Block]:
    """All blocks of a generation.

    Args:
        targets: what is aimed at, one after the other.
        n_molecules: for each.
    """
    blocks: list[Block] = []
    for i, own in enumerate(targets):
        for start in range(0, n_molecules, BLOCK_SIZE):
            size = min(BLOCK_SIZE, n_molecules - start)
            blocks.append(Block(len(blocks), i * n_molecules + start, size, own))
    return blocks


class BlockGenerator:
    """Generates blocks in a process that has loaded a generator once."""

    def __init__(self, path: pathlib.Path, settings: SamplingSettings, start: Start | None, device: str = "cpu"):
        """Loads the generator; errors as :func:`load_generator` and :class:`Sampler`."""
        network = load_generator(path).network.to(device)
        self.sampler = Sampler(network, settings, start)

    def __call__(self, block: Block) -> list[Generated]:
        """The molecules of a block, by number."""
        requests = (Request(block.first + i, block.targets) for i in range(block.n_molecules))
        return sorted(self.sampler.generate(requests), key=lambda one: one.number)


class GeneratedDatabase:
    """A database that blocks are added to."""

    def __init__(self, path: pathlib.Path, settings: Mapping[str, typing.Any], conditions: Sequence[Condition]):
        """Opens the database, or makes it.

        Args:
            path: ends in ``.db``.
            settings: plain values that name generator and settings; those of a database that is there must be the same.
            conditions: of the generator.

        Raises:
            ValueError: it holds molecules of another generator or other settings, or is no database.
        """
        self.path = path
        self._conditions = {condition.name: condition for condition in conditions}
        self._types: Sequence[int] = settings["types"]
        if path.exists():
            self._metadata = self._read(settings)
            return
        self._metadata = make_metadata({}, {SETTINGS: dict(settings), BLOCKS: {}})
        with replace_atomically(path) as beside, ase.db.connect(beside, type="db", append=False) as connection:
            connection.metadata = self._metadata

    def _read(self, settings: Mapping[str, typing.Any]) -> dict[str, typing.Any]:
        try:
            with ase.db.connect(self.path, type="db") as connection:
                metadata = dict(connection.metadata)
        except (sqlite3.DatabaseError, KeyError, ValueError, AssertionError) as error:
            raise ValueError(f"{self.path}: no ASE database, or a damaged one ({error})") from error
        before = metadata.get(SETTINGS)
        if before is None:
            raise ValueError(f"{self.path}: holds other molecules than generated ones; name another output")
        for name, value in settings.items():
            if before.get(name) != value:
                raise ValueError(
                    f"{self.path}: was generated with {name} {before.get(name)}, now {value}; name another output"
                )
        return metadata

    @property
    def finished(self) -> dict[int, int]:
        """Of each finished block, how many molecules were given up."""
        return {int(number): given_up for number, given_up in self._metadata[BLOCKS].items()}

    def add(self, block: Block, generated: Sequence[Generated]) -> None:
        """Writes a block: what is finished of it, and that it is done."""
        given_up = sum(not one.finished for one in generated)
        metadata = {**self._metadata, BLOCKS: {**self._metadata[BLOCKS], str(block.number): given_up}}
        targets = {name: self._describe(name, value) for name, value in block.targets.items()}
        with name_full_disk(self.path), ase.db.connect(self.path, type="db") as connection:
            for one in generated:
                if one.finished:
                    molecule = Molecule(one.numbers, one.coords, data={"targets": targets, NUMBER: one.number})
                    connection.write(*to_row(molecule))
            connection.metadata = metadata
        self._metadata = metadata

    def _describe(self, name: str, value: numpy.ndarray) -> typing.Any:
        """A target as a plain value: a number, a list, or a formula."""
        condition = self._conditions[name]
        if condition.kind == "composition":
            return format_formula({type_: int(n) for type_, n in zip(self._types, value, strict=True)})
        return float(value[0]) if condition.kind == "scalar" else value.tolist()


def iterate_missing(blocks: Sequence[Block], database: GeneratedDatabase) -> Iterator[Block]:
    """The blocks that are still to be generated."""
    finished = database.finished
    yield from (block for block in blocks if block.number not in finished)
