"""The campaign: four agents, and what each event means to them.

    Trainer     trains the ensemble; its first member of a round drives the dynamics, all of them judge frames
    Sampler     runs dynamics from the start of a trajectory, or from where an audit passed
    Selector    chooses, among the frames of the dynamics, those on which the ensemble disagrees
    Calculator  pays for audits and chosen frames, by chance in their shares, until the budget is spent

After Kalos et al., "Fast Finetuned Forcefields" (exalearn/fast-finetuned-forcefields), with what their code meant to do
and did not: trajectories go on where an audit passed, no trigger of a training is lost, and choices of old models are
taken back. Pure: the same events give the same commands; all chance comes from one generator, seeded once.
"""

import collections.abc
import dataclasses
import enum

import numpy

from common.steering.calculator import Calculator
from common.steering.records import (
    Calculate,
    Cancel,
    Command,
    DynamicsFinished,
    Event,
    Finish,
    FramesPredicted,
    MemberTrained,
    PredictFrames,
    Resumed,
    RunDynamics,
    StopRequested,
    StructureComputed,
    Task,
    TaskEvent,
    TaskFailed,
    TrainMember,
)
from common.steering.sampler import Audit, Sampler
from common.steering.selector import Selector
from common.steering.settings import SteeringSettings
from common.steering.trainer import Trainer

MAX_PREDICTION_FAILURES = 3
"""In a row, after which the campaign stops: nobody could choose any more."""


class Phase(enum.Enum):
    """What a campaign is doing."""

    RUNNING = "running"
    DRAINING = "draining"
    """Nothing new is paid for; what is under way is waited for."""
    FINAL_TRAINING = "final training"
    FINISHED = "finished"


