"""What happens to a campaign, and what it asks for, as plain values that JSON holds."""

import dataclasses
import typing


class Frame(typing.NamedTuple):
    """A structure that a run of dynamics gave: the task of that run, and the place among its frames."""

    task: str
    place: int


class Model(typing.NamedTuple):
    """A trained network: its round of training, and its place in the ensemble."""

    round: int
    member: int


# --- commands --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class TrainMember:
    """Train one network on the first ``n_labels`` labels, the initial set among them.

    Attributes:
        task: its name, such as "train-3-1".
        model: what comes of it.
        n_labels: in the order in which the labels came.
        seed: of the resampling and of the training.
        is_final: this training is the last; it may take longer.
    """

    task: str
    model: Model
    n_labels: int
    seed: int
    is_final: bool


@dataclasses.dataclass(frozen=True)
class RunDynamics:
    """Go on with a trajectory.

    Attributes:
        task: its name, such as "sample-12".
        trajectory: which.
        origin: the task at whose end the run starts, with those velocities; None for the trajectory's own start.
        is_repeat: the run starts from the trajectory's own start, as an earlier one did: with new velocities.
        n_steps: of the run.
        model: by which the forces are computed.
        seed: of velocities and noise.
    """

    task: str
    trajectory: int
    origin: str | None
    is_repeat: bool
    n_steps: int
    model: Model
    seed: int


@dataclasses.dataclass(frozen=True)
class PredictFrames:
    """Predict frames by all members of one round.

    Attributes:
        task: its name, such as "predict-5".
        frames: in the order in which the predictions are wanted.
        round: of training.
    """

    task: str
    frames: tuple[Frame, ...]
    round: int


@dataclasses.dataclass(frozen=True)
class Calculate:
    """Pay for the energy and forces of a frame.

    Attributes:
        task: its name, such as "calculate-40".
        frame: which.
        purpose: "audit", or "active" or "random" for a frame that was chosen.
        round: of the models by whose word it was chosen, or whose audit it is.
    """

    task: str
    frame: Frame
    purpose: str
    round: int


@dataclasses.dataclass(frozen=True)
class Cancel:
    """The result of this task is wanted no more: it need not be started, and may be stopped."""

    task: str


@dataclasses.dataclass(frozen=True)
class Finish:
    """The campaign has ended.

    Attributes:
        reason: in words.
        outcome: "complete", "stopped" (by the user) or "failed".
    """

    reason: str
    outcome: str


Command = TrainMember | RunDynamics | PredictFrames | Calculate | Cancel | Finish

Task = TrainMember | RunDynamics | PredictFrames | Calculate
"""The commands that an event answers."""


# --- events ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class MemberTrained:
    """A network is there.

    Attributes:
        task: of the command.
        validation_error: [kcal/mol/Angstrom] its RMS force error on what it did not train on.
    """

    task: str
    validation_error: float


@dataclasses.dataclass(frozen=True)
class DynamicsFinished:
    """A run of dynamics has ended.

    Attributes:
        task: of the command.
        n_steps: up to the last frame, which is the end of the run.
        n_frames: how many there are; none where the run broke down at once.
        energy: [kcal/mol] of the last frame, by the model of the run; None without frames.
        reason: why the run ended early; "" where it did not.
    """

    task: str
    n_steps: int
    n_frames: int
    energy: float | None
    reason: str


@dataclasses.dataclass(frozen=True)
class FramesPredicted:
    """Predictions are there.

    Attributes:
        task: of the command.
        energies: [kcal/mol] of each frame by each member.
        disagreement: of each frame: [kcal/mol] per atom, or [kcal/mol/Angstrom] where forces count.
    """

    task: str
    energies: tuple[tuple[float, ...], ...]
    disagreement: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class StructureComputed:
    """A calculation is there, or the reason why there is none; either was paid for.

    Attributes:
        task: of the command.
        key: names the contents of the calculation: the same key is the same calculation, and costs nothing again.
        energy: [kcal/mol]; None where it failed.
        max_force: [kcal/mol/Angstrom] the largest force on an atom; None where it failed.
        reason: why it failed; "" where it did not.
    """

    task: str
    key: str
    energy: float | None
    max_force: float | None
    reason: str


@dataclasses.dataclass(frozen=True)
class TaskFailed:
    """A task gave no result: its worker died, it raised an error, or it took too long."""

    task: str
    reason: str


@dataclasses.dataclass(frozen=True)
class StopRequested:
    """The user wants the campaign to end: what is under way and paid for is waited for, then the ensemble trained."""


@dataclasses.dataclass(frozen=True)
class Resumed:
    """The campaign goes on, perhaps with another budget and other workers."""

    budget: int
    n_quantum_workers: int
    n_samplers: int


TaskEvent = MemberTrained | DynamicsFinished | FramesPredicted | StructureComputed | TaskFailed

Event = TaskEvent | StopRequested | Resumed

_EVENTS: dict[str, typing.Any] = {
    kind.__name__: kind
    for kind in (
        MemberTrained,
        DynamicsFinished,
        FramesPredicted,
        StructureComputed,
        TaskFailed,
        StopRequested,
        Resumed,
    )
}


def event_to_plain(event: Event) -> dict[str, typing.Any]:
    """An event as a dict of what JSON holds."""
    return {"event": type(event).__name__, **dataclasses.asdict(event)}


def event_from_plain(plain: dict[str, typing.Any]) -> Event:
    """The event that :func:`event_to_plain` wrote, after a way through JSON.

    Raises:
        ValueError: it is no event, or fields are missing.
    """
    values = dict(plain)
    kind = _EVENTS.get(values.pop("event", ""))
    if kind is None:
        raise ValueError(f"no event: {plain.get('event')!r}")
    if kind is FramesPredicted:
        values["energies"] = tuple(tuple(row) for row in values["energies"])
        values["disagreement"] = tuple(values["disagreement"])
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"an event {plain['event']} with other fields ({error})") from error
