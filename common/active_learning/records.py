"""A campaign as its journal tells it: what was paid for, what it taught, and where the time went."""

import collections
import collections.abc
import dataclasses
import pathlib
import typing

from common.active_learning.journal import read_records
from common.active_learning.plan import CampaignFolder
from common.runs.folder import read_config

MODES = {
    ("energies", True): "active",
    ("forces", True): "active by forces",
    ("random", True): "random",
    ("energies", False): "active, no audit",
    ("forces", False): "active by forces, no audit",
    ("random", False): "random, no audit",
}
"""What a campaign is called, by its selection and whether it audits."""


@dataclasses.dataclass(frozen=True)
class RoundErrors:
    """The errors of a round's networks.

    Attributes:
        round: of training.
        n_calls: calculations that had been paid for when it was begun.
        errors: by test, then by kind: ``force``, ``member_force``, ``energy``.
    """

    round: int
    n_calls: int
    errors: dict[str, dict[str, float]]


@dataclasses.dataclass(frozen=True)
class AuditRecord:
    """One audit.

    Attributes:
        n_calls: paid for with it.
        error: [kcal/mol] per atom; None where the calculation failed.
        n_steps: of the run.
        passed: whether the trajectory went on.
    """

    n_calls: int
    error: float | None
    n_steps: int
    passed: bool


@dataclasses.dataclass(frozen=True)
class Purchase:
    """One calculation that was paid for.

    Attributes:
        purpose: "audit", "active" or "random".
        run: of dynamics that its structure comes from, by its task.
        region: of the trajectory of that run.
        round: of the models by whose word it was chosen, or that were audited.
        is_wasted: it failed, or has a force that is too large to train on.
        reason: why it failed; "" where it did not.
    """

    purpose: str
    run: str
    region: str
    round: int
    is_wasted: bool
    reason: str


@dataclasses.dataclass(frozen=True)
class Span:
    """A task at work: its kind, and seconds since the campaign began."""

    kind: str
    start: float
    end: float


@dataclasses.dataclass(frozen=True)
class CampaignRecord:
    """What a journal tells.

    Attributes:
        name: of the folder.
        mode: what it is called, see ``MODES``.
        seed: of the campaign.
        settings: all, as config.json has them.
        n_initial: labels of the initial set.
        errors: of each round, the last training among them.
        audits: in order.
        purchases: in order.
        spans: of tasks, in the order in which they ended.
        overheads: [s] between the end of a task at the worker and its event in the journal.
        seconds: from the first event to the last.
        outcome: how it ended; "" where it has not.
    """

    name: str
    mode: str
    seed: int
    settings: dict[str, typing.Any]
    n_initial: int
    errors: tuple[RoundErrors, ...]
    audits: tuple[AuditRecord, ...]
    purchases: tuple[Purchase, ...]
    spans: tuple[Span, ...]
    overheads: tuple[float, ...]
    seconds: float
    outcome: str


def read_campaign(path: pathlib.Path) -> CampaignRecord:
    """Reads a campaign's folder, finished or not.

    Raises:
        FileNotFoundError: it is no campaign.
        ValueError: its journal is damaged, or of another version.
    """
    config = read_config(path)
    records = read_records(CampaignFolder(path).journal)
    beginning = next((record for record in records if record.get("note") == "beginning"), None)
    if beginning is None or "regions" not in beginning:
        raise ValueError(f"{path}: its journal has no beginning that can be read here; start the campaign anew")
    commands = {record["task"]: record for record in records if "command" in record and "task" in record}
    events = {record["task"]: record for record in records if "event" in record and "task" in record}
    story = _Story(beginning, commands, events)
    errors = [
        RoundErrors(record["round"], record["n_calls"], record["errors"])
        for record in records
        if record.get("note") == "errors"
    ]
    times = [record["time"] for record in records if "time" in record]
    return CampaignRecord(
        name=path.name,
        mode=MODES[config["selection"], config["audit"]],
        seed=config["seed"],
        settings=config,
        n_initial=beginning["n_initial"],
        errors=tuple(sorted(errors, key=lambda each: each.round)),
        audits=tuple(story.list_audits(records)),
        purchases=tuple(story.list_purchases(records)),
        spans=tuple(_list_spans(records, times[0])),
        overheads=tuple(r["time"] - r["ended"] for r in records if "event" in r and "ended" in r),
        seconds=times[-1] - times[0],
        outcome=next((r["outcome"] for r in reversed(records) if r.get("command") == "Finish"), ""),
    )


class _Story:
    """Commands and events by their tasks."""

    def __init__(
        self, beginning: dict[str, typing.Any], commands: dict[str, typing.Any], events: dict[str, typing.Any]
    ):
        self._beginning, self._commands, self._events = beginning, commands, events

    def list_purchases(self, records: list[dict[str, typing.Any]]) -> collections.abc.Iterator[Purchase]:
        for command, event in self._list_calculations(records):
            reason = event["reason"]  # of a task that failed, too
            max_force = event.get("max_force")
            is_wasted = bool(reason) or (max_force is not None and max_force > self._beginning["max_force"])
            run = command["frame"][0]
            region = self._beginning["regions"][self._commands[run]["trajectory"]]
            yield Purchase(command["purpose"], run, region, command["round"], is_wasted, reason)

    def list_audits(self, records: list[dict[str, typing.Any]]) -> collections.abc.Iterator[AuditRecord]:
        tolerance = self._beginning["steering"]["energy_tolerance"]
        for n, (command, event) in enumerate(self._list_calculations(records), start=1):
            if command["purpose"] != "audit":
                continue
            run = self._events[command["frame"][0]]
            n_atoms = self._beginning["n_atoms"][self._commands[command["frame"][0]]["trajectory"]]
            energy = event.get("energy")
            error = None if energy is None else abs(energy - run["energy"]) / n_atoms
            passed = error is not None and error < tolerance
            yield AuditRecord(self._beginning["n_initial"] + n, error, run["n_steps"], passed)

    def _list_calculations(
        self, records: list[dict[str, typing.Any]]
    ) -> collections.abc.Iterator[tuple[dict[str, typing.Any], dict[str, typing.Any]]]:
        """Those that were paid for: each key once, and all that were lost."""
        keys: set[str] = set()
        for event in records:
            command = self._commands.get(event.get("task", ""), {})
            if "event" not in event or command.get("command") != "Calculate" or event.get("key") in keys:
                continue
            if "key" in event:
                keys.add(event["key"])
            yield command, event


def _list_spans(records: list[dict[str, typing.Any]], start: float) -> collections.abc.Iterator[Span]:
    kinds = {
        "MemberTrained": "train",
        "DynamicsFinished": "sample",
        "FramesPredicted": "predict",
        "StructureComputed": "calculate",
    }
    for record in records:
        if "started" in record:
            kind = kinds.get(record.get("event", ""), "evaluate")
            yield Span(kind, record["started"] - start, record["ended"] - start)


def sum_busy_seconds(record: CampaignRecord) -> dict[str, float]:
    """Seconds that workers were busy, by kind of task."""
    busy: dict[str, float] = collections.defaultdict(float)
    for span in record.spans:
        busy[span.kind] += span.end - span.start
    return dict(busy)
