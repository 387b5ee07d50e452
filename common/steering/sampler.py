"""The Sampler: trajectories that go on as long as audits find the models right."""

import collections
import collections.abc
import dataclasses
import enum
import statistics
import typing

import numpy

from common.steering.records import DynamicsFinished, Frame, Model, RunDynamics, StructureComputed
from common.steering.settings import SteeringSettings
from common.units import EV_TO_KCAL_PER_MOL

FAILED_ERROR = 10.0 * EV_TO_KCAL_PER_MOL
"""[kcal/mol] per atom; the error that counts for a structure that no calculation could do."""

AUDITS_PER_WORKER = 4
"""The last so many audits for each worker determine the run length, once there are more of them than workers."""

N_ROUNDS_REMEMBERED = 2
"""Audits of older models say nothing of the present ones."""


MUCH_LONGER = 2
"""A run so many times shorter than runs may be by now is not worth an audit."""


class State(enum.Enum):
    """What a trajectory is doing."""

    IDLE = "idle"
    RUNNING = "running"
    IN_AUDIT = "in audit"
    RETIRED = "retired"


@dataclasses.dataclass
class Trajectory:
    """One trajectory.

    Attributes:
        n_atoms: of its molecule.
        state: what it is doing.
        validated: the task at whose end the next run starts; None for the trajectory's own start.
        n_steps: that were validated.
        n_runs: begun so far.
        n_failures: in a row, of runs without a frame and of calculations.
    """

    n_atoms: int
    state: State = State.IDLE
    validated: str | None = None
    n_steps: int = 0
    n_runs: int = 0
    n_failures: int = 0


class Run(typing.NamedTuple):
    """A run of dynamics that has ended, and waits for its audit."""

    command: RunDynamics
    event: DynamicsFinished

    @property
    def end(self) -> Frame:
        return Frame(self.command.task, self.event.n_frames - 1)


class Audit(typing.NamedTuple):
    """What an audit found: the error [kcal/mol] per atom after so many steps, by a model of this round."""

    error: float
    n_steps: int
    round: int
    passed: bool


