"""Archive entries -> shards of a data set, with an account of everything that was left out."""

import collections.abc
import pathlib
import typing

from common.data.accounts import describe_row
from common.data.dataset import ShardWriter
from common.espaloma.archive import EntryLocation
from common.espaloma.entry import CheckedEntry, EntryError, read_checked_entry
from common.plausibility.checks import find_doubts

ADVICE = (
    "these entries are left out; where a file is missing or damaged, unpack its tar file again and run this stage again"
)


def convert_slice(
    max_force: float | None, locations: collections.abc.Sequence[EntryLocation], path: pathlib.Path
) -> dict[str, typing.Any]:
    """Writes one shard.

    Args:
        max_force: [kcal/mol/Angstrom] see :func:`common.espaloma.entry.read_checked_entry`.
        locations: the entries.
        path: of the shard.

    Returns:
        what :func:`common.data.accounts.settle_account` needs: ``rows``, ``failed``, ``dropped``, ``doubts``.
    """
    rows, failed, dropped, doubts = [], {}, {}, {}
    with ShardWriter(path) as shard:
        for location in locations:
            try:
                checked = read_location(location, max_force)
            except EntryError as error:
                failed[location.name] = str(error).removeprefix(str(location.folder)).lstrip("/: ")
                continue
            entry = checked.entry
            shard.write(entry)
            rows.append(describe_row(entry))
            if checked.dropped:
                dropped[location.name] = checked.dropped
            if found := find_doubts(entry.smiles, entry.coords, entry.energy, entry.energy_offset, entry.forces):
                doubts[entry.entry] = found
    return {"rows": rows, "failed": failed, "dropped": dropped, "doubts": doubts}


def read_location(location: EntryLocation, max_force: float | None) -> CheckedEntry:
    """Reads an entry of the archive.

    Raises:
        EntryError: it cannot be used.
    """
    if location.problem:
        raise EntryError(f"{location.folder}: {location.problem}")
    return read_checked_entry(location.folder, location.name, max_force)
