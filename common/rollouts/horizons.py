"""Rollouts against true trajectories: how long they follow, and whether they stay bounded and keep their energy."""

import dataclasses

import numpy
import torch

from common.body_trajectories.trajectories import Trajectories
from common.dynamics.rigid_bodies import Motion, compute_kinetic_energy, integrate
from common.geometry.quaternions import compute_rotation_angles
from common.rollouts.candidates import Candidate

N_STARTS = 4
"""Frames of each test trajectory that rollouts start from, evenly spaced."""


@dataclasses.dataclass(frozen=True)
class Horizon:
    """How far rollouts have gone astray.

    Attributes:
        times: [time] ``shape=(n_frames,)``.
        separation: [length] median, over all rollouts, of the absolute error of the distance of two centres.
        angle: [radian] median angle between predicted and true orientations.
    """

    times: numpy.ndarray
    separation: numpy.ndarray
    angle: numpy.ndarray

    def at(self, time: float) -> float:
        """[length] The median error of the separation after some time."""
        return float(numpy.interp(time, self.times, self.separation))


def compute_horizon(candidate: Candidate, data: Trajectories, step: float, length: float) -> Horizon:
    """Rollouts of the test trajectories.

    Args:
        candidate: the potential; known terms are added.
        data: test trajectories of two bodies or more; the first two count.
        step: [time] of the integrator, which is made to fit the interval.
        length: [time] of the rollouts.
    """
    n_frames = min(data.n_frames - 1, max(1, round(length / data.interval)))
    starts = torch.linspace(0, data.n_frames - 1 - n_frames, N_STARTS).long().unique()
    first = Motion(*(values[:, starts].flatten(0, 1) for values in data.motion))
    frames = torch.arange(1, n_frames + 1)
    true = Motion(*(values[:, starts[:, None] + frames].flatten(0, 1) for values in data.motion))
    potential = data.system.add_spring(candidate.build(data.system))
    n_steps = max(1, round(data.interval / step))
    with torch.no_grad():
        states = list(
            integrate(
                first, potential.compute_field, data.system.build_inertia(), data.interval / n_steps, n_frames, n_steps
            )
        )
    predicted = Motion(*(torch.stack(values, 1) for values in zip(*states, strict=True)))
    separations = [(one.positions[:, :, 1] - one.positions[:, :, 0]).norm(dim=-1) for one in (predicted, true)]
    angles = compute_rotation_angles(predicted.quaternions, true.quaternions).mean(-1)
    return Horizon(
        data.interval * numpy.arange(1, n_frames + 1),
        (separations[0] - separations[1]).abs().median(0).values.numpy(),
        angles.median(0).values.numpy(),
    )


@dataclasses.dataclass(frozen=True)
class Stability:
    """Long rollouts.

    Attributes:
        time: [time] that they lasted.
        largest_separation: [length] that any two centres had.
        energy_error: [energy] root mean square deviation of the total energy from its start.
        drift: [energy] mean difference of the last tenth and the first.
        is_bounded: whether all numbers stayed finite, and distances below twice the data's largest.
    """

    time: float
    largest_separation: float
    energy_error: float
    drift: float
    is_bounded: bool


def compute_stability(
    candidate: Candidate, data: Trajectories, step: float, time: float, n_trajectories: int
) -> Stability:
    """Rollouts far beyond the training window, with the total energy of the potential itself."""
    potential, inertia = data.system.add_spring(candidate.build(data.system)), data.system.build_inertia()
    start = Motion(*(values[:n_trajectories, 0] for values in data.motion))
    n_frames = 100
    n_steps = max(1, round(time / n_frames / step))
    energies, separations = [], []
    with torch.no_grad():
        for motion in (start, *integrate(start, potential.compute_field, inertia, step, n_frames, n_steps)):
            energy = potential.compute_energy(motion.positions, motion.quaternions)
            energies.append(energy + compute_kinetic_energy(motion, inertia))
            separations.append((motion.positions[:, 1] - motion.positions[:, 0]).norm(dim=-1))
    deviations = torch.stack(energies) - energies[0]
    widest = float(torch.stack(separations).max())
    largest = float((data.motion.positions[:, :, 1] - data.motion.positions[:, :, 0]).norm(dim=-1).max())
    tenth = n_frames // 10
    return Stability(
        n_frames * n_steps * step,
        widest,
        float(deviations.square().mean().sqrt()),
        float(deviations[-tenth:].mean() - deviations[1 : tenth + 1].mean()),
        bool(torch.isfinite(deviations).all()) and widest < 2.0 * largest,
    )
