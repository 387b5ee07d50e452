"""A made-up world that answers a campaign's commands, for tests: by chance, in any order, with every fault."""

import collections.abc
import dataclasses
import enum
import typing

import numpy

from common.steering.campaign import Campaign
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
    RunDynamics,
    StructureComputed,
    Task,
    TaskFailed,
    TrainMember,
)
from common.steering.settings import SteeringSettings

SETTINGS = SteeringSettings(
    seed=7,
    n_members=3,
    budget=50,
    n_quantum_workers=2,
    n_samplers=2,
    retrain_interval=8,
    n_labels_ahead=4,
    audit=True,
    audit_share=0.5,
    energy_tolerance=0.1,
    min_run_length=20,
    max_run_length=800,
    uncertainty="energies",
    n_frames_per_run=10,
    chunk_size=12,
    n_chunks=1,
    max_pool=100,
    max_failed_fraction=0.9,
    max_failures=30,
)

N_ATOMS = (9, 9, 9, 6, 6)
N_INITIAL = 10


def make_campaign(**changes: typing.Any) -> Campaign:
    return Campaign(dataclasses.replace(SETTINGS, **changes), N_ATOMS, N_INITIAL)


class World:
    """Answers commands.

    Attributes:
        failure_rate: of tasks of any kind.
        error: [kcal/mol] per atom and step of the models.
        repeat_rate: of calculations whose contents were computed before.
    """

    def __init__(self, seed: int, failure_rate: float = 0.0, error: float = 0.001, repeat_rate: float = 0.0):
        self.random = numpy.random.default_rng(seed)
        self.failure_rate, self.error, self.repeat_rate = failure_rate, error, repeat_rate
        self.energies: dict[str, float] = {}  # by the models, of the ends of runs
        self.n_steps: dict[str, int] = {}
        self.n_calls = 0

    def answer(self, command: Task) -> Event:
        if self.random.random() < self.failure_rate:
            return TaskFailed(command.task, "bad luck")
        match command:
            case TrainMember():
                return MemberTrained(command.task, float(self.random.uniform(1.0, 3.0)))
            case RunDynamics():
                return self._run(command)
            case PredictFrames():
                energies = self.random.normal(size=(len(command.frames), SETTINGS.n_members))
                if self.random.random() < 0.05:
                    energies[0, 0] = numpy.nan
                return FramesPredicted(
                    command.task,
                    tuple(tuple(row) for row in energies.tolist()),
                    tuple(energies.std(axis=1).tolist()),
                )
            case Calculate():
                return self._compute(command)

    def _run(self, command: RunDynamics) -> DynamicsFinished:
        n_frames, n_steps, reason = command.n_steps // 5, command.n_steps, ""
        if self.random.random() < self.failure_rate:
            n_frames = int(self.random.integers(0, n_frames))
            n_steps, reason = 5 * n_frames, "atoms overlap"
        self.energies[command.task] = float(self.random.normal())
        self.n_steps[command.task] = n_steps
        return DynamicsFinished(
            command.task, n_steps, n_frames, self.energies[command.task] if n_frames else None, reason
        )

    def _compute(self, command: Calculate) -> StructureComputed:
        self.n_calls += 1
        key = f"key-{self.n_calls}"
        if self.random.random() < self.repeat_rate:
            key = f"key-{self.random.integers(1, self.n_calls + 1)}"
        if self.random.random() < self.failure_rate:
            return StructureComputed(command.task, key, None, None, "the SCF does not converge")
        energy = self.energies[command.frame.task]
        energy += 9.0 * self.n_steps[command.frame.task] * self.error * float(self.random.normal())
        return StructureComputed(command.task, key, energy, 20.0, "")


@dataclasses.dataclass
class Story:
    """What happened: events in order, and the commands that each gave."""

    campaign: Campaign
    commands: list[Command]
    events: list[Event] = dataclasses.field(default_factory=list)

    @property
    def finish(self) -> Finish:
        assert self.campaign.finish is not None
        return self.campaign.finish

    def list_commands(self, kind: type) -> list[typing.Any]:
        return [each for each in self.commands if isinstance(each, kind)]


def run_campaign(
    campaign: Campaign,
    world: World,
    in_order: bool = False,
    on_event: collections.abc.Callable[[Campaign, Event, list[Command]], None] = lambda campaign, event, commands: None,
    interrupt: collections.abc.Callable[[Campaign, int], Event | None] = lambda campaign, i: None,
    max_events: int = 20_000,
) -> Story:
    """Plays a campaign to its end.

    Args:
        campaign: not yet begun.
        world: what answers.
        in_order: first asked, first answered; otherwise by chance.
        on_event: is shown each event, and the commands that it gave.
        interrupt: an event from outside, given the number of events so far.
        max_events: a campaign that has not ended then will never end.
    """
    story = Story(campaign, campaign.start())
    order = [each.task for each in story.commands if not isinstance(each, Cancel | Finish)]
    pending = {each.task: each for each in story.commands if not isinstance(each, Cancel | Finish)}
    while True:
        event = interrupt(campaign, len(story.events))
        if event is None:
            if campaign.finish is not None:
                return story
            task = order.pop(0 if in_order else int(world.random.integers(len(order))))
            event = world.answer(pending.pop(task))
        commands = campaign.handle(event)
        story.events.append(event)
        story.commands += commands
        for command in commands:
            if isinstance(command, Cancel):
                if world.random.random() < 0.5:  # the others are answered all the same
                    order.remove(command.task)
                    del pending[command.task]
            elif not isinstance(command, Finish):
                assert command.task not in pending
                order.append(command.task)
                pending[command.task] = command
        on_event(campaign, event, commands)
        assert len(story.events) < max_events, "the campaign does not end"


def describe(value: typing.Any) -> typing.Any:
    """All that a campaign knows, as plain values that can be compared."""
    if isinstance(value, numpy.random.Generator):
        return value.bit_generator.state
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, dict):
        return {key: describe(one) for key, one in value.items()}
    if isinstance(value, set):
        return sorted(value)
    if isinstance(value, list | tuple) or type(value).__name__ == "deque":
        return [describe(one) for one in value]
    if hasattr(value, "__dict__"):
        return {key: describe(one) for key, one in vars(value).items() if key != "_commands"}
    return value