class Sampler:
    """Submits runs of dynamics and receives them; its runs are audited, or not."""

    def __init__(
        self, settings: SteeringSettings, n_atoms: collections.abc.Sequence[int], random: numpy.random.Generator
    ):
        """Takes the number of atoms of each trajectory's molecule, and the campaign's source of chance."""
        self._settings = settings
        self._random = random
        self.trajectories = [Trajectory(n) for n in n_atoms]
        self.audit_queue: collections.deque[Run] = collections.deque()
        self.audits: collections.deque[Audit] = collections.deque(maxlen=AUDITS_PER_WORKER * settings.n_quantum_workers)
        self.run_length = settings.min_run_length if settings.audit else settings.max_run_length
        """[steps] of the next run."""
        self.knows_run_length = not settings.audit
        """Whether enough audits were made to say how long runs may be."""
        self.n_running = 0
        self._n_submitted = 0
        self._round = 0

    def replace_settings(self, settings: SteeringSettings) -> None:
        """The campaign goes on with other workers."""
        self._settings = settings
        self.audits = collections.deque(self.audits, maxlen=AUDITS_PER_WORKER * settings.n_quantum_workers)

    def start_round(self, round_: int) -> None:
        """New models: runs by older ones are not audited, which would say nothing of these; they are run anew."""
        self._round = round_
        self._release(lambda run: run.command.model.round < round_)

    def _release(self, is_obsolete: collections.abc.Callable[[Run], bool]) -> None:
        """Gives up audits that nobody has begun to compute: the trajectories go on from where these runs began."""
        for run in [each for each in self.audit_queue if is_obsolete(each)]:
            self.audit_queue.remove(run)
            self.trajectories[run.command.trajectory].state = State.IDLE

    @property
    def is_exhausted(self) -> bool:
        """Whether every trajectory is retired."""
        return all(each.state is State.RETIRED for each in self.trajectories)

    def list_idle(self) -> list[int]:
        return [k for k, each in enumerate(self.trajectories) if each.state is State.IDLE]

    def submit(self, model: Model) -> RunDynamics:
        """A run of an idle trajectory, taken by chance; there must be one."""
        idle = self.list_idle()
        k = idle[int(self._random.integers(len(idle)))]
        trajectory = self.trajectories[k]
        self._n_submitted += 1
        command = RunDynamics(
            task=f"sample-{self._n_submitted}",
            trajectory=k,
            origin=trajectory.validated,
            is_repeat=trajectory.validated is None and trajectory.n_runs > 0,
            n_steps=self.run_length,
            model=model,
            seed=int(self._random.integers(2**32)),
        )
        trajectory.state = State.RUNNING
        trajectory.n_runs += 1
        self.n_running += 1
        return command

    def receive(self, command: RunDynamics, event: DynamicsFinished) -> list[Frame]:
        """Takes up a run that has ended; gives the frames that may be chosen, spread evenly over the run.

        The end of a run that is audited is not among them: it is computed anyway. A run by models that were replaced
        meanwhile is not audited.
        """
        self.n_running -= 1
        if event.n_frames == 0:
            self._note_audit(FAILED_ERROR, max(event.n_steps, 1), command.model.round, passed=False)
            self._fail(command.trajectory)
            return []
        trajectory = self.trajectories[command.trajectory]
        if self._settings.audit and command.model.round < self._round:
            trajectory.state = State.IDLE
            return self._spread(command.task, event.n_frames)
        if self._settings.audit:
            trajectory.state = State.IN_AUDIT
            self.audit_queue.append(Run(command, event))
            return self._spread(command.task, event.n_frames - 1)
        trajectory.state = State.IDLE
        trajectory.n_failures = 0
        if not event.reason:
            trajectory.validated = command.task
            trajectory.n_steps += event.n_steps
        else:  # it broke down: again from the start
            trajectory.validated = None
        return self._spread(command.task, event.n_frames)

    def _spread(self, task: str, n_frames: int) -> list[Frame]:
        n_taken = min(n_frames, self._settings.n_frames_per_run)
        return [Frame(task, (i + 1) * n_frames // n_taken - 1) for i in range(n_taken)]

    def give_up(self, command: RunDynamics) -> None:
        """Takes up a run whose task failed."""
        self.n_running -= 1
        self._fail(command.trajectory)

    def cancel(self, command: RunDynamics) -> None:
        """Takes up a run that nobody waits for any more."""
        self.n_running -= 1
        self.trajectories[command.trajectory].state = State.IDLE

    def judge(self, run: Run, event: StructureComputed) -> Audit:
        """Takes up the calculation of a run's end: on from there with its velocities, or back to the start."""
        trajectory = self.trajectories[run.command.trajectory]
        n_steps, round_ = run.event.n_steps, run.command.model.round
        if event.energy is None or run.event.energy is None:
            self._fail(run.command.trajectory)
            return self._note_audit(FAILED_ERROR, n_steps, round_, passed=False)
        error = abs(run.event.energy - event.energy) / trajectory.n_atoms
        passed = error < self._settings.energy_tolerance
        trajectory.state = State.IDLE
        trajectory.n_failures = 0
        trajectory.validated = run.command.task if passed else None
        trajectory.n_steps = trajectory.n_steps + n_steps if passed else 0
        return self._note_audit(error, n_steps, round_, passed)

    def refuse(self, run: Run) -> Audit:
        """Takes up an audit whose task failed: nobody knows how right the model was, so the run is repeated."""
        self._fail(run.command.trajectory)
        return Audit(FAILED_ERROR, run.event.n_steps, run.command.model.round, passed=False)

    def _fail(self, k: int) -> None:
        trajectory = self.trajectories[k]
        trajectory.n_failures += 1
        trajectory.validated = None
        trajectory.n_steps = 0
        trajectory.state = State.RETIRED if trajectory.n_failures >= self._settings.max_failures else State.IDLE

    def _note_audit(self, error: float, n_steps: int, round_: int, passed: bool) -> Audit:
        """Counts an audit, and sets the run length so that the median of the errors a step just reaches tolerance.

        Where runs have become twice as long, those that wait are not worth an audit any more, and are run anew.
        """
        audit = Audit(error, n_steps, round_, passed)
        if not self._settings.audit:
            return audit
        self.audits.append(audit)
        recent = [each for each in self.audits if each.round > round_ - N_ROUNDS_REMEMBERED]
        if len(recent) > self._settings.n_quantum_workers:
            per_step = statistics.median(each.error / each.n_steps for each in recent)
            shortest, longest = self._settings.min_run_length, self._settings.max_run_length
            wanted = self._settings.energy_tolerance / per_step if per_step > 0.0 else float(longest)
            self.run_length = int(min(max(wanted, shortest), longest))
            self.knows_run_length = True
            self._release(lambda run: not run.event.reason and MUCH_LONGER * run.event.n_steps <= self.run_length)
        return audit
