"""Distributions of distances and angles."""

import math

import torch

from common.observables.histograms import compute_soft_histogram
from common.observables.observable import Observable
from common.observables.system import System, list_pairs_between_molecules, measure_angles, measure_distances


class RadialDistribution(Observable):
    """Distances of all pairs of atoms of a molecule [per cent of all pairs in each bin].

    g_k = 100/P Σ_pairs N(r; c_k, width) dr with P the number of pairs, so that an exploded molecule loses area.
    """

    def __init__(self, system: System, step: float = 0.02, width: float = 0.01, largest: float = 10.0):
        """Takes bins of ``step``, up to ``largest`` [Angstrom], and Gaussians of ``width``."""
        self.name = "rdf"
        self._system = system
        self._pairs = torch.triu_indices(system.n_atoms, system.n_atoms, 1).T
        n_bins = round(largest / step)
        self.centres = 0.5 * step + step * torch.arange(n_bins, dtype=torch.float64)
        self.labels = tuple(f"{centre:.3f} Å" for centre in self.centres.tolist())
        self._bins = (0.5 * step, step, n_bins, width)

    def compute(self, coords: torch.Tensor) -> torch.Tensor:
        distances = measure_distances(self._system, coords, self._pairs)
        return (100.0 / max(1, len(self._pairs))) * compute_soft_histogram(distances, *self._bins)


class PairDistribution(Observable):
    """g(r) of two elements in a box of molecules, pairs within a molecule left out: 1 far away in a liquid."""

    def __init__(
        self,
        system: System,
        elements: tuple[int, int],
        step: float = 0.02,
        width: float = 0.01,
        largest: float | None = None,
    ):
        """Takes the atomic numbers, and bins as :class:`RadialDistribution`; ``largest`` is half the box by default.

        Raises:
            ValueError: there is no box, no such pair, or ``largest`` is more than half the box.
        """
        if system.cell is None:
            raise ValueError(
                "distributions of pairs of elements in a liquid need a periodic box; the reference has none"
            )
        half = 0.5 * float(system.cell.min())
        largest = half if largest is None else largest
        if largest > half + 1e-9:
            raise ValueError(
                f"distances up to {largest:g} Å in a box with an edge of {2 * half:g} Å: at most half of it"
            )
        pairs = list_pairs_between_molecules(system)
        found = torch.sort(system.atomic_nums[pairs], dim=1).values
        pairs = pairs[(found == torch.tensor(sorted(elements))).all(1)]
        if not len(pairs):
            raise ValueError(f"the system has no pair of elements {elements} in different molecules")
        self.name = f"rdf-{elements[0]}-{elements[1]}"
        self._system, self._pairs = system, pairs
        n_bins = math.floor(largest / step + 1e-9)
        self.centres = 0.5 * step + step * torch.arange(n_bins, dtype=torch.float64)
        self.labels = tuple(f"{centre:.3f} Å" for centre in self.centres.tolist())
        edges = step * torch.arange(n_bins + 1, dtype=torch.float64)
        shells = 4.0 / 3.0 * math.pi * (edges[1:] ** 3 - edges[:-1] ** 3)
        self._ideal = len(pairs) * shells / float(system.cell.prod())
        self._bins = (0.5 * step, step, n_bins, width)

    def compute(self, coords: torch.Tensor) -> torch.Tensor:
        distances = measure_distances(self._system, coords, self._pairs)
        return compute_soft_histogram(distances, *self._bins) / self._ideal.to(coords)


class AngleDistribution(Observable):
    """Angles of all bonded triples [share of all angles in each degree]."""

    def __init__(self, system: System, width: float = 1.0):
        """Takes Gaussians of ``width`` [degree] at 181 centres from 0 to 180 degrees."""
        self.name = "adf"
        self._system = system
        self._bins = (0.0, 1.0, 181, width)
        self.centres = torch.arange(181, dtype=torch.float64)
        self.labels = tuple(f"{degree}°" for degree in range(181))

    def compute(self, coords: torch.Tensor) -> torch.Tensor:
        n_angles = max(1, len(self._system.angles))
        return compute_soft_histogram(measure_angles(self._system, coords), *self._bins) / n_angles


class BondLengthDistribution(Observable):
    """Lengths of bonds, one distribution for each pair of elements [share of its bonds in each bin]."""

    def __init__(
        self, system: System, step: float = 0.02, width: float = 0.01, smallest: float = 0.6, largest: float = 2.6
    ):
        """Takes bins of ``step`` from ``smallest`` to ``largest`` [Angstrom], and Gaussians of ``width``."""
        self.name = "bond-lengths"
        self._system = system
        elements = torch.sort(system.atomic_nums[system.bonds], dim=1).values
        kinds = sorted({tuple(pair) for pair in elements.tolist()})
        self._groups = [system.bonds[(elements == torch.tensor(kind)).all(1)] for kind in kinds]
        n_bins = round((largest - smallest) / step)
        self._bins = (smallest + 0.5 * step, step, n_bins, width)
        self.labels = tuple(
            f"{kind[0]}-{kind[1]} {smallest + (k + 0.5) * step:.3f} Å" for kind in kinds for k in range(n_bins)
        )

    def compute(self, coords: torch.Tensor) -> torch.Tensor:
        parts = [
            compute_soft_histogram(measure_distances(self._system, coords, bonds), *self._bins) / len(bonds)
            for bonds in self._groups
        ]
        return torch.cat(parts, dim=1) if parts else coords.new_zeros((len(coords), 0))