class Campaign:
    """Decides what is to be done next; knows nothing of how, when or where."""

    def __init__(self, settings: SteeringSettings, n_atoms: collections.abc.Sequence[int], n_initial: int):
        """A campaign that has not begun.

        Args:
            settings: what determines its decisions.
            n_atoms: of each trajectory's molecule.
            n_initial: labels of the initial set.
        """
        self.settings = settings
        random = numpy.random.default_rng(settings.seed)
        self.trainer = Trainer(settings, n_initial)
        self.sampler = Sampler(settings, n_atoms, random)
        self.selector = Selector(settings, random)
        self.calculator = Calculator(settings, n_initial, random)
        self.phase = Phase.RUNNING
        self.outstanding: dict[str, Task] = {}
        """The tasks whose events are waited for, by their names."""
        self.finish: Finish | None = None
        """How the campaign ended; None as long as it has not."""
        self.last_audit: Audit | None = None
        self._ending: Finish | None = None
        self._n_prediction_failures = 0
        self._commands: list[Command] = []  # of the event that is being handled

    def start(self) -> list[Command]:
        """The first commands."""
        self._commands = []
        self._decide()
        return self._commands

    def handle(self, event: Event) -> list[Command]:
        """What is to be done now that this has happened; events of tasks that nobody waits for change nothing."""
        self._commands = []
        if isinstance(event, StopRequested):
            if self.phase is Phase.RUNNING:
                self._ending = Finish("stopped by the user", "stopped")
        elif isinstance(event, Resumed):
            self._resume(event)
        else:
            command = self.outstanding.pop(event.task, None)
            if command is None:
                return []
            if isinstance(event, TaskFailed):
                self._fail(command, event.reason)
            else:
                self._store(command, event)
        self._decide()
        return self._commands

    def _issue(self, commands: collections.abc.Iterable[Task]) -> None:
        for command in commands:
            self.outstanding[command.task] = command
            self._commands.append(command)

    # --- what an event means -----------------------------------------------------------------------------------------

    def _store(self, command: Task, event: TaskEvent) -> None:
        match command, event:
            case TrainMember(), MemberTrained():
                if self.trainer.store(command.model):
                    self.selector.start_round(command.model.round)
                    self.sampler.start_round(command.model.round)
            case RunDynamics(), DynamicsFinished():
                self.selector.add(self.sampler.receive(command, event), command.model.round)
            case PredictFrames(), FramesPredicted():
                self._n_prediction_failures = 0
                self.selector.store(event)
            case Calculate(), StructureComputed():
                self.calculator.store(command, event)
                run = self.calculator.runs.pop(command.task, None)
                if run is not None:
                    self.last_audit = self.sampler.judge(run, event)
            case _:
                raise ValueError(f"{event.task}: {type(event).__name__} is no answer to {type(command).__name__}")

    def _fail(self, command: Task, reason: str) -> None:
        match command:
            case TrainMember():
                self._issue(self.trainer.retry(command, reason))
            case RunDynamics():
                self.sampler.give_up(command)
            case PredictFrames():
                self.selector.put_back(command.task)
                self._n_prediction_failures += 1
                if self._n_prediction_failures >= MAX_PREDICTION_FAILURES:
                    self._ending = Finish(f"frames cannot be predicted: {reason}", "failed")
            case Calculate():
                self.calculator.lose(command)
                run = self.calculator.runs.pop(command.task, None)
                if run is not None:
                    self.last_audit = self.sampler.refuse(run)

    def _resume(self, event: Resumed) -> None:
        """Goes on with another budget and other workers; one that had ended takes up where it stood."""
        self.settings = dataclasses.replace(
            self.settings,
            budget=event.budget,
            n_quantum_workers=event.n_quantum_workers,
            n_samplers=event.n_samplers,
        )
        self.calculator.replace_settings(self.settings)
        self.sampler.replace_settings(self.settings)
        self.selector.replace_settings(self.settings)
        self._n_prediction_failures = 0
        if self.phase is not Phase.RUNNING:
            self._cancel_all_but_calculations()  # a last training, which would be the last no more
            self.trainer.forget_failure()
            self.phase, self.finish, self._ending = Phase.RUNNING, None, None

    def _cancel_all_but_calculations(self) -> None:
        for command in [each for each in self.outstanding.values() if not isinstance(each, Calculate)]:
            del self.outstanding[command.task]
            self._commands.append(Cancel(command.task))
            match command:
                case TrainMember():
                    self.trainer.cancel()
                case RunDynamics():
                    self.sampler.cancel(command)
                case PredictFrames():
                    self.selector.put_back(command.task)

    # --- what is to be done ------------------------------------------------------------------------------------------

    def _decide(self) -> None:
        if self.phase is Phase.RUNNING:
            self._ending = self._ending or self._find_ending()
            if self._ending is None:
                self._steer()
                if not self.outstanding:
                    self._ending = Finish(self._explain_idleness(), "failed")
            if self._ending is not None:
                self.phase = Phase.DRAINING
                self._cancel_all_but_calculations()
        if self.phase is Phase.DRAINING and not self.outstanding:
            self._finish_draining()
        if self.phase is Phase.FINAL_TRAINING and not self.trainer.is_under_way:
            failure = self.trainer.failure
            self._cancel_all_but_calculations()  # members that would be trained beside one that failed
            self._end(Finish(f"the last training failed: {failure}", "failed") if failure else self._get_ending())

    def _find_ending(self) -> Finish | None:
        account = self.calculator.account
        if self.trainer.failure:
            return Finish(f"a network cannot be trained: {self.trainer.failure}", "failed")
        if self.calculator.fails_too_often:
            n_tried = account.n_audits + account.n_chosen
            return Finish(f"{account.n_failed} of {n_tried} calculations failed", "failed")
        if self.calculator.n_affordable <= 0:
            return Finish(f"the budget of {self.settings.budget} calculations is spent", "complete")
        return None

    def _steer(self) -> None:
        """Each agent in turn."""
        n_labels = self.calculator.account.n_labels
        if self.trainer.needs_training(n_labels):
            self._issue(self.trainer.submit(n_labels))
        model = self.trainer.sampling_model if self.selector.n_pooled < self.settings.max_pool else None
        is_starving = self.sampler.n_running == 0 and (model is None or not self.sampler.list_idle())
        n_allowed = self._count_allowed(n_labels)
        if n_allowed > 0:
            self._issue(self.selector.submit(is_starving))
            n_wanted = min(n_allowed, self.settings.retrain_interval, self.calculator.n_affordable)
            self.selector.choose(n_wanted, is_starving)
            is_choice_coming = not is_starving or self.selector.is_choosing or self.selector.round is None
            self._issue(self.calculator.draw(self.sampler, self.selector, n_allowed, is_choice_coming))
        while model is not None and self.sampler.n_running < self.settings.n_samplers and self.sampler.list_idle():
            self._issue([self.sampler.submit(model)])

    def _count_allowed(self, n_labels: int) -> int:
        """Calculations that may be begun before the next training, or before the one under way has ended."""
        n_new = n_labels - self.trainer.n_labels_at_start + self.calculator.n_running
        interval = 0 if self.trainer.is_under_way else self.settings.retrain_interval
        return interval + self.settings.n_labels_ahead - n_new

    def _explain_idleness(self) -> str:
        if self.sampler.is_exhausted:
            return f"every trajectory is retired, after {self.settings.max_failures} failures in a row of each"
        return "nothing is left to do"

    def _finish_draining(self) -> None:
        """Nothing is under way any more."""
        ending = self._get_ending()
        if ending.outcome == "complete" and self.calculator.n_affordable > 0:  # some turned out to be known, and free
            self.phase, self._ending = Phase.RUNNING, None
            self._decide()
        elif self.trainer.failure:
            self._end(ending)
        else:
            self.phase = Phase.FINAL_TRAINING
            self._issue(self.trainer.submit(self.calculator.account.n_labels, is_final=True))

    def _get_ending(self) -> Finish:
        assert self._ending is not None  # of every phase but the first
        return self._ending

    def _end(self, finish: Finish) -> None:
        self.phase, self.finish = Phase.FINISHED, finish
        self._commands.append(finish)
