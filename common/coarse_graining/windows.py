"""Windows of trajectories to train on, and how much each counts."""

import dataclasses

import torch

from common.body_trajectories.trajectories import Trajectories
from common.dynamics.rigid_bodies import Motion
from common.potentials.body_pairs import apply_minimum_image

N_BINS = 16
"""Bins of the distance of the centres, in which the signal is averaged."""

FLOOR = 0.02
"""A signal that is less than this part of the mean counts as so much."""


@dataclasses.dataclass(frozen=True)
class Windows:
    """All windows of some length in trajectories.

    Attributes:
        trajectories: what they are windows of.
        length: frames after the first.
        starts: (trajectory, frame) of the first frame of each, ``shape=(n_windows, 2)``.
    """

    trajectories: Trajectories
    length: int
    starts: torch.Tensor

    def take(self, chosen: torch.Tensor, dtype: torch.dtype, device: str) -> tuple[Motion, Motion]:
        """The first frames, ``(n, n_bodies, 3 | 4)``, and those after them, ``(n, length, n_bodies, 3 | 4)``."""
        trajectory, frame = self.starts[chosen].unbind(1)
        motion = self.trajectories.motion
        first = Motion(*(values[trajectory, frame].to(device, dtype) for values in motion))
        frames = frame[:, None] + torch.arange(1, self.length + 1)
        return first, Motion(*(values[trajectory[:, None], frames].to(device, dtype) for values in motion))


def list_windows(trajectories: Trajectories, length: int, stride: int, name: str) -> Windows:
    """All windows that start at every ``stride``-th frame.

    Raises:
        ValueError: a window is longer than the trajectories.
    """
    last = trajectories.n_frames - 1 - length
    if length < 1 or last < 0:
        raise ValueError(
            f"{name} = {length}: a window of {length} frames after its first is not in trajectories of "
            f"{trajectories.n_frames} frames; there are 1 to {trajectories.n_frames - 1}"
        )
    frames = torch.arange(0, last + 1, stride)
    return Windows(trajectories, length, torch.cartesian_prod(torch.arange(trajectories.n_trajectories), frames))


def measure_separations(motion: Motion, box: float | None) -> torch.Tensor:
    """The smallest distance of any two centres, ``(...)``."""
    n_bodies = motion.positions.shape[-2]
    first, second = torch.triu_indices(n_bodies, n_bodies, 1)
    d = apply_minimum_image(motion.positions[..., second, :] - motion.positions[..., first, :], box)
    return d.norm(dim=-1).min(-1).values


def weigh_by_signal(
    separations: torch.Tensor, sampled: torch.Tensor, signals: torch.Tensor, power: float
) -> torch.Tensor:
    """Weights of windows or frames, with mean one: those whose bodies are far apart, and feel little, count more.

    What bodies far apart feel is a small part of any loss, but it adds up to the depth of the whole potential.

    Args:
        separations: [length] of all, ``shape=(n,)``.
        sampled: [length] of some of them, ``shape=(n_sampled,)``.
        signals: what a potential of zero would miss of these, in the loss that is used, ``shape=(n_sampled,)``.
        power: 0 for equal weights, 1 for weights that bring all distances to the same signal.

    Returns:
        ``shape=(n,)``.
    """
    low, high = separations.min(), separations.max()

    def find_bins(values: torch.Tensor) -> torch.Tensor:
        return ((values - low) / (high - low).clamp(min=1e-12) * N_BINS).long().clamp(0, N_BINS - 1)

    bins = find_bins(sampled)
    counts = torch.bincount(bins, minlength=N_BINS).clamp(min=1)
    means = torch.bincount(bins, signals, minlength=N_BINS) / counts
    weights = (means + FLOOR * signals.mean())[find_bins(separations)] ** -power
    return weights / weights.mean()
