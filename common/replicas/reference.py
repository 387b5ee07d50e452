"""A reference as learning and evaluation see it: its system, the frames that may be learnt from, those that may not."""

import dataclasses
import os
import pathlib

import numpy
import torch

from common.data.dataset import read_fingerprint
from common.data.trajectories import Trajectory, join_frames, read_trajectories
from common.observables.system import System, build_system, measure_distances


@dataclasses.dataclass(frozen=True)
class Reference:
    """The runs of one system, each cut in two: an earlier part to learn from, a later one that is held out.

    Attributes:
        path: of the data set.
        fingerprint: of its contents.
        system: what was sampled.
        known: the earlier parts.
        held_out: the later parts.
    """

    path: pathlib.Path
    fingerprint: str
    system: System
    known: tuple[Trajectory, ...]
    held_out: tuple[Trajectory, ...]

    @property
    def temperature(self) -> float | None:
        """[K] of the sampling, where it is known."""
        return self.known[0].temperature

    def get_coords(self, is_held_out: bool) -> torch.Tensor:
        """The frames of one part of all runs, ``shape=(n_frames, n_atoms, 3)`` [Angstrom] float64."""
        parts = self.held_out if is_held_out else self.known
        return torch.from_numpy(numpy.concatenate([part.entry.coords for part in parts]))

    @property
    def coords(self) -> torch.Tensor:
        """All frames."""
        return torch.cat((self.get_coords(False), self.get_coords(True)))

    def compute_bond_means(self) -> torch.Tensor:
        """Mean lengths of bonds [Angstrom] over all frames, ``shape=(n_bonds,)``."""
        return measure_distances(self.system, self.coords, self.system.bonds).mean(0)


def load_reference(path: str | os.PathLike, held_out_share: float) -> Reference:
    """Reads a reference.

    Args:
        path: of a data set of trajectories of one system.
        held_out_share: of the frames of each run, from its end, at least one of them.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged, holds different systems, or too few frames.
    """
    trajectories = read_trajectories(path)
    if not trajectories:
        raise ValueError(f"{path}: holds no run")
    join_frames([trajectory.select(slice(0, 1)) for trajectory in trajectories])  # refuses different systems
    if min(trajectory.n_frames for trajectory in trajectories) < 2:
        raise ValueError(f"{path}: a run has a single frame; two are needed, to learn from one and hold out the other")
    try:
        system = build_system(trajectories[0])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    known, held_out = [], []
    for trajectory in trajectories:
        cut = min(max(1, round((1.0 - held_out_share) * trajectory.n_frames)), trajectory.n_frames - 1)
        known.append(trajectory.select(slice(0, cut)))
        held_out.append(trajectory.select(slice(cut, None)))
    return Reference(pathlib.Path(path), read_fingerprint(path), system, tuple(known), tuple(held_out))
