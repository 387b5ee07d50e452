"""What became of the entries of a source: kept, left out and why, seen before, doubted; for console and provenance."""

import collections
import collections.abc
import dataclasses
import hashlib
import pathlib
import re
import typing

from common.data.dataset import Entry
from common.data.shards import Shards, drop_rows
from common.reporting.console import format_left_out

MAX_REASONS = 10
"""Shown on the console of those for which entries cannot be used."""


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
        doubts: what speaks against an entry that was kept, by its name and the kind of the doubt.
    """

    n_found: int
    n_entries: int
    n_confs: int
    smiles: list[str]
    failed: dict[str, str]
    dropped: dict[str, dict[str, int]]
    duplicates: dict[str, str]
    doubts: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)

    @property
    def n_confs_dropped(self) -> int:
        return sum(sum(counts.values()) for counts in self.dropped.values())


def describe_row(entry: Entry) -> dict[str, typing.Any]:
    """What is to be remembered of a row of a shard: name, SMILES, number of conformers, contents hash."""
    return {"name": entry.entry, "smiles": entry.smiles, "n_confs": entry.n_confs, "hash": compute_hash(entry)}


def compute_hash(entry: Entry) -> str:
    """Names molecule and coordinates: entries of the same hash are the same."""
    return hashlib.sha256(entry.smiles.encode() + entry.coords.tobytes()).hexdigest()


def settle_account(shards: Shards, seen: collections.abc.Mapping[str, str]) -> tuple[Shards, Account, dict[str, str]]:
    """Drops the rows that repeat one seen before.

    Args:
        shards: of one source; each result has ``rows`` as :func:`describe_row` gives them, and ``failed``,
            ``dropped`` and ``doubts`` as in :class:`Account`.
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
    kept_names = {row["name"] for row in kept}
    doubts = {name: found for result in shards.results for name, found in result["doubts"].items()}
    account = Account(
        n_found=len(kept) + len(duplicates) + len(failed),
        n_entries=len(kept),
        n_confs=sum(row["n_confs"] for row in kept),
        smiles=sorted({row["smiles"] for row in kept}),
        failed=failed,
        dropped=dropped,
        duplicates=duplicates,
        doubts={name: found for name, found in doubts.items() if name in kept_names},
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
            "doubted": len(account.doubts),
        },
        "doubts": account.doubts,
        "left_out": {"failed": account.failed, "duplicates": account.duplicates, "conformers": account.dropped},
    }


def format_account(source: str, account: Account, place: pathlib.Path, n_named: int, advice: str) -> str:
    """Lines for the console: the counts of a source, and what was left out by reason.

    Args:
        source: its name.
        account: from :func:`settle_account`.
        place: where the entries lie.
        n_named: how many entries are named for each reason.
        advice: what to do about entries that cannot be used.
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
        shown = [f"{place}/{name}: {reason}" for name, reason in group[:n_named]]
        lines += [f"  {len(group)} cannot be used: {shown[0]}", *(f"    {line}" for line in shown[1:])]
    if len(groups) > MAX_REASONS:
        lines.append(f"  and {sum(map(len, groups[MAX_REASONS:]))} for {len(groups) - MAX_REASONS} other reasons")
    if groups:
        lines.append(f"  {advice}")
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
