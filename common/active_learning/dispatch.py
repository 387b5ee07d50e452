"""From a command to the task of a worker, and from its result to an event."""

import typing

import numpy

from common.active_learning.plan import Beginning, CampaignFolder, Plan
from common.active_learning.search_space import SearchSpace, Start
from common.calculators.ledger import Ledger, LedgerEntry
from common.executors.interface import Method
from common.steering.records import (
    Calculate,
    DynamicsFinished,
    Frame,
    FramesPredicted,
    MemberTrained,
    PredictFrames,
    RunDynamics,
    StructureComputed,
    Task,
    TaskEvent,
    TrainMember,
)
from common.tasks.labelling import LabelResult, LabelTask, label_structure, summarize
from common.tasks.labels import Labels, join_labels, make_labels, save_labels
from common.tasks.networks import (
    EvaluateTask,
    PredictTask,
    SampleTask,
    TrainTask,
    evaluate_ensemble,
    predict_frames,
    sample,
    train,
)
from common.tasks.sampling import load_run
from common.tasks.timing import Call, run_timed

METHODS = {
    "train": Method(run_timed, "learning"),
    "sample": Method(run_timed, "learning"),
    "predict": Method(run_timed, "learning"),
    "evaluate": Method(run_timed, "learning"),
    "calculate": Method(run_timed, "quantum"),
}
"""The kinds of tasks, by which time is accounted for."""


