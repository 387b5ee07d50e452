"""Means of bonds and angles; and of bonds and 1-3 distances both moments, in units of the reference's own spread."""

import torch

from common.observables.observable import Observable
from common.observables.system import System, measure_angles, measure_distances


class Moments(Observable):
    """z and z² of every bond and 1-3 distance, z = (q - mean of the reference) / its standard deviation.

    The mean squared error of the means, over all of them, is the loss: about 1 where distances are off by their spread.
    """

    def __init__(self, system: System, reference: torch.Tensor):
        """Takes the frames of the reference, ``shape=(n_frames, n_atoms, 3)``."""
        self.name = "moments"
        self._system = system
        self._pairs = torch.cat((system.bonds, system.angles[:, [0, 2]]))
        distances = measure_distances(system, reference.to(torch.float64), self._pairs)
        self.means, self.spreads = distances.mean(0), distances.std(0)
        names = [f"{i}-{j}" for i, j in self._pairs.tolist()]
        self.labels = (*(f"z {name}" for name in names), *(f"z² {name}" for name in names))

    def compute(self, coords: torch.Tensor) -> torch.Tensor:
        distances = measure_distances(self._system, coords, self._pairs)
        z = (distances - self.means.to(coords)) / self.spreads.to(coords)
        return torch.cat((z, z * z), dim=1)

    def compute_loss(self, mean: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return (mean - target).square().mean()


class MeanBonds(Observable):
    """The length of every bond [Angstrom]."""

    def __init__(self, system: System):
        """Takes the system, whose bonds they are."""
        self.name = "mean-bonds"
        self._system = system
        self.labels = tuple(f"{i}-{j}" for i, j in system.bonds.tolist())

    def compute(self, coords: torch.Tensor) -> torch.Tensor:
        return measure_distances(self._system, coords, self._system.bonds)


class MeanAngles(Observable):
    """Every bond angle [degree]."""

    def __init__(self, system: System):
        """Takes the system, whose angles they are."""
        self.name = "mean-angles"
        self._system = system
        self.labels = tuple(f"{i}-{j}-{k}" for i, j, k in system.angles.tolist())

    def compute(self, coords: torch.Tensor) -> torch.Tensor:
        return measure_angles(self._system, coords)
