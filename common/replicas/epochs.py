"""Many replicas for one epoch: who fails, who is lost, and the frames that are kept, with the time each stands for.

A replica that is lost (too far gone to learn from, or not finite) leaves the batch at once. It is *absorbed*: its last
frames in reach carry the time that remains of the epoch, since an explosion is so fast that hardly any frame shows it.
"""

import collections
import collections.abc
import dataclasses
import typing

import torch

from common.dynamics.noise import ReplicaNoise
from common.dynamics.states import Evaluate, State
from common.observables.deviations import Deviation


class Integrator(typing.Protocol):
    """What moves replicas, see ``common/dynamics``."""

    @property
    def n_thermostats(self) -> int: ...

    @property
    def needs_noise(self) -> bool: ...

    def step(self, state: State, evaluate: Evaluate, noise: torch.Tensor | None) -> State:
        """The state one time step later."""
        ...


@dataclasses.dataclass(frozen=True)
class EpochSettings:
    """How an epoch is run, in steps of the integrator.

    Attributes:
        n_steps: its length.
        check_interval: between two looks at the deviations.
        frame_interval: between two frames that are kept; a multiple of ``check_interval``.
        n_absorbed: frames of a lost replica that carry the rest of its time.
        stop_at_failure: whether a replica leaves as soon as it fails, and not only when it is lost.
    """

    n_steps: int
    check_interval: int = 10
    frame_interval: int = 100
    n_absorbed: int = 3
    stop_at_failure: bool = False


@dataclasses.dataclass(frozen=True)
class Frames:
    """Frames of an epoch.

    Attributes:
        coords: [Angstrom] ``shape=(n_frames, n_atoms, 3)``.
        velocities: [Angstrom/fs] of the same shape.
        replicas: of each frame, ``shape=(n_frames,)`` int64.
        steps: after which each was taken, of the same shape.
        weights: steps that each stands for, ``shape=(n_frames,)`` float64.
    """

    coords: torch.Tensor
    velocities: torch.Tensor
    replicas: torch.Tensor
    steps: torch.Tensor
    weights: torch.Tensor


@dataclasses.dataclass(frozen=True)
class Epoch:
    """What came of an epoch.

    Attributes:
        state: of each replica at the end; of one that left, where it was last seen, if that is finite.
        failure_steps: the step at which each replica was first seen beyond the tolerance; -1 for never.
        frames: those kept.
        causes: of each failure, the name of the deviation; "" for none.
    """

    state: State
    failure_steps: torch.Tensor
    frames: Frames
    causes: tuple[str, ...]

    @property
    def has_failed(self) -> torch.Tensor:
        return self.failure_steps >= 0


class _Recorder:
    """Collects frames, and what is last seen of each replica."""

    def __init__(self, state: State, settings: EpochSettings):
        self.settings = settings
        self.last = State(*(getattr(state, field.name).clone() for field in dataclasses.fields(state)))
        self.recent: collections.deque[tuple[int, torch.Tensor, torch.Tensor]] = collections.deque(
            maxlen=max(1, settings.n_absorbed)
        )
        self.parts: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor, int, float]] = []

    def record(self, step: int, state: State, replicas: torch.Tensor) -> None:
        """Takes the frames of all replicas at a step as ones to keep."""
        weight = float(self.settings.frame_interval)
        self.parts.append((state.coords, state.velocities, replicas, step, weight))

    def see(self, step: int, state: State) -> None:
        """Remembers the frames of the replicas that are at work, in case that they are absorbed."""
        self.recent.append((step, state.coords, state.velocities))

    def part_with(self, state: State, replicas: torch.Tensor, is_leaving: torch.Tensor, step: int) -> None:
        """Absorbs the replicas that leave at ``step``: masks are over those at work, as are the frames remembered."""
        remaining = float(self.settings.n_steps - step)
        if remaining > 0.0 and self.settings.n_absorbed:
            share = remaining / len(self.recent)
            for seen, coords, velocities in self.recent:
                own = coords[is_leaving], velocities[is_leaving], replicas[is_leaving]
                self.parts.append((*own, seen, share))
        is_finite = (state.coords.isfinite() & state.velocities.isfinite()).flatten(1).all(1)
        for coords, velocities, chosen in (
            (self.recent[-1][1], self.recent[-1][2], is_leaving & ~is_finite),
            (state.coords, state.velocities, is_leaving & is_finite),
        ):
            self.last.coords[replicas[chosen]] = coords[chosen]
            self.last.velocities[replicas[chosen]] = velocities[chosen]

    def keep(self, is_kept: torch.Tensor) -> None:
        """Goes on with fewer replicas."""
        kept = [(step, coords[is_kept], velocities[is_kept]) for step, coords, velocities in self.recent]
        self.recent = collections.deque(kept, maxlen=self.recent.maxlen)

    def finish(self, state: State, replicas: torch.Tensor) -> tuple[State, Frames]:
        for field in dataclasses.fields(State):
            getattr(self.last, field.name)[replicas] = getattr(state, field.name)
        empty = self.last.coords[:0]
        coords, velocities, owners, steps, weights = zip(*self.parts, strict=True) if self.parts else ((),) * 5
        counts = torch.tensor([len(own) for own in owners], dtype=torch.int64)
        return self.last, Frames(
            coords=torch.cat((empty, *coords)),
            velocities=torch.cat((empty, *velocities)),
            replicas=torch.cat((torch.zeros(0, dtype=torch.int64), *owners)),
            steps=torch.repeat_interleave(torch.tensor(steps, dtype=torch.int64), counts),
            weights=torch.repeat_interleave(torch.tensor(weights, dtype=torch.float64), counts),
        )


def run_epoch(
    integrator: Integrator,
    evaluate: Evaluate,
    state: State,
    noise: ReplicaNoise | None,
    deviations: collections.abc.Sequence[Deviation],
    settings: EpochSettings,
) -> Epoch:
    """Moves all replicas for ``settings.n_steps`` steps.

    Args:
        integrator, evaluate: how they move.
        state: where they start.
        noise: for an integrator that needs it.
        deviations: what makes a replica fail.
        settings: see there.
    """
    n_replicas = len(state.coords)
    failure_steps = torch.full((n_replicas,), -1, dtype=torch.int64)
    causes = [""] * n_replicas
    replicas = torch.arange(n_replicas)
    recorder = _Recorder(state, settings)
    recorder.see(0, state)
    for step in range(1, settings.n_steps + 1):
        state = integrator.step(state, evaluate, noise.draw() if noise is not None else None)
        if step % settings.check_interval and step != settings.n_steps:
            continue
        is_leaving = torch.zeros(len(replicas), dtype=torch.bool)
        for deviation in deviations:
            values = deviation.measure(state.coords).cpu()
            is_failed, is_lost = deviation.has_failed(values), deviation.is_lost(values)
            is_leaving |= is_failed if settings.stop_at_failure else is_lost
            for place in torch.nonzero(is_failed & (failure_steps[replicas] < 0))[:, 0].tolist():
                failure_steps[replicas[place]] = step
                causes[int(replicas[place])] = deviation.name
        if is_leaving.any():
            recorder.part_with(state, replicas, is_leaving, step)
            is_kept = ~is_leaving
            recorder.keep(is_kept)
            state, replicas = state.select(is_kept), replicas[is_kept]
            if noise is not None:
                noise.keep(is_kept)
            if not len(replicas):
                break
        recorder.see(step, state)
        if step % settings.frame_interval == 0:
            recorder.record(step, state, replicas)
    last, frames = recorder.finish(state, replicas)
    return Epoch(last, failure_steps, frames, tuple(causes))
