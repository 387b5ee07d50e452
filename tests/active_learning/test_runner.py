"""A campaign that really runs: reproducible, resumed, and what the journal says of its trajectories."""

import collections
import dataclasses
import errno
import json
import pathlib

import numpy
import pytest

from common.active_learning import dispatch
from common.active_learning.dispatch import METHODS
from common.active_learning.journal import read_records
from common.active_learning.monitor import Monitor
from common.active_learning.plan import CampaignFolder
from common.active_learning.runner import CampaignRun
from common.active_learning.search_space import read_search_space
from common.calculators.ledger import Ledger
from common.executors.local import LocalExecutor
from common.executors.serial import SerialExecutor
from common.steering.records import Finish, Resumed
from common.tasks.sampling import load_run
from tests.active_learning.spaces import N_INITIAL, STEERING, make_plan, write_space
from tests.steering.simulation import describe
from tests.tasks.made_up import FRAGILE

BUDGET = STEERING.budget
TIMES = ("time", "started", "ended", "worker")


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    return read_search_space(write_space(tmp_path_factory.mktemp("space")))


def run(folder, space, executor=None, resumed=None, **changes):
    """Runs a campaign to its end, in this process."""
    folder.mkdir(exist_ok=True)
    monitor = Monitor(folder)
    try:
        campaign = CampaignRun(CampaignFolder(folder), space, make_plan(**changes), monitor)
        with executor or SerialExecutor(METHODS) as running:
            finish = campaign.run(running, resumed)
    finally:
        monitor.close()
    return campaign, finish


@pytest.fixture(scope="module")
def finished(space, tmp_path_factory):
    folder = tmp_path_factory.mktemp("campaign")
    campaign, finish = run(folder, space)
    return folder, campaign, finish


def strip(records):
    return [{name: value for name, value in record.items() if name not in TIMES} for record in records]


def read_journal(folder):
    return read_records(CampaignFolder(folder).journal)


def test_it_ends_when_the_budget_is_spent(finished):
    folder, campaign, finish = finished
    assert finish == Finish(f"the budget of {BUDGET} calculations is spent", "complete")
    ledger = Ledger(folder / "calculations")
    assert len(ledger.keys()) == BUDGET - N_INITIAL
    labels = campaign.collect_labels()
    assert len(labels) == len(campaign.origins) == BUDGET
    assert [origin.source for origin in campaign.origins[:N_INITIAL]] == ["initial"] * N_INITIAL
    assert {origin.source for origin in campaign.origins[N_INITIAL:]} == {"audit", "active"}
    for i, key in enumerate(campaign.campaign.calculator.labels):
        entry = ledger.read(key)
        assert labels.energies[N_INITIAL + i] == entry.calculation.energy
        numpy.testing.assert_array_equal(labels.get(N_INITIAL + i)[1], entry.coords)


def test_serial_with_one_seed_gives_the_same_journal_but_for_times(finished, space, tmp_path):
    run(tmp_path, space)
    assert strip(read_journal(tmp_path)) == strip(read_journal(finished[0]))


def test_another_seed_gives_another(finished, space, tmp_path):
    run(tmp_path, space, seed=6)
    assert strip(read_journal(tmp_path)) != strip(read_journal(finished[0]))


def test_played_again_the_state_is_the_same(finished, space, tmp_path):
    (tmp_path / "journal.jsonl").write_bytes((finished[0] / "journal.jsonl").read_bytes())
    (tmp_path / "calculations").symlink_to(finished[0] / "calculations")
    (tmp_path / "trajectories").symlink_to(finished[0] / "trajectories")
    again = CampaignRun(CampaignFolder(tmp_path), space, make_plan(), Monitor(tmp_path))
    assert describe(again.campaign) == describe(finished[1].campaign)
    assert again.n_calls == finished[1].n_calls
    assert again.origins == finished[1].origins


