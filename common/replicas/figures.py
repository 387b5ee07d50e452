"""Figures of an evaluation: survival, distributions, correlations, and what a failure looks like."""

import collections.abc

import matplotlib
import numpy
from matplotlib.figure import Figure

from common.observables.system import System
from common.replicas.survival import compute_survival_curve
from common.reporting.plots import COLOURS, STYLE

ELEMENT_COLOURS = {1: "#bbbbbb", 6: "#404040", 7: "#0072b2", 8: "#d55e00"}
OTHER_ELEMENT = "#009e73"

Curves = collections.abc.Mapping[str, tuple[numpy.ndarray, numpy.ndarray]]
"""By name, places and values."""


def _make(width: float, height: float) -> tuple[Figure, matplotlib.axes.Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def plot_survival(
    lives: collections.abc.Mapping[str, tuple[numpy.ndarray, numpy.ndarray]],
    horizon: float,
    colours: collections.abc.Mapping[str, str],
) -> Figure:
    """The share of replicas that live on, by candidate: times [ps] and whether each replica failed."""
    with matplotlib.rc_context(STYLE):
        figure, axes = _make(6.4, 3.9)
        for name, (times, has_failed) in lives.items():
            falls, share = compute_survival_curve(times, has_failed)
            x, y = numpy.append(falls, horizon), numpy.append(share, share[-1])
            label = f"{name} ({has_failed.sum()} of {len(times)} failed)"
            axes.step(x, y, where="post", color=colours[name], linewidth=2.0, label=label)
        axes.set(xlabel="time [ps]", ylabel="share of replicas alive", xlim=(0.0, horizon), ylim=(0.0, 1.03))
        axes.legend(loc="lower left")
        return figure


def plot_curves(
    curves: Curves, reference: tuple[numpy.ndarray, numpy.ndarray], x_label: str, y_label: str, colours
) -> Figure:
    """One line for each candidate over that of the reference."""
    with matplotlib.rc_context(STYLE):
        figure, axes = _make(6.4, 3.4)
        axes.fill_between(*reference, color="#dddddd", label="reference", linewidth=0.0)
        for name, (x, y) in curves.items():
            axes.plot(x, y, color=colours[name], linewidth=1.2, label=name)
        inside = numpy.nonzero(reference[1] > 1e-3 * reference[1].max())[0]
        if len(inside):
            step = reference[0][1] - reference[0][0]
            axes.set_xlim(reference[0][inside[0]] - 5 * step, reference[0][inside[-1]] + 5 * step)
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.legend()
        return figure


def plot_structure(system: System, coords: numpy.ndarray, deviations: numpy.ndarray, tolerance: float) -> Figure:
    """Atoms and bonds seen from where they spread most; bonds beyond the tolerance are red.

    Args:
        system: the atoms and bonds.
        coords: [Angstrom] ``shape=(n_atoms, 3)``.
        deviations: [Angstrom] of each bond from its mean, ``shape=(n_bonds,)``.
        tolerance: [Angstrom].
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = _make(3.6, 3.2)
        centred = coords - coords.mean(0)
        flat = centred @ numpy.linalg.svd(centred, full_matrices=False)[2][:2].T
        for (i, j), deviation in zip(system.bonds.tolist(), deviations, strict=True):
            is_broken = not abs(deviation) <= tolerance
            axes.plot(*flat[[i, j]].T, color="#cc0000" if is_broken else "#555555", linewidth=4.0, zorder=1)
        for number, place in zip(system.atomic_nums.tolist(), flat, strict=True):
            size = 90.0 if number == 1 else 240.0
            colour = ELEMENT_COLOURS.get(number, OTHER_ELEMENT)
            axes.scatter(place[0], place[1], s=size, color=colour, edgecolor="#222222", zorder=2)
        axes.set_aspect("equal")
        axes.set_axis_off()
        return figure


def choose_colours(names: collections.abc.Sequence[str]) -> dict[str, str]:
    """The colour of each candidate, the same in all figures."""
    return {name: COLOURS[k % len(COLOURS)] for k, name in enumerate(names)}
