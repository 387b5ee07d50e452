"""The account of a source: duplicates, doubts, and what the console says."""

import pathlib

from common.data.accounts import Account, format_account, make_provenance, settle_account
from common.data.shards import Shards

ADVICE = "unpack it again"


def make_shards(*results: list[dict]) -> Shards:
    """Shards whose rows have these fields; there are no files, so that none can be dropped."""
    plain = tuple({"rows": rows, "failed": {}, "dropped": {}, "doubts": {}} for rows in results)
    return Shards("gen2-opt", pathlib.Path(), tuple(pathlib.Path() for _ in results), plain, (True,) * len(results))


def make_row(name: str, hash_: str) -> dict:
    return {"name": name, "smiles": f"molecule of {hash_}", "n_confs": 3, "hash": hash_}


def make_account(**fields) -> Account:
    empty = {"n_found": 9, "n_entries": 0, "n_confs": 0, "smiles": [], "failed": {}, "dropped": {}, "duplicates": {}}
    return Account(**{**empty, **fields})


def test_the_first_of_repeated_entries_stays_also_across_sources(monkeypatch):
    dropped = []
    monkeypatch.setattr("common.data.accounts.drop_rows", lambda shards, rows: dropped.append(rows) or shards)
    first = make_shards([make_row("a/1", "x"), make_row("a/2", "y")], [make_row("a/3", "x")])
    _, account, seen = settle_account(first, {})
    assert account.duplicates == {"a/3": "a/1"}
    assert (account.n_found, account.n_entries, account.n_confs) == (3, 2, 6)
    _, account, _ = settle_account(make_shards([make_row("b/1", "z"), make_row("b/2", "y")]), seen)
    assert account.duplicates == {"b/2": "a/2"}
    assert account.smiles == ["molecule of z"]
    assert dropped == [{1: [0]}, {0: [1]}]


def test_entries_that_fail_alike_are_shown_together_the_most_frequent_first():
    failed = {"g/1": "mol.json: no JSON", **{f"g/{i}": f"x has shape ({i}, 3)" for i in range(2, 7)}}
    lines = format_account("gen2-opt", make_account(failed=failed), pathlib.Path("archive"), 2, ADVICE).splitlines()
    assert lines[1:] == [
        "  5 cannot be used: archive/g/2: x has shape (2, 3)",
        "    archive/g/3: x has shape (3, 3)",
        "  1 cannot be used: archive/g/1: mol.json: no JSON",
        f"  {ADVICE}",
    ]


def test_many_reasons_are_cut_short():
    failed = {f"g/{i}": "reason " + "x" * i for i in range(15)}
    lines = format_account("gen2-opt", make_account(failed=failed), pathlib.Path("archive"), 2, ADVICE).splitlines()
    assert len(lines) == 13
    assert lines[-2] == "  and 5 for 5 other reasons"


def test_dropped_conformers_are_added_up_by_reason():
    dropped = {"g/1": {"overlap": 2}, "g/2": {"overlap": 3, "force": 1}, "g/3": {"overlap": 1}}
    account = make_account(dropped=dropped)
    assert account.n_confs_dropped == 7
    lines = format_account("gen2-opt", account, pathlib.Path("archive"), 2, ADVICE).splitlines()
    assert lines[1:] == ["  6 conformers with overlap, in g/1, g/2", "  1 conformers with force, in g/2"]


def test_doubts_of_what_is_kept_stay_and_those_of_repeated_entries_go(monkeypatch):
    monkeypatch.setattr("common.data.accounts.drop_rows", lambda shards, rows: shards)
    shards = make_shards([make_row("a/1", "x"), make_row("a/2", "x")])
    shards.results[0]["doubts"].update({"a/1": {"bohr": "long"}, "a/2": {"bohr": "long"}})
    _, account, _ = settle_account(shards, {})
    assert account.doubts == {"a/1": {"bohr": "long"}}
    assert make_provenance(account, {})["doubts"] == account.doubts
