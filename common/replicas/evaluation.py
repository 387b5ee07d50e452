"""One potential put to the test: independent replicas until each one's first failure, and what they look like.

Replica r starts from the same frame with the same velocities and the same noise whatever the potential: candidates
are compared pair by pair.
"""

import collections.abc
import dataclasses

import numpy
import torch

from common.dynamics.noise import ReplicaNoise
from common.dynamics.states import Evaluate, begin
from common.observables.deviations import Deviation
from common.potentials.potential import Potential
from common.processes.generators import make_generator
from common.replicas.epochs import Epoch, EpochSettings, Frames, run_epoch
from common.replicas.reference import Reference
from common.replicas.setup import MotionSettings, draw_starts, make_integrator

PICOSECOND = 1000.0
"""[fs]"""

FIELDS = tuple(field.name for field in dataclasses.fields(Frames))


@dataclasses.dataclass(frozen=True)
class EvaluationSettings:
    """How replicas are run.

    Attributes:
        seed: of starts, velocities and noise.
        n_replicas: how many.
        horizon: [ps] after which observation ends.
        check_interval, frame_interval: steps between two looks, and between two frames that are kept.
        velocity_window: times of the velocity autocorrelation; 0 for none.
        velocity_interval: steps between them.
        displacement_window: times of the mean squared displacement, frames apart; 0 for none.
    """

    seed: int
    n_replicas: int
    horizon: float
    check_interval: int
    frame_interval: int
    velocity_window: int
    velocity_interval: int
    displacement_window: int


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What replicas did.

    Attributes:
        times: [ps] that each lived, ``shape=(n_replicas,)``.
        has_failed: whether it then failed.
        causes: by which deviation; "" for none.
        frames: of the stable part, every ``frame_interval`` steps.
        fast: frames of the first part, every ``velocity_interval`` steps, for correlations of velocities.
        last: where each was last seen, ``shape=(n_replicas, n_atoms, 3)`` [Angstrom].
        frame_interval, n_steps: of the frames, and in all.
    """

    times: numpy.ndarray
    has_failed: numpy.ndarray
    causes: tuple[str, ...]
    frames: Frames
    fast: Frames
    last: torch.Tensor
    frame_interval: int
    n_steps: int


def evaluate(
    potential: Potential,
    reference: Reference,
    deviations: collections.abc.Sequence[Deviation],
    motion: MotionSettings,
    settings: EvaluationSettings,
) -> Evaluation:
    """Runs the replicas from frames that are held out."""
    masses = reference.system.masses.to(potential.device, potential.dtype)
    key = (settings.seed, "evaluation")
    coords, velocities = draw_starts(reference, True, settings.n_replicas, motion.temperature, key, masses)
    integrator = make_integrator(motion, masses)
    move: Evaluate = potential.freeze()
    state = begin(move, coords, velocities, integrator.n_thermostats)
    noise = None
    if integrator.needs_noise:
        generators = [make_generator(*key, "noise", replica) for replica in range(settings.n_replicas)]
        noise = ReplicaNoise(generators, len(masses), coords.dtype, str(coords.device))
    n_steps = round(PICOSECOND * settings.horizon / motion.time_step)
    n_fast = min(n_steps, settings.velocity_window * settings.velocity_interval)
    parts: list[tuple[Epoch, torch.Tensor, int]] = []
    replicas, done = torch.arange(settings.n_replicas), 0
    for length, interval in ((n_fast, settings.velocity_interval), (n_steps - n_fast, settings.frame_interval)):
        if length > 0 and len(replicas):
            plan = EpochSettings(length, min(settings.check_interval, interval), interval, 0, stop_at_failure=True)
            epoch = run_epoch(integrator, move, state, noise, deviations, plan)
            parts.append((epoch, replicas, done))
            state, replicas = epoch.state.select(~epoch.has_failed), replicas[~epoch.has_failed]
        done += length
    return _join(parts, settings, n_steps, motion.time_step, n_fast)


def _join(
    parts: list[tuple[Epoch, torch.Tensor, int]],
    settings: EvaluationSettings,
    n_steps: int,
    time_step: float,
    n_fast: int,
) -> Evaluation:
    """One history of each replica from the epochs that it lived through, and the steps before each."""
    n_replicas = settings.n_replicas
    steps = torch.full((n_replicas,), n_steps)
    has_failed = torch.zeros(n_replicas, dtype=torch.bool)
    causes = [""] * n_replicas
    last = torch.zeros((n_replicas, *parts[0][0].state.coords.shape[1:]), dtype=parts[0][0].state.coords.dtype)
    fast, slow = _take(parts[0][0].frames, slice(0, 0)), _take(parts[0][0].frames, slice(0, 0))
    for epoch, replicas, before in parts:
        last[replicas] = epoch.state.coords.cpu()
        has_failed[replicas] = epoch.has_failed
        steps[replicas[epoch.has_failed]] = before + epoch.failure_steps[epoch.has_failed]
        for place, cause in enumerate(epoch.causes):
            causes[int(replicas[place])] = cause
        frames = epoch.frames
        frames = dataclasses.replace(frames, replicas=replicas[frames.replicas], steps=frames.steps + before)
        if before < n_fast:
            fast = frames
            frames = _take(frames, frames.steps % settings.frame_interval == 0)
        slow = Frames(*(torch.cat((getattr(slow, name), getattr(frames, name))) for name in FIELDS))
    times = steps.numpy() * time_step / PICOSECOND
    return Evaluation(times, has_failed.numpy(), tuple(causes), slow, fast, last, settings.frame_interval, n_steps)


def _take(frames: Frames, chosen: torch.Tensor | slice) -> Frames:
    return Frames(*(getattr(frames, name)[chosen] for name in FIELDS))
