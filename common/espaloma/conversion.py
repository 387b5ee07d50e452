"""Archive entries -> shards of a data set, with an account of everything that was left out."""

import collections.abc
import dataclasses
import hashlib
import pathlib
import re
import typing

from common.data.dataset import Entry, ShardWriter
from common.data.shards import Shards, drop_rows
from common.espaloma.archive import EntryLocation
from common.espaloma.entry import CheckedEntry, EntryError, read_checked_entry
from common.reporting.console import format_left_out

MAX_REASONS = 10
"""Shown on the console of those for which entries cannot be used."""

ADVICE = (
    "these entries are left out; where a file is missing or damaged, unpack its tar file again and run this stage again"
)


@dataclasses.dataclass(frozen=True)
class Account:
    """What became of the entries of a source.

    Attributes:
        n_found: entries in the archive.
        n_entries, n_confs: kept.
        smiles: the molecules kept, sorted.
        failed: why an entry could not be used, by its name.
        dropped: how many conformers of an entry were dropped, by its name and the reason.
        duplicates: of an entry that repeats another, the name of the other, by its name.
    """

    n_found: int
    n_entries: int
    n_confs: int
    smiles: list[str]
    failed: dict[str, str]
    dropped: dict[str, dict[str, int]]
    duplicates: dict[str, str]

    @property
    def n_confs_dropped(self) -> int:
        return sum(sum(counts.values()) for counts in self.dropped.values())


def convert_slice(
    max_force: float | None, locations: collections.abc.Sequence[EntryLocation], path: pathlib.Path
) -> dict[str, typing.Any]:
    """Writes one shard.

    Args:
        max_force: [kcal/mol/Angstrom] see :func:`common.espaloma.entry.read_checked_entry`.
        locations: the entries.
        path: of the shard.

    Returns:
        ``rows``: name, smiles, number of conformers and contents hash of each row of the shard; ``failed`` and
        ``dropped`` as in :class:`Account`.
    """
    rows, failed, dropped = [], {}, {}
    with ShardWriter(path) as shard:
        for location in locations:
            try:
                checked = read_location(location, max_force)
            except EntryError as error:
                failed[location.name] = str(error).removeprefix(str(location.folder)).lstrip("/: ")
                continue
            entry = checked.entry
            shard.write(entry)
            rows.append(
                {"name": entry.entry, "smiles": entry.smiles, "n_confs": entry.n_confs, "hash": compute_hash(entry)}
            )
            if checked.dropped:
                dropped[location.name] = checked.dropped
    return {"rows": rows, "failed": failed, "dropped": dropped}


def read_location(location: EntryLocation, max_force: float | None) -> CheckedEntry:
    """Reads an entry of the archive.

    Raises:
        EntryError: it cannot be used.
    """
    if location.problem:
        raise EntryError(f"{location.folder}: {location.problem}")
    return read_checked_entry(location.folder, location.name, max_force)


def compute_hash(entry: Entry) -> str:
    """Names molecule and coordinates: entries of the same hash are the same."""
    return hashlib.sha256(entry.smiles.encode() + entry.coords.tobytes()).hexdigest()


def settle_account(shards: Shards, seen: collections.abc.Mapping[str, str]) -> tuple[Shards, Account, dict[str, str]]:
    """Drops the rows that repeat one seen before.

    Args:
        shards: of one source, from :func:`convert_slice`.
        seen: name of the entry by contents hash, for those of earlier sources.

    Returns:
        the shards without the repeated rows, the account of the source, and ``seen`` with its entries.
    """
    seen = dict(seen)
    repeated: dict[int, list[int]] = {}
    duplicates: dict[str, str] = {}
    kept = []
    for i, result in enumerate(shards.results):
        for j, row in enumerate(result["rows"]):
            if row["hash"] in seen:
                repeated.setdefault(i, []).append(j)
                duplicates[row["name"]] = seen[row["hash"]]
            else:
                seen[row["hash"]] = row["name"]
                kept.append(row)
    failed = {name: reason for result in shards.results for name, reason in result["failed"].items()}
    dropped = {name: counts for result in shards.results for name, counts in result["dropped"].items()}
    account = Account(
        n_found=len(kept) + len(duplicates) + len(failed),
        n_entries=len(kept),
        n_confs=sum(row["n_confs"] for row in kept),
        smiles=sorted({row["smiles"] for row in kept}),
        failed=failed,
        dropped=dropped,
        duplicates=duplicates,
    )
    return drop_rows(shards, repeated), account, seen


def make_provenance(account: Account, settings: dict[str, typing.Any]) -> dict[str, typing.Any]:
    """What ``provenance.json`` says, besides the stage: counts, and by name all that was left out."""
    return {
        "settings": settings,
        "counts": {
            "found": account.n_found,
            "entries": account.n_entries,
            "molecules": len(account.smiles),
            "conformers": account.n_confs,
            "failed": len(account.failed),
            "duplicates": len(account.duplicates),
            "conformers_dropped": account.n_confs_dropped,
        },
        "left_out": {"failed": account.failed, "duplicates": account.duplicates, "conformers": account.dropped},
    }


def format_account(source: str, account: Account, archive: pathlib.Path, n_named: int) -> str:
    """Lines for the console: the counts of a source, and what was left out by reason.

    Args:
        source: its name.
        account: from :func:`settle_account`.
        archive: where the entries lie.
        n_named: how many entries are named for each reason.
    """
    left_out = {
        "entries that cannot be used": len(account.failed),
        "seen before": len(account.duplicates),
        "conformers": account.n_confs_dropped,
    }
    lines = [
        f"{source}: {account.n_entries} of {account.n_found} entries, {len(account.smiles)} molecules, "
        f"{account.n_confs} conformers{format_left_out(left_out)}"
    ]
    groups = _group_by_reason(account.failed)
    for group in groups[:MAX_REASONS]:
        shown = [f"{archive}/{name}: {reason}" for name, reason in group[:n_named]]
        lines += [f"  {len(group)} cannot be used: {shown[0]}", *(f"    {line}" for line in shown[1:])]
    if len(groups) > MAX_REASONS:
        lines.append(f"  and {sum(map(len, groups[MAX_REASONS:]))} for {len(groups) - MAX_REASONS} other reasons")
    if groups:
        lines.append(f"  {ADVICE}")
    if account.duplicates:
        name, first = next(iter(account.duplicates.items()))
        lines.append(f"  {len(account.duplicates)} repeat another entry, for example {name} repeats {first}")
        if account.n_entries == 0:
            lines.append(f"  nothing is left of {source}: no data set is written for it")
    totals: collections.Counter[str] = collections.Counter()
    for counts in account.dropped.values():
        totals.update(counts)
    for reason, count in totals.most_common():
        names = [name for name, counts in account.dropped.items() if reason in counts]
        lines.append(f"  {count} conformers with {reason}, in {', '.join(names[:n_named])}")
    return "\n".join(lines)


def _group_by_reason(failed: dict[str, str]) -> list[list[tuple[str, str]]]:
    """Names and reasons, together where the reasons differ in numbers only; the most frequent first."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for name, reason in failed.items():
        groups.setdefault(re.sub(r"\d+", "#", reason), []).append((name, reason))
    return sorted(groups.values(), key=len, reverse=True)
