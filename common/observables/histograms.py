"""Soft histograms: every value counts as a Gaussian, so that frames can be compared one by one."""

import math

import torch

REACH = 5.0
"""Widths after which a Gaussian is cut off: its tail beyond holds less than one millionth."""


def compute_soft_histogram(
    values: torch.Tensor, first_centre: float, step: float, n_bins: int, width: float
) -> torch.Tensor:
    """The sum over values of a Gaussian density at the centres of the bins, times the step.

    What lies outside the bins counts where its Gaussian reaches in; the whole is not normalised by what was found.

    Args:
        values: ``shape=(n_frames, n_values)``.
        first_centre, step, n_bins: of the bins.
        width: standard deviation of the Gaussians.

    Returns:
        ``shape=(n_frames, n_bins)``; adds up to ``n_values`` for each frame where all values lie well inside.
    """
    margin = math.ceil(REACH * width / step) + 1
    place = (values - first_centre) / step
    nearest = torch.round(place).clamp(-margin - 1, n_bins + margin)
    histogram = values.new_zeros((len(values), n_bins + 4 * margin + 2))
    scale = step / (width * math.sqrt(2.0 * math.pi))
    for offset in range(-margin, margin + 1):
        distance = (nearest + offset - place) * (step / width)
        counted = torch.where(
            (place - nearest).abs() <= 0.5, scale * torch.exp(-0.5 * distance * distance), torch.zeros_like(distance)
        )
        histogram.scatter_add_(1, (nearest + (offset + 2 * margin + 1)).to(torch.int64), counted)
    return histogram[:, 2 * margin + 1 : 2 * margin + 1 + n_bins]
