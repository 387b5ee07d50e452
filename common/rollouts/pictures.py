"""Figures of potentials in use: cuts, horizons, distributions, g(r), costs, and a film strip of a rollout."""

import collections.abc

import matplotlib
import numpy
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.ticker import FuncFormatter, NullFormatter

from common.body_trajectories.systems import UNITS, BodySystem
from common.dynamics.rigid_bodies import Motion
from common.geometry.quaternions import compute_rotation_matrices
from common.reporting.plots import COLOURS, STYLE
from common.rollouts.accuracy import Cut, Parity
from common.rollouts.candidates import EXACT
from common.rollouts.costs import Costs
from common.rollouts.ensembles import QUANTITIES, Histogram, Structure
from common.rollouts.horizons import Horizon

ELEMENTS = {"H": "#dddddd", "C": "#767676", "N": "#0072b2", "O": "#d55e00", "S": "#e69f00"}
"""Colours of sites by the letters that their labels begin with; others are grey."""

N_STRIP = 6
"""Moments of the film strip."""


def choose_colours(names: collections.abc.Sequence[str]) -> dict[str, str]:
    """The exact potential in black, the others in the colours of all reports."""
    others = [name for name in names if name != EXACT]
    return {EXACT: "#000000"} | {name: COLOURS[1 + i % (len(COLOURS) - 2)] for i, name in enumerate(others)}


def plot_cuts(cuts: collections.abc.Sequence[Cut], colours: dict[str, str], units: str) -> Figure:
    """Energies of two bodies along each cut."""
    length, energy, _ = UNITS[units]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.6 * len(cuts), 3.6), layout="constrained")
        axes = figure.subplots(1, len(cuts), sharey=True, squeeze=False)[0]
        lowest = min(0.0, *(float(cut.energies[next(iter(cut.energies))].min()) for cut in cuts))
        for cut, one in zip(cuts, axes, strict=True):
            for name, values in cut.energies.items():
                style = {"linewidth": 2.2, "alpha": 0.5} if name == EXACT else {"linewidth": 1.3}
                one.plot(cut.distances, values, color=colours[name], label=name, **style)
            one.set(title=cut.name, xlabel=f"distance of centres [{length}]")
            one.set_ylim(1.4 * lowest - 0.2, -lowest + 0.6)
        axes[0].set_ylabel(f"U [{energy}]")
        axes[-1].legend()
    return figure


def plot_parities(parities: dict[str, Parity], units: str) -> Figure:
    """A row for each candidate: energies, forces, torques against the exact ones."""
    length, energy, _ = UNITS[units]
    labels = (f"U [{energy}]", f"force [{energy}/{length}]", f"torque [{energy}]")
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.0, 2.9 * len(parities) + 0.3), layout="constrained")
        grid = figure.subplots(len(parities), 3, squeeze=False)
        for (name, parity), row in zip(parities.items(), grid, strict=True):
            for axes, values, label in zip(row, (parity.energies, parity.forces, parity.torques), labels, strict=True):
                limits = numpy.quantile(values[1], (0.0002, 0.9998))
                axes.hexbin(
                    values[1], values[0], gridsize=60, extent=(*limits, *limits), bins="log", cmap="viridis_r",
                    mincnt=1, linewidths=0.0, rasterized=True,
                )  # fmt: skip
                axes.plot(limits, limits, color="#000000", linewidth=0.8)
                axes.set(xlim=limits, ylim=limits, xlabel=f"{EXACT}: {label}", title=name if label[0] == "U" else "")
    return figure


def plot_horizons(horizons: dict[str, Horizon], colours: dict[str, str], window: float, units: str) -> Figure:
    """Median errors of separation and orientation against time, with the end of the training window."""
    length, _, time = UNITS[units]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.4, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        for name, one in horizons.items():
            left.plot(one.times, numpy.maximum(one.separation, 1e-5), color=colours[name], label=name)
            right.plot(one.times, numpy.maximum(numpy.degrees(one.angle), 1e-3), color=colours[name])
        for axes, label in (
            (left, f"error of the separation [{length}]"),
            (right, "error of the orientation [degree]"),
        ):
            axes.axvline(window, color="#767676", linestyle=":", linewidth=1.0)
            axes.set(xlabel=f"time [{time}]", ylabel=f"median {label}", yscale="log")
            _write_plainly(axes.yaxis)
        left.legend()
    return figure


