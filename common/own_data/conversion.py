"""Blocks of a user's file -> shards of a data set, with an account of everything that was left out."""

import collections
import collections.abc
import dataclasses
import pathlib
import typing

import numpy

from common.data.accounts import describe_row
from common.data.dataset import Entry, ShardWriter
from common.geometry.overlaps import OVERLAP, find_overlaps
from common.own_data.formats import FORMATS
from common.own_data.mapping import Mapped, map_conformers
from common.own_data.records import Block, Frames, InputError, Reading
from common.plausibility.checks import find_doubts

VERSION = 2
"""Raised whenever the same files and settings would give another data set."""

ADVICE = "these are left out; mend the files, or the SMILES, and run this stage again"


@dataclasses.dataclass(frozen=True)
class Import:
    """What is imported, and how.

    Attributes:
        source: the name of the data set; names of entries begin with it.
        format: one of ``FORMATS``.
        reading: how files are read.
        charge: [e] of molecules without SMILES whose file does not say it.
        max_force: [kcal/mol/Angstrom] conformers with a larger force on any atom are dropped; None keeps them.
        has_files: there are several files, whose names are part of those of the entries.
    """

    source: str
    format: str
    reading: Reading
    charge: int = 0
    max_force: float | None = None
    has_files: bool = False


def cut_blocks(blocks: collections.abc.Iterable[Block], max_confs: int) -> list[Block]:
    """Blocks of at most so many conformers; longer ones become several entries of one molecule."""
    parts: list[Block] = []
    for block in blocks:
        if block.n_confs <= max_confs:
            parts.append(block)
            continue
        for i, start in enumerate(range(0, block.n_confs, max_confs), 1):
            parts.append(dataclasses.replace(block, places=block.places[start : start + max_confs], part=i))
    return parts


def import_slice(
    settings: Import, blocks: collections.abc.Sequence[Block], path: pathlib.Path
) -> dict[str, typing.Any]:
    """Writes one shard.

    Args:
        settings: what is imported, and how.
        blocks: the conformers.
        path: of the shard.

    Returns:
        what :func:`common.data.accounts.settle_account` needs: ``rows``, ``failed``, ``dropped``, ``doubts``.
    """
    rows, failed, dropped, doubts = [], {}, {}, {}
    with ShardWriter(path) as shard, FORMATS[settings.format].keep_open():
        for block in blocks:
            name = name_block(settings, block)
            try:
                entries, left_out, remapped = convert_block(settings, block, name)
            except InputError as error:
                failed[name] = str(error)
                continue
            if left_out:
                dropped[name] = left_out
            for entry in entries:
                shard.write(entry)
                rows.append(describe_row(entry))
                found = find_doubts(entry.smiles, entry.coords, entry.energy, entry.energy_offset, entry.forces)
                if remapped:
                    found["order"] = "the map numbers of the SMILES did not fit; atoms were matched by their bonds"
                if found:
                    doubts[entry.entry] = found
    return {"rows": rows, "failed": failed, "dropped": dropped, "doubts": doubts}


def name_block(settings: Import, block: Block) -> str:
    """What the entry of a block is called, e.g. "own/ethanol" or "own/ethanol/2"."""
    file = [block.path.name.partition(".")[0]] if settings.has_files else []
    return "/".join([settings.source, *file, block.name, *([str(block.part)] if block.part else [])])


def convert_block(settings: Import, block: Block, name: str) -> tuple[list[Entry], dict[str, int], bool]:
    """The entries of a block, how many conformers were left out by reason, and whether map numbers were replaced.

    Raises:
        InputError: nothing of it can be used.
    """
    frames = FORMATS[settings.format].read_block(block, settings.reading)
    reasons = find_reasons(frames, settings.max_force)
    dropped = dict(collections.Counter(reasons[reasons != ""].tolist()))
    good = numpy.flatnonzero(reasons == "")
    if not len(good):
        counts = ", ".join(f"{count} with {reason}" for reason, count in dropped.items())
        raise InputError(f"no conformer is left of {block.n_confs}: {counts}")
    charge = settings.charge if block.charge is None else block.charge
    mapped, others = map_conformers(frames.atomic_nums, frames.coords[good], block.smiles, charge)
    dropped |= others
    parts = [(one, rows) for one in mapped for rows in part_by_values(frames, good[one.conformers])]
    entries = [
        make_entry(frames, rows, one, name if len(parts) == 1 else f"{name}:{i}")
        for i, (one, rows) in enumerate(parts, 1)
    ]
    return entries, dropped, any(one.is_remapped for one in mapped)


def find_reasons(frames: Frames, max_force: float | None) -> numpy.ndarray:
    """Why each conformer cannot be used, ``shape=(n_confs,)`` of str; "" where it can."""
    reasons = numpy.full(len(frames.energy), "", dtype=object)
    no_energy, no_forces = numpy.isnan(frames.energy), numpy.isnan(frames.forces).all((1, 2))
    reasons[no_energy & no_forces] = "neither energy nor forces"
    finite = (no_energy | numpy.isfinite(frames.energy)) & numpy.isfinite(frames.coords).all((1, 2))
    finite &= no_forces | numpy.isfinite(frames.forces).all((1, 2))
    reasons[(reasons == "") & ~finite] = "coordinates, energy or forces not finite"
    good = numpy.flatnonzero(reasons == "")
    reasons[good[find_overlaps(frames.coords[good])]] = f"atoms closer than {OVERLAP} A"
    if max_force is not None:
        largest = numpy.linalg.norm(frames.forces[good], axis=-1).max(-1)  # NaN without forces, and not above
        reasons[good[largest > max_force]] = f"a force above {max_force:g} kcal/mol/A"
    return reasons


def part_by_values(frames: Frames, conformers: numpy.ndarray) -> list[numpy.ndarray]:
    """Conformers with energies and forces, with energies alone, with forces alone: an entry has the same of each."""
    no_energy = numpy.isnan(frames.energy[conformers])
    no_forces = numpy.isnan(frames.forces[conformers]).all((1, 2))
    parts = [conformers[~no_energy & ~no_forces], conformers[no_forces], conformers[no_energy]]
    return [part for part in parts if len(part)]


def make_entry(frames: Frames, conformers: numpy.ndarray, mapped: Mapped, name: str) -> Entry:
    """The entry of some conformers of a block, energies relative to their mean; what it has none of is NaN."""
    energy = frames.energy[conformers]
    mean = 0.0 if numpy.isnan(energy).any() else float(energy.mean())
    return Entry(mapped.smiles, frames.coords[conformers], energy - mean, frames.forces[conformers], mean, name)
