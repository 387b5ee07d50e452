"""Signs that a molecule falls apart: how far a frame has gone from what the reference knows, and whether it failed."""

import abc
import math

import torch

from common.observables.observable import Observable
from common.observables.system import System, list_pairs_between_molecules, measure_distances

SMALLEST_SHARE = 1e-3
"""Added to a share before its logarithm is taken: less than that is as good as none."""


class Deviation(abc.ABC):
    """How far a frame, or a molecule of it, has gone.

    Attributes:
        name: a word, e.g. "bond".
        tolerance: a frame beyond has failed.
        far: a frame beyond is lost: nothing can be learnt from it.
        n_frames: how many frames in a row a measurement takes.
    """

    name: str
    tolerance: float
    far: float
    n_frames = 1

    @abc.abstractmethod
    def measure(self, coords: torch.Tensor) -> torch.Tensor:
        """The deviation of each frame [Angstrom], ``(n_frames, n_atoms, 3) -> (n_frames,)``; NaN where it is lost."""

    @abc.abstractmethod
    def measure_by_molecule(self, coords: torch.Tensor) -> torch.Tensor:
        """The same for each molecule, ``shape=(n_frames, n_molecules)``."""

    @abc.abstractmethod
    def soften(self, deviations: torch.Tensor) -> torch.Tensor:
        """Of any shape: about 0 where all is well, 1 where the tolerance is reached, smooth between."""

    def has_failed(self, deviations: torch.Tensor) -> torch.Tensor:
        """Which frames are beyond the tolerance, or not finite."""
        return ~(deviations <= self.tolerance)

    def is_lost(self, deviations: torch.Tensor) -> torch.Tensor:
        """Which frames are beyond ``far``, or not finite."""
        return ~(deviations <= self.far)


class BondDeviation(Deviation):
    """The largest |r - mean of the reference| of any bond."""

    def __init__(self, system: System, means: torch.Tensor, tolerance: float = 0.25, far: float = 1.0):
        """Takes the mean lengths of the bonds [Angstrom], ``shape=(n_bonds,)``, the tolerance, and ``far``."""
        self.name, self.tolerance, self.far = "bond", tolerance, max(far, tolerance)
        self._system, self._means = system, means
        self._molecules = system.molecule_idxs[system.bonds[:, 0]]

    def _measure_all(self, coords: torch.Tensor) -> torch.Tensor:
        return (measure_distances(self._system, coords, self._system.bonds) - self._means.to(coords)).abs()

    def measure(self, coords: torch.Tensor) -> torch.Tensor:
        return self._measure_all(coords).amax(-1)

    def measure_by_molecule(self, coords: torch.Tensor) -> torch.Tensor:
        deviations = self._measure_all(coords)
        idxs = self._molecules.expand_as(deviations)
        return deviations.new_zeros((len(coords), self._system.n_molecules)).scatter_reduce(1, idxs, deviations, "amax")

    def soften(self, deviations: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid((deviations - 0.8 * self.tolerance) / (0.05 * self.tolerance))


class Contact(Deviation):
    """Minus the smallest distance between atoms of different molecules: too near is failure."""

    def __init__(self, system: System, smallest: float = 1.2, far: float = 0.6):
        """Takes the smallest distance that is tolerated, and the one below which a frame is lost [Angstrom].

        Raises:
            ValueError: the system is a single molecule.
        """
        self._pairs = list_pairs_between_molecules(system)
        if not len(self._pairs):
            raise ValueError("distances between molecules are asked for, and the system is a single molecule")
        self.name, self.tolerance, self.far = "contact", -smallest, -min(far, smallest)
        self._system = system
        self._molecules = system.molecule_idxs[self._pairs]

    def measure(self, coords: torch.Tensor) -> torch.Tensor:
        return -measure_distances(self._system, coords, self._pairs).amin(-1)

    def measure_by_molecule(self, coords: torch.Tensor) -> torch.Tensor:
        near = -measure_distances(self._system, coords, self._pairs)
        largest = near.new_full((len(coords), self._system.n_molecules), -math.inf)
        for column in (0, 1):
            largest = largest.scatter_reduce(1, self._molecules[:, column].expand_as(near), near, "amax")
        return largest

    def soften(self, deviations: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid((deviations - 1.05 * self.tolerance) / (-0.01 * self.tolerance))


class InstabilityFraction(Observable):
    """The softened deviation; its mean is the share of time that is spent failed.

    The loss is the logarithm of that share: its square loses its slope while failures are rare and still too many.
    """

    def __init__(self, deviation: Deviation):
        """Takes what deviates."""
        self.name = "instability"
        self.deviation = deviation
        self.labels = (deviation.name,)

    def compute(self, coords: torch.Tensor) -> torch.Tensor:
        return self.deviation.soften(self.deviation.measure(coords))[:, None]

    def compute_by_molecule(self, coords: torch.Tensor) -> torch.Tensor:
        return self.deviation.soften(self.deviation.measure_by_molecule(coords))[..., None]

    def compute_loss(self, mean: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """log((share + ε)/ε), 0 where nothing fails; the target is none."""
        return torch.log(mean / SMALLEST_SHARE + 1.0).sum()