@pytest.mark.parametrize("kind", ["serial", "local"])
def test_trajectories_go_on_from_what_was_audited(finished, space, tmp_path, kind):
    """Read from journal and files: after a passed audit from exactly there, after a failed one from the start."""
    folder = finished[0]
    if kind == "local":
        folder = tmp_path
        run(folder, space, LocalExecutor(METHODS, {"quantum": 2, "learning": 2}))
    records = read_journal(folder)
    beginning = records[0]
    commands = {record["task"]: record for record in records if record.get("command") == "RunDynamics"}
    audits = {record["task"]: record for record in records if record.get("purpose") == "audit"}
    last: dict[int, tuple[str, bool]] = {}
    n_passed = n_failed = 0
    ends = {r["task"]: r for r in records if r.get("event") == "DynamicsFinished"}
    for record in records:
        if record.get("event") == "StructureComputed" and record["task"] in audits:
            task = audits[record["task"]]["frame"][0]
            error = abs(ends[task]["energy"] - record["energy"]) / 3
            last[commands[task]["trajectory"]] = task, error < beginning["steering"]["energy_tolerance"]
        if record.get("command") != "RunDynamics" or not (folder / "trajectories" / f"{record['task']}.npz").exists():
            continue
        this = load_run(folder / "trajectories" / f"{record['task']}.npz")
        before = last.get(record["trajectory"])
        if before is not None and before[1]:
            n_passed += 1
            assert record["origin"] == before[0]
            run_before = load_run(folder / "trajectories" / f"{before[0]}.npz")
            assert this.start_coords.tobytes() == run_before.coords[-1].tobytes()
            assert this.start_velocities.tobytes() == run_before.end_velocities.tobytes()
        elif before is not None:
            n_failed += 1
            assert record["origin"] is None
            assert record["is_repeat"]
            assert any(numpy.array_equal(this.start_coords, start.coords) for start in space.starts)
    assert n_passed > 3


def test_local_processes_do_the_same_campaign(space, tmp_path):
    _, finish = run(tmp_path, space, LocalExecutor(METHODS, {"quantum": 2, "learning": 2}))
    assert finish.outcome == "complete"
    assert len(Ledger(tmp_path / "calculations").keys()) == BUDGET - N_INITIAL
    workers = collections.Counter(record["worker"] for record in read_journal(tmp_path) if "worker" in record)
    assert len(workers) >= 3


def test_failures_are_paid_for_and_kept(space, tmp_path):
    fragile = dataclasses.replace(space, level=FRAGILE)
    campaign, _ = run(tmp_path / "campaign", fragile, max_failed_fraction=1.0, energy_tolerance=50.0)
    account = campaign.campaign.calculator.account
    assert account.n_paid == BUDGET
    ledger = Ledger(tmp_path / "campaign" / "calculations")
    entries = [ledger.read(key) for key in ledger.keys()]  # noqa: SIM118 (no mapping)
    failed = [entry for entry in entries if not entry.calculation.succeeded]
    assert len(failed) == account.n_failed > 0
    assert {entry.calculation.reason for entry in failed} == {"the SCF does not converge"}
    assert account.n_labels == BUDGET - len(failed)


def test_more_budget_goes_on_where_it_ended(finished, space, tmp_path):
    run(tmp_path, space)
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "calculations").iterdir()}
    campaign, finish = run(tmp_path, space, resumed=Resumed(BUDGET + 8, 1, 1))
    assert finish.outcome == "complete"
    assert campaign.campaign.calculator.account.n_paid == BUDGET + 8
    assert len(list((tmp_path / "calculations").iterdir())) == BUDGET + 8 - N_INITIAL
    assert all(path.stat().st_mtime_ns == time for path, time in files.items())


