"""All that happened to a campaign, in order, one line of JSON each, written before it is acted upon.

From the events in it the campaign can be played again to the same state. Beside them stand the commands that each
event gave, when tasks ran and how long: for people, and for the account of time; they are not read back.
"""

import collections.abc
import dataclasses
import json
import os
import pathlib
import time
import types
import typing

from common.files.atomic import name_full_disk
from common.steering.records import Command, Event, StructureComputed, event_from_plain, event_to_plain


@dataclasses.dataclass(frozen=True)
class TaskTimes:
    """When a task ran: seconds since the epoch by the worker's clock, and which worker that was."""

    started: float
    ended: float
    worker: str


class Journal:
    """The file; lines have reached the system when a method returns, and calculations the disk."""

    def __init__(self, path: pathlib.Path):
        """Opens the file, or begins it; a line that was cut when the campaign was killed is cut off."""
        self._path = path
        with name_full_disk(path):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._end = _find_end(path)
        os.ftruncate(self._descriptor, self._end)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def write_event(self, event: Event, times: TaskTimes | None = None) -> None:
        """An event, and when its task ran.

        Raises:
            OSError: it could not be written, e.g. the disk is full; the file is as it was before.
        """
        measured = {} if times is None else dataclasses.asdict(times)
        self._write({**event_to_plain(event), "time": time.time(), **measured})
        if isinstance(event, StructureComputed):
            os.fsync(self._descriptor)

    def write_commands(self, commands: collections.abc.Sequence[Command]) -> None:
        """What the last event gave."""
        self._write(*({"command": type(each).__name__, **dataclasses.asdict(each)} for each in commands))

    def write_note(self, kind: str, **values: typing.Any) -> None:
        """Anything else, such as the errors of a round."""
        self._write({"note": kind, **values, "time": time.time()})

    def _write(self, *records: dict[str, typing.Any]) -> None:
        text = "".join(json.dumps(record) + "\n" for record in records).encode()
        try:
            with name_full_disk(self._path):
                n_written = 0
                while n_written < len(text):
                    n_written += os.pwrite(self._descriptor, text[n_written:], self._end + n_written)
        except OSError:
            os.ftruncate(self._descriptor, self._end)
            raise
        self._end += len(text)


def _find_end(path: pathlib.Path) -> int:
    """Bytes up to the end of the last whole line."""
    content = path.read_bytes()
    return content.rfind(b"\n") + 1


def read_records(path: pathlib.Path) -> list[dict[str, typing.Any]]:
    """All records, in order; a last line that was cut is left out.

    Raises:
        FileNotFoundError: there is no journal.
        ValueError: a line is damaged; it is named.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; this is no campaign")
    lines = path.read_bytes()[: _find_end(path)].splitlines()
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(json.loads(line))
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: damaged ({error})") from error
    return records


def extract_events(records: collections.abc.Iterable[dict[str, typing.Any]]) -> list[Event]:
    """The events among records, without their times.

    Raises:
        ValueError: a record is no event of this version.
    """
    measured = {"time", *(field.name for field in dataclasses.fields(TaskTimes))}
    plain = ({name: value for name, value in each.items() if name not in measured} for each in records)
    return [event_from_plain(each) for each in plain if "event" in each]
