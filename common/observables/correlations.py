"""Correlations in time: velocities, displacements, diffusion. Frames of one run, in order."""

import torch

ANGSTROM2_PER_FS = 1e4
"""[1e-9 m²/s per Angstrom²/fs]."""


def compute_velocity_autocorrelation(velocities: torch.Tensor, window: int) -> torch.Tensor:
    """c(t) = <v(0)·v(t)> / <v·v>, over all atoms and all starts.

    Args:
        velocities: ``shape=(n_frames, n_atoms, 3)``.
        window: number of times; those beyond the trajectory are NaN.

    Returns:
        ``shape=(window,)``, 1 at first.
    """
    flat = velocities.reshape(len(velocities), -1)
    correlation = flat.new_full((window,), torch.nan)
    for lag in range(min(window, len(flat))):
        correlation[lag] = (flat[: len(flat) - lag] * flat[lag:]).sum(1).mean()
    return correlation / correlation[0]


def compute_mean_squared_displacement(coords: torch.Tensor, masses: torch.Tensor, window: int) -> torch.Tensor:
    """<|x(t) - x(0)|²> [Angstrom²] over atoms and all starts, in the frame of the centre of mass.

    Args:
        coords: [Angstrom] not folded into a box, ``shape=(n_frames, n_atoms, 3)``.
        masses: ``shape=(n_atoms,)``.
        window: number of times; those beyond the trajectory are NaN.

    Returns:
        ``shape=(window,)``, 0 at first.
    """
    weights = (masses / masses.sum()).to(coords)[:, None]
    coords = coords - (weights * coords).sum(1, keepdim=True)
    displacement = coords.new_full((window,), torch.nan)
    for lag in range(min(window, len(coords))):
        displacement[lag] = (coords[lag:] - coords[: len(coords) - lag]).square().sum(-1).mean()
    return displacement


def compute_diffusivity(displacement: torch.Tensor, interval: float) -> float:
    """D [1e-9 m²/s] = slope/6 of a straight line through the second half of the known displacements.

    Args:
        displacement: [Angstrom²] ``shape=(n,)``.
        interval: [fs] between its times.
    """
    known = displacement[torch.isfinite(displacement)]
    start = len(known) // 2
    if len(known) - start < 2:
        return float("nan")
    times = torch.arange(start, len(known), dtype=known.dtype) * interval
    centred = times - times.mean()
    slope = (centred * known[start:]).sum() / centred.square().sum()
    return float(slope) / 6.0 * ANGSTROM2_PER_FS
