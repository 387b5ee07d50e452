"""Functions of a distance that networks are fed with, all of them smooth, and zero beyond a cutoff."""

import math

import torch

LARGEST_SQUARE = 60.0
"""Gaussians below exp(-60) are held there: an exponential that underflows takes several times as long."""


class GaussianBasis(torch.nn.Module):
    """exp(-(d - μ)² / 2w²) at ``n_gaussians`` centres μ from 0 to the cutoff, w being the distance between two.

    K. T. Schütt et al., J. Chem. Phys. 148, 241722 (2018).
    """

    centres: torch.Tensor

    def __init__(self, cutoff: float, n_gaussians: int):
        """Takes the cutoff [Angstrom] and the number of centres, at least 2.

        Raises:
            ValueError: there are fewer than two centres, or the cutoff is not positive.
        """
        super().__init__()
        if n_gaussians < 2 or not cutoff > 0.0:
            raise ValueError(
                f"{n_gaussians} Gaussians up to {cutoff} Å: at least two are needed, and a positive cutoff"
            )
        centres = torch.linspace(0.0, cutoff, n_gaussians, dtype=torch.float64)
        self.scale = math.sqrt(0.5) * (n_gaussians - 1) / cutoff
        self.register_buffer("centres", (self.scale * centres).to(torch.get_default_dtype()), persistent=False)

    def forward(self, distances: torch.Tensor) -> torch.Tensor:
        """``(...)`` [Angstrom] -> ``(..., n_gaussians)``."""
        shifted = self.scale * distances[..., None] - self.centres
        return torch.exp(-(shifted * shifted).clamp(max=LARGEST_SQUARE))


class SincBasis(torch.nn.Module):
    """sin(nπd/cutoff)/d for n = 1 to ``n_functions``: the spherical waves of order 0 that vanish at the cutoff.

    J. Gasteiger et al., ICLR 2020 (arXiv 2003.03123), eq. 7, without its constant factor.
    """

    frequencies: torch.Tensor

    def __init__(self, cutoff: float, n_functions: int):
        """Takes the cutoff [Angstrom] and the number of functions."""
        super().__init__()
        frequencies = torch.arange(1, n_functions + 1, dtype=torch.float64) * math.pi / cutoff
        self.register_buffer("frequencies", frequencies.to(torch.get_default_dtype()), persistent=False)

    def forward(self, distances: torch.Tensor) -> torch.Tensor:
        """``(...)`` [Angstrom], none of them 0 -> ``(..., n_functions)`` [1/Angstrom]."""
        return torch.sin(distances[..., None] * self.frequencies) / distances[..., None]


def compute_cosine_cutoff(distances: torch.Tensor, cutoff: float) -> torch.Tensor:
    """(cos(πd/cutoff) + 1)/2, and 0 from the cutoff on; same shape. J. Behler, J. Chem. Phys. 134, 074106 (2011)."""
    inside = 0.5 * (torch.cos(distances * (math.pi / cutoff)) + 1.0)
    return torch.where(distances < cutoff, inside, torch.zeros_like(inside))