def _write_plainly(axis: matplotlib.axis.Axis) -> None:
    """Numbers of a logarithmic axis as 0.01, 1, 100: text in figures is taken as it is, formulas too."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def plot_distributions(histograms: dict[str, dict[str, Histogram]], colours: dict[str, str], units: str) -> Figure:
    """A frame for each quantity, a line for each candidate with its 95 % interval."""
    length = UNITS[units][0]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.6 * len(QUANTITIES), 3.4), layout="constrained")
        grid = figure.subplots(1, len(QUANTITIES), squeeze=False)[0]
        for (quantity, label), axes in zip(QUANTITIES.items(), grid, strict=True):
            for name, by_quantity in histograms.items():
                one = by_quantity[quantity]
                middles = 0.5 * (one.edges[1:] + one.edges[:-1])
                axes.fill_between(
                    middles, one.density - 1.96 * one.error, one.density + 1.96 * one.error, color=colours[name],
                    alpha=0.25, linewidth=0.0,
                )  # fmt: skip
                axes.plot(middles, one.density, color=colours[name], label=name)
            axes.set(xlabel=f"{label} [{length}]" if quantity == "distance" else label)
        grid[0].set_ylabel("density")
        grid[0].legend()
    return figure


def plot_structures(structures: dict[str, Structure], colours: dict[str, str], units: str) -> Figure:
    """Radial distribution functions of the centres."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 3.4), layout="constrained")
        axes = figure.subplots()
        for name, one in structures.items():
            axes.plot(one.distances, one.values, color=colours[name], label=name)
        axes.axhline(1.0, color="#767676", linewidth=0.8)
        axes.set(xlabel=f"distance of centres [{UNITS[units][0]}]", ylabel="g(r)")
        axes.legend()
    return figure


def plot_costs(costs: Costs, colours: dict[str, str], n_sites: int) -> Figure:
    """Cost of a pair by the number of sites, and of the candidates."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 3.4), layout="constrained")
        axes = figure.subplots()
        axes.plot(list(costs.sites), list(costs.sites.values()), "o-", color="#000000", label="sum over sites")
        for name, cost in costs.candidates.items():
            axes.axhline(cost, color=colours.get(name, "#767676"), label=name)
        axes.axvline(n_sites, color="#767676", linestyle=":", linewidth=1.0)
        axes.set(xlabel="sites of a body", ylabel="force and torques of a pair [µs]", xscale="log", yscale="log")
        _write_plainly(axes.xaxis)
        _write_plainly(axes.yaxis)
        axes.legend()
    return figure


def plot_strip(rollouts: dict[str, Motion], system: BodySystem, interval: float) -> Figure:
    """Moments of one rollout, a row for each potential, seen along z with the nearest sites in front.

    Args:
        rollouts: frames of two bodies by name, ``shape=(n_frames, 2, 3 | 4)``.
        system: the bodies.
        interval: [time] between frames.
    """
    n_frames = min(len(motion.positions) for motion in rollouts.values())
    moments = numpy.linspace(0, n_frames - 1, N_STRIP).astype(int)
    body = system.kinds[0]
    reach = 1.15 * float(numpy.linalg.norm(body.sites, axis=1).max())
    extent = max(float(motion.positions[moments].abs().max()) for motion in rollouts.values()) + reach + 1.0
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(1.7 * N_STRIP, 1.8 * len(rollouts) + 0.2), layout="constrained")
        grid = figure.subplots(len(rollouts), N_STRIP, squeeze=False)
        for (name, motion), row in zip(rollouts.items(), grid, strict=True):
            for moment, axes in zip(moments, row, strict=True):
                _draw_bodies(axes, motion, int(moment), system)
                axes.set(xlim=(-extent, extent), ylim=(-extent, extent), xticks=[], yticks=[], aspect="equal")
                axes.grid(visible=False)
                axes.set_title(f"{interval * moment:g} {UNITS[system.units][2]}", fontsize=8.0)
            row[0].set_ylabel(name)
    return figure


def _draw_bodies(axes: matplotlib.axes.Axes, motion: Motion, moment: int, system: BodySystem) -> None:
    places, colours = [], []
    for k, body in enumerate(system.bodies[:2]):
        rotation = compute_rotation_matrices(motion.quaternions[moment, k]).numpy()
        places.append(motion.positions[moment, k].numpy() + body.sites @ rotation.T)
        colours += [ELEMENTS.get(label.rstrip("0123456789"), "#56b4e9") for label in body.labels]
    everything = numpy.concatenate(places)
    centre = torch.mean(motion.positions[moment, :2], 0).numpy()
    size = 0.35 * float(numpy.linalg.norm(system.kinds[0].sites, axis=1).max())
    for i in numpy.argsort(everything[:, 2]):
        x, y, z = everything[i] - centre
        axes.add_patch(Circle((x, y), size, facecolor=colours[i], edgecolor="#000000", linewidth=0.6, zorder=3.0 + z))
