"""The filters of a SchNet on a grid of distances: while parameters rest, a lookup replaces the filter networks.

Between two points of the grid a cubic with the values and slopes of both (Hermite's) is exact to the fourth order of
their distance: with the grid below its error is that of rounding to float32.
"""

import typing

import numpy
import torch

from common.neural.schnet import SchNetTrunk

N_POINTS = 1024
"""From 0 to the cutoff."""


class FilterTable(typing.NamedTuple):
    """Filters on a grid.

    Attributes:
        values: ``shape=(n_points + 1, 2, n_interactions * n_filters)`` float32: filters of all interactions, and their
            slopes times the step; the last point is the cutoff.
        step: [Angstrom] between two points.
        cutoff: [Angstrom] from which on filters are 0.
    """

    values: numpy.ndarray
    step: float
    cutoff: float


def build_filter_table(trunk: SchNetTrunk, n_points: int = N_POINTS) -> FilterTable:
    """Tabulates the filters of all interactions, evaluated in float64."""
    cutoff = trunk.settings.cutoff
    step = cutoff / n_points
    distances = torch.linspace(0.0, cutoff, n_points + 1, dtype=torch.float64)
    double = SchNetTrunk(trunk.settings, torch.Generator())
    double.load_state_dict(trunk.state_dict())
    double = double.double().cpu()
    double.basis.centres = double.basis.scale * torch.linspace(
        0.0, cutoff, trunk.settings.n_gaussians, dtype=torch.float64
    )

    with torch.enable_grad():
        leaf = distances.requires_grad_()
        filters = torch.cat(double.compute_filters(leaf), dim=-1)
        # the gradient is linear in what it is contracted with: its derivative with respect to that is the slope of each
        probe = torch.zeros_like(filters, requires_grad=True)
        (contracted,) = torch.autograd.grad(filters, leaf, probe, create_graph=True)
        (slopes,) = torch.autograd.grad(contracted, probe, torch.full_like(leaf, step))
    values = filters.detach()
    values[-1] = slopes[-1] = 0.0
    return FilterTable(torch.stack((values, slopes), dim=1).to(torch.float32).numpy(), step, cutoff)