class Dispatcher:
    """Knows where things lie: what a command speaks of, and what a worker has to be given."""

    def __init__(self, folder: CampaignFolder, space: SearchSpace, plan: Plan, beginning: Beginning):
        """Takes the campaign's folder, and what it was given; arguments as in :mod:`common.active_learning.plan`."""
        self._folder, self._space, self._plan, self._beginning = folder, space, plan, beginning
        self._ledger = Ledger(folder.calculations)
        self._molecules: dict[str, int] = {}  # of runs, by their tasks
        self._of_keys: dict[str, int] = {}  # of calculations, by their keys
        self._entries: dict[str, LedgerEntry] = {}  # that were read before

    def get_n_atoms(self) -> list[int]:
        """Of each trajectory's molecule."""
        return [len(self._space.starts[i].coords) for i in self._beginning.starts]

    def make_task(self, command: Task, labels: list[str]) -> tuple[str, Call]:
        """The method that does what a command asks for, and what it is given.

        Args:
            command: of the campaign.
            labels: the keys of all calculations that may be trained on, in order.

        Raises:
            OSError: the labels of a round could not be written.
        """
        match command:
            case TrainMember():
                return "train", Call(train, self._make_training(command, labels))
            case RunDynamics():
                return "sample", Call(sample, self._make_sampling(command))
            case PredictFrames():
                return "predict", Call(predict_frames, self._make_prediction(command))
            case Calculate():
                return "calculate", Call(label_structure, self.make_label_task(command))

    def make_evaluation(self, round_: int) -> tuple[str, Call]:
        """The task that holds the networks of a round against the tests."""
        tests = {name: str(path) for name, path in self._space.tests.items()}
        return "evaluate", Call(evaluate_ensemble, EvaluateTask(self._list_models(round_), tests, self._plan.device))

    def make_event(self, command: Task, result: typing.Any) -> TaskEvent:
        """What the result of a task means to the campaign."""
        match command:
            case TrainMember():
                return MemberTrained(command.task, result["validation_error"])
            case RunDynamics():
                return DynamicsFinished(
                    command.task, result["n_steps"], result["n_frames"], result["energy"], result["reason"]
                )
            case PredictFrames():
                energies = tuple(tuple(row) for row in result["energies"])
                return FramesPredicted(command.task, energies, tuple(result["disagreement"]))
            case Calculate():
                return _describe(command, result)

    def find_finished(self, command: Calculate) -> TaskEvent | None:
        """The event of a calculation that the ledger has, though nobody heard of it; None where it has none."""
        key = self.make_label_task(command).key
        entry = self._ledger.read(key)
        return None if entry is None else _describe(command, summarize(key, entry.calculation))

    def make_label_task(self, command: Calculate) -> LabelTask:
        """The structure that a command wants computed."""
        numbers, coords = self.read_frame(command.frame)
        molecule = self._molecules[command.frame.task]
        return LabelTask(
            numbers,
            coords,
            self._space.molecules[molecule].charge,
            self._space.level,
            self._space.level_fingerprint,
            str(self._folder.calculations),
            self._plan.time_limit,
        )

    def read_frame(self, frame: Frame) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Atomic numbers and coordinates of a frame."""
        run = load_run(self._folder.get_run(frame.task))
        return run.numbers, run.coords[frame.place]

    def note(self, command: Task, event: TaskEvent) -> None:
        """Takes note of what has happened, also of what an earlier process did: later commands speak of it."""
        if isinstance(command, RunDynamics):
            self._molecules[command.task] = self._get_start(command).molecule
        elif isinstance(command, Calculate) and isinstance(event, StructureComputed):
            self._of_keys[event.key] = self._molecules[command.frame.task]

    def collect_labels(self, keys: list[str]) -> Labels:
        """The initial set and these calculations, in order.

        Raises:
            ValueError: a calculation is damaged, or lost.
        """
        entries = [self._read(key) for key in keys]
        new = make_labels(
            [self._of_keys[key] for key in keys],
            [entry.numbers for entry in entries],
            [entry.coords for entry in entries],
            [typing.cast(float, entry.calculation.energy) for entry in entries],
            [typing.cast(numpy.ndarray, entry.calculation.forces) for entry in entries],
        )
        return join_labels([self._beginning.initial, new])

    def _read(self, key: str) -> LedgerEntry:
        if key not in self._entries:
            entry = self._ledger.read(key)
            if entry is None or not entry.calculation.succeeded:
                raise ValueError(f"{self._ledger.path(key)}: this calculation was there, and is gone")
            self._entries[key] = entry
        return self._entries[key]

    def _get_start(self, command: RunDynamics) -> Start:
        return self._space.starts[self._beginning.starts[command.trajectory]]

    def _make_training(self, command: TrainMember, labels: list[str]) -> TrainTask:
        path = self._folder.get_labels(command.model.round)
        if not path.is_file():
            save_labels(path, self.collect_labels(labels[: command.n_labels - len(self._beginning.initial)]))
        start = self._space.starting_model if self._plan.is_pretrained else None
        return TrainTask(
            output=str(self._folder.get_model(*command.model)),
            labels=str(path),
            start=None if start is None else str(start),
            network=self._plan.network,
            start_seed=self._plan.steering.seed,
            settings=self._plan.final_training if command.is_final else self._plan.training,
            seed=command.seed,
            cache=None if self._plan.model_cache is None else str(self._plan.model_cache),
        )

    def _make_sampling(self, command: RunDynamics) -> SampleTask:
        start = self._get_start(command)
        return SampleTask(
            output=str(self._folder.get_run(command.task)),
            model=str(self._folder.get_model(*command.model)),
            origin=None if command.origin is None else str(self._folder.get_run(command.origin)),
            numbers=self._space.molecules[start.molecule].numbers,
            coords=start.coords,
            velocities=None if command.is_repeat else start.velocities,
            temperature=start.temperature,
            n_steps=command.n_steps,
            settings=self._plan.dynamics,
            seed=command.seed,
            device=self._plan.device,
        )

    def _make_prediction(self, command: PredictFrames) -> PredictTask:
        frames = tuple((str(self._folder.get_run(frame.task)), frame.place) for frame in command.frames)
        by_forces = self._plan.steering.uncertainty == "forces"
        return PredictTask(self._list_models(command.round), frames, by_forces, self._plan.device)

    def _list_models(self, round_: int) -> tuple[str, ...]:
        return tuple(str(self._folder.get_model(round_, k)) for k in range(self._plan.steering.n_members))


def _describe(command: Calculate, result: LabelResult) -> StructureComputed:
    return StructureComputed(command.task, result.key, result.energy, result.max_force, result.reason)
