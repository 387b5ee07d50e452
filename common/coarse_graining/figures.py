"""Figures of a training: every component of a rollout, predicted against true."""

import matplotlib
import numpy
import torch
from matplotlib.figure import Figure

from common.dynamics.rigid_bodies import Motion
from common.geometry.quaternions import align_quaternions
from common.reporting.plots import COLOURS, STYLE


def plot_components(true: Motion, predicted: Motion, interval: float, units: tuple[str, str, str]) -> dict[str, Figure]:
    """One figure for each of positions, velocities, angular momenta, quaternions, and the separation of two bodies.

    Args:
        true, predicted: frames of one trajectory, ``shape=(n_frames, n_bodies, 3 | 4)``.
        interval: [time] between them.
        units: of length, energy and time.
    """
    length, energy, time = units
    times = interval * numpy.arange(1, len(true.positions) + 1)
    predicted = predicted._replace(quaternions=align_quaternions(predicted.quaternions, true.quaternions))
    labels = {
        "positions": f"[{length}]",
        "velocities": f"[{length}/{time}]",
        "angular_momenta": f"[{energy} {time}]",
        "quaternions": "",
    }
    figures = {
        name: _plot_grid(getattr(true, name), getattr(predicted, name), times, f"{name.replace('_', ' ')} {unit}", time)
        for name, unit in labels.items()
    }
    if true.positions.shape[1] == 2:
        one, other = (
            (own.positions[:, 1] - own.positions[:, 0]).norm(dim=-1)[:, None, None] for own in (true, predicted)
        )
        figures["separation"] = _plot_grid(one, other, times, f"separation [{length}]", time)
    return figures


def _plot_grid(true: torch.Tensor, predicted: torch.Tensor, times: numpy.ndarray, label: str, unit: str) -> Figure:
    """A row for each body (two at most), a column for each component."""
    n_rows, n_columns = min(2, true.shape[1]), true.shape[2]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(2.6 * n_columns + 0.6, 1.8 * n_rows + 0.6), layout="constrained")
        axes = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True)
        for i in range(n_rows):
            for k in range(n_columns):
                axes[i, k].plot(times, true[:, i, k].cpu().numpy(), color="#000000", linewidth=1.2, label="true")
                axes[i, k].plot(
                    times, predicted[:, i, k].cpu().numpy(), "--", color=COLOURS[2], linewidth=1.2, label="predicted"
                )
        axes[0, 0].legend()
        figure.supxlabel(f"time [{unit}]")
        figure.supylabel(label)
    return figure