def cut(folder: pathlib.Path, n_events: int) -> None:
    """Leaves the journal as a kill would, in the midst of a line after so many events."""
    lines = (folder / "journal.jsonl").read_text().splitlines(keepends=True)
    places = [i for i, line in enumerate(lines) if '"event"' in line]
    kept = lines[: places[n_events]]
    (folder / "journal.jsonl").write_text("".join(kept) + lines[places[n_events]][:20])


@pytest.mark.parametrize("n_events", [0, 3, 11, 25])
def test_what_was_computed_and_not_heard_of_is_taken_up(finished, space, tmp_path, n_events):
    """The ledger knows more than the journal, as after a kill: nothing is computed twice, and the budget is kept."""
    run(tmp_path, space)
    cut(tmp_path, n_events)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "calculations").iterdir()}
    campaign, finish = run(tmp_path, space, resumed=Resumed(BUDGET, 2, 2))
    assert finish.outcome == "complete"
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "calculations").iterdir()}
    assert after == before  # a serial campaign repeats itself to the last bit: the same structures
    assert campaign.campaign.calculator.account.n_paid == BUDGET
    assert len(set(campaign.campaign.calculator.labels)) == BUDGET - N_INITIAL


def test_a_full_disk_is_no_failure_of_a_task(space, tmp_path, monkeypatch):
    """It ends the campaign with its name, and nothing is lost or counted."""
    n_written = 0
    write = Ledger.write

    def fail(self, entry):
        nonlocal n_written
        n_written += 1
        if n_written > 4:
            raise OSError(errno.ENOSPC, "No space left on device", str(self.folder))
        return write(self, entry)

    monkeypatch.setattr(Ledger, "write", fail)
    with pytest.raises(OSError, match="No space left on device"):
        run(tmp_path, space)
    monkeypatch.undo()
    assert len(Ledger(tmp_path / "calculations").keys()) == 4
    campaign, finish = run(tmp_path, space, resumed=Resumed(BUDGET, 2, 2))
    assert finish.outcome == "complete"
    assert campaign.campaign.calculator.account.n_failed == 0
    assert len(Ledger(tmp_path / "calculations").keys()) == BUDGET - N_INITIAL


def test_a_member_that_cannot_be_trained_ends_the_campaign_and_the_data_is_safe(space, tmp_path, monkeypatch):
    def fail(task):
        if "round-002/member-1" in task.output:
            raise RuntimeError("the loss is nan")
        return dispatch_train(task)

    dispatch_train = dispatch.train
    monkeypatch.setattr(dispatch, "train", fail)
    campaign, finish = run(tmp_path, space)
    assert finish == Finish("a network cannot be trained: train-2-1-2: RuntimeError: the loss is nan", "failed")
    assert len(campaign.collect_labels()) == campaign.campaign.calculator.account.n_labels
    monkeypatch.undo()
    campaign, finish = run(tmp_path, space, resumed=Resumed(BUDGET, 2, 2))
    assert finish.outcome == "complete"
    assert campaign.campaign.calculator.account.n_paid == BUDGET


def test_every_round_is_evaluated_once(finished):
    records = [record for record in read_journal(finished[0]) if record.get("note") == "errors"]
    rounds = [record["round"] for record in records]
    assert rounds == sorted(set(rounds)) == list(range(1, finished[1].campaign.trainer.round + 1))
    assert records[0]["n_calls"] == N_INITIAL
    assert records[-1]["n_calls"] == BUDGET
    for record in records:
        assert set(record["errors"]) == {"near", "wide"}
        assert json.dumps(record)


def test_a_journal_of_another_version_is_refused(finished, space, tmp_path):
    lines = (finished[0] / "journal.jsonl").read_text().splitlines()
    first = json.loads(lines[0])
    del first["steering"]["seed"]
    (tmp_path / "journal.jsonl").write_text("\n".join([json.dumps(first), *lines[1:]]) + "\n")
    with pytest.raises(ValueError, match="begun by another version"):
        CampaignRun(CampaignFolder(tmp_path), space, make_plan(), Monitor(tmp_path))
