"""Runs a campaign: commands become tasks, results become events, and each event is on the disk before it counts."""

import collections.abc
import concurrent.futures
import contextlib
import dataclasses
import signal
import threading
import types
import typing

from common.active_learning.dispatch import Dispatcher
from common.active_learning.journal import Journal, TaskTimes, extract_events, read_records
from common.active_learning.monitor import Monitor
from common.active_learning.outputs import Origin
from common.active_learning.plan import CampaignFolder, Plan, draw_beginning
from common.active_learning.search_space import SearchSpace
from common.calculators.interface import LevelError
from common.executors.interface import Executor, describe_error
from common.files.atomic import FULL_DISK
from common.steering.campaign import Campaign
from common.steering.records import (
    Calculate,
    Cancel,
    Command,
    Event,
    Finish,
    Resumed,
    StopRequested,
    Task,
    TaskEvent,
    TaskFailed,
    TrainMember,
)
from common.steering.settings import SteeringSettings
from common.tasks.labelling import close_calculators
from common.tasks.labels import Labels
from common.tasks.timing import Timed

WAIT_SECONDS = 0.5
"""After which a campaign looks up from waiting, to hear a Ctrl-C."""


BEGINNING = "beginning"
"""The kind of the journal's first note: the settings from which it is played again, whatever they are now."""


class CampaignRun:
    """A campaign with everything that it needs to happen."""

    def __init__(self, folder: CampaignFolder, space: SearchSpace, plan: Plan, monitor: Monitor):
        """Makes the campaign; what an earlier process wrote into the journal is played again.

        Args:
            folder: of the campaign, which nobody else works on.
            space: where it may look.
            plan: what is decided about it; for one that goes on only budget and workers may be others than before.
            monitor: is shown what happens.

        Raises:
            ValueError: the journal is damaged, or is that of another campaign.
        """
        records = read_records(folder.journal) if folder.journal.is_file() else []
        steering = _find_first_steering(records) or plan.steering
        beginning = draw_beginning(space, plan)
        self._space, self._plan, self._beginning = space, plan, beginning
        self._dispatcher = Dispatcher(folder, space, plan, beginning)
        self._monitor = monitor
        self.campaign = Campaign(steering, self._dispatcher.get_n_atoms(), len(beginning.initial))
        self.n_calls: dict[int, int] = {}
        """Calculations that were paid for when a round of training was begun, by round."""
        self.origins: list[Origin] = [Origin("initial", "", 0)] * len(beginning.initial)
        """Why each labelled structure was computed, in the order of the labels."""
        self._folder = folder
        self._unevaluated: list[int] = []
        self._tasks: dict[concurrent.futures.Future, Task | int] = {}
        self._futures: dict[str, concurrent.futures.Future] = {}
        self.n_replayed = self._replay(records)

    def _replay(self, records: list[dict[str, typing.Any]]) -> int:
        self._look_at(self.campaign.start())
        events = extract_events(records)
        for event in events:
            self._handle(event)
        evaluated = {record["round"] for record in records if record.get("note") == "errors"}
        self._unevaluated = [each for each in self._unevaluated if each not in evaluated]
        return len(events)

    def run(self, executor: Executor, resumed: Resumed | None = None) -> Finish:
        """Goes on to the end.

        Args:
            executor: does the tasks.
            resumed: with which budget and workers a campaign goes on; None for one that begins.

        Raises:
            OSError: the disk is full; nothing is lost, and the campaign can be resumed.
            KeyboardInterrupt: at the second Ctrl-C.
        """
        self._monitor.show_start(self.campaign, self.n_replayed)
        try:
            with Journal(self._folder.journal) as journal, _hear_ctrl_c() as ctrl_c:
                self._journal, self._executor = journal, executor
                if resumed is not None:
                    journal.write_event(resumed)
                    journal.write_commands(self._handle(resumed))
                elif not self.n_replayed:
                    journal.write_note(BEGINNING, **self._describe_beginning())
                    journal.write_commands(list(self.campaign.outstanding.values()))
                self._do(list(self.campaign.outstanding.values()))
                self._evaluate()
                while self.campaign.finish is None or self._tasks:
                    if ctrl_c.was_pressed and self.campaign.finish is None:
                        ctrl_c.was_pressed = False
                        self._take(StopRequested(), None)
                    future = executor.wait(WAIT_SECONDS)
                    if future is not None:
                        self._receive(future)
        finally:
            close_calculators()
        return self.campaign.finish

    def collect_labels(self) -> Labels:
        """All labelled structures, in the order of ``origins``."""
        return self._dispatcher.collect_labels(self.campaign.calculator.labels)

    def _describe_beginning(self) -> dict[str, typing.Any]:
        starts = [self._space.starts[i] for i in self._beginning.starts]
        return {
            "steering": dataclasses.asdict(self.campaign.settings),
            "n_initial": len(self._beginning.initial),
            "n_atoms": [len(start.coords) for start in starts],
            "regions": [start.region for start in starts],
            "max_force": self._plan.training.max_force,
        }

    def _receive(self, future: concurrent.futures.Future) -> None:
        command = self._tasks.pop(future, None)
        if command is None or future.cancelled():
            return
        error = future.exception()
        if isinstance(error, LevelError) or (isinstance(error, OSError) and error.errno in FULL_DISK):
            raise error  # says nothing of the task, and all others would fail, too
        if isinstance(command, int):
            self._receive_errors(command, future, error)
            return
        del self._futures[command.task]
        if command.task not in self.campaign.outstanding:
            return
        if error is not None:
            self._take(TaskFailed(command.task, describe_error(error)), None)
            return
        timed: Timed = future.result()
        event = self._dispatcher.make_event(command, timed.result)
        self._take(event, TaskTimes(timed.started, timed.ended, timed.worker))

    def _receive_errors(self, round_: int, future: concurrent.futures.Future, error: BaseException | None) -> None:
        if error is not None:
            print(f"evaluate-{round_}: {describe_error(error)}")
            return
        timed: Timed = future.result()
        times = {"started": timed.started, "ended": timed.ended, "worker": timed.worker}
        self._journal.write_note("errors", round=round_, n_calls=self.n_calls[round_], errors=timed.result, **times)
        self._monitor.see_errors(round_, self.n_calls[round_], timed.result)

    def _take(self, event: Event, times: TaskTimes | None) -> None:
        """An event: first written, then handled, then acted upon."""
        self._journal.write_event(event, times)
        command = self._get_command(event)
        commands = self._handle(event)
        self._journal.write_commands(commands)
        self._monitor.see(self.campaign, event, command, commands)
        self._do(commands)
        self._evaluate()

    def _handle(self, event: Event) -> list[Command]:
        command, complete = self._get_command(event), self.campaign.trainer.complete_round
        if command is not None:
            self._dispatcher.note(command, typing.cast(TaskEvent, event))
        n_labels = len(self.campaign.calculator.labels)
        commands = self.campaign.handle(event)
        self._look_at(commands)
        if isinstance(command, Calculate) and len(self.campaign.calculator.labels) > n_labels:
            self.origins.append(Origin(command.purpose, command.task, command.round))
        if self.campaign.trainer.complete_round != complete:
            self._unevaluated.append(typing.cast(int, self.campaign.trainer.complete_round))
        return commands

    def _get_command(self, event: Event) -> Task | None:
        return None if isinstance(event, StopRequested | Resumed) else self.campaign.outstanding.get(event.task)

    def _look_at(self, commands: collections.abc.Iterable[Command]) -> None:
        for command in commands:
            if isinstance(command, TrainMember):
                self.n_calls.setdefault(command.model.round, self.campaign.calculator.account.n_paid)

    def _do(self, commands: collections.abc.Iterable[Command]) -> None:
        for command in commands:
            if isinstance(command, Cancel):
                future = self._futures.pop(command.task, None)
                if future is not None:
                    self._tasks.pop(future)
                    self._executor.cancel(future)
            elif not isinstance(command, Finish):
                self._submit(command, *self._dispatcher.make_task(command, self.campaign.calculator.labels))

    def _submit(self, command: Task | int, method: str, call: typing.Any) -> None:
        future = self._executor.submit(method, call)
        self._tasks[future] = command
        if not isinstance(command, int):
            self._futures[command.task] = future

    def _evaluate(self) -> None:
        while self._unevaluated:
            round_ = self._unevaluated.pop(0)
            self._submit(round_, *self._dispatcher.make_evaluation(round_))


def _find_first_steering(records: list[dict[str, typing.Any]]) -> SteeringSettings | None:
    for record in records:
        if record.get("note") == BEGINNING:
            try:
                return SteeringSettings(**record["steering"])
            except (KeyError, TypeError) as error:
                raise ValueError(f"the journal was begun by another version ({error}); start a new campaign") from error
    return None


class _CtrlC:
    """What the user wants: ``was_pressed`` since somebody looked last."""

    def __init__(self) -> None:
        self.was_pressed = False
        self._n_pressed = 0

    def hear(self, number: int, frame: types.FrameType | None) -> None:
        self._n_pressed += 1
        if self._n_pressed > 1:
            raise KeyboardInterrupt
        self.was_pressed = True
        print(
            "\nCtrl-C: calculations under way are waited for, since they are paid for, then the networks are trained a "
            "last time; press it again to stop at once",
            flush=True,
        )


@contextlib.contextmanager
def _hear_ctrl_c() -> collections.abc.Iterator[_CtrlC]:
    """During the block the first Ctrl-C is noted, and the second interrupts; SIGTERM interrupts at once."""
    ctrl_c = _CtrlC()
    if threading.current_thread() is not threading.main_thread():  # no other may set handlers
        yield ctrl_c
        return

    def terminate(number: int, frame: types.FrameType | None) -> typing.NoReturn:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGINT, ctrl_c.hear), signal.signal(signal.SIGTERM, terminate)
    try:
        yield ctrl_c
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])
