"""The figures of the report on generated molecules."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy
from matplotlib.figure import Figure

from common.generation.assessment import Rate
from common.reporting.plots import COLOURS, SIZE, STYLE

NAMES = ("training data", "generated")


def plot_counts(counts: Mapping[str, numpy.ndarray], x_label: str, title: str) -> Figure:
    """Shares of whole numbers, e.g. of atoms, side by side.

    Args:
        counts: values by name of the set, ``shape=(n,)``.
        x_label, title: what the figure says.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.add_subplot()
        low = min(int(own.min()) for own in counts.values())
        high = max(int(own.max()) for own in counts.values())
        width = 0.8 / len(counts)
        for i, (name, own) in enumerate(counts.items()):
            shares = numpy.bincount(own - low, minlength=high - low + 1) / len(own)
            places = numpy.arange(low, high + 1) + (i - (len(counts) - 1) / 2.0) * width
            axes.bar(places, shares, width=0.95 * width, color=COLOURS[i], label=name)
        axes.set(xlabel=x_label, ylabel="share of molecules", title=title)
        axes.legend()
        return figure


def plot_groups(groups: Mapping[str, Mapping[str, Rate]], title: str) -> Figure:
    """Shares of molecules that have a functional group, with intervals.

    Args:
        groups: by name of the set, rates by group.
        title: what the figure says.
    """
    with matplotlib.rc_context(STYLE):
        names = list(next(iter(groups.values())))
        figure = Figure(figsize=(SIZE[0] + 0.6, 1.2 + 0.34 * len(names)), layout="constrained")
        axes = figure.add_subplot()
        height = 0.8 / len(groups)
        for i, (name, rates) in enumerate(groups.items()):
            places = numpy.arange(len(names))[::-1] - (i - (len(groups) - 1) / 2.0) * height
            values = [rates[group].value or 0.0 for group in names]
            axes.barh(places, values, height=0.92 * height, color=COLOURS[i], label=name)
            for place, group in zip(places, names, strict=True):
                interval = rates[group].interval
                if interval is not None:
                    axes.plot(interval, [place] * 2, color="#000000", linewidth=1.0)
        axes.set_yticks(numpy.arange(len(names))[::-1], names)
        axes.set(xlabel="share of molecules", title=title)
        axes.grid(visible=False, axis="y")
        axes.legend()
        return figure


def plot_targets(
    targets: Sequence[float],
    values: Sequence[numpy.ndarray],
    data: numpy.ndarray | None,
    name: str,
    unit: str,
    title: str,
) -> Figure:
    """What was aimed at against what came of it: quartiles, median and points.

    Args:
        targets: ascending.
        values: of the molecules generated for each, ``shape=(n,)``.
        data: of the training molecules, whose distribution is shown beside; None where it is not known.
        name, unit, title: what the figure says.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(SIZE[0] + 1.0, SIZE[1]), layout="constrained")
        axes = figure.add_subplot()
        random = numpy.random.default_rng(0)  # points beside one another
        step = min(numpy.diff(targets)) if len(targets) > 1 else 1.0
        for target, own in zip(targets, values, strict=True):
            if not len(own):
                continue
            axes.plot(
                target + 0.15 * step * random.uniform(-1.0, 1.0, len(own)), own, "o", color=COLOURS[1], markersize=2.5,
                alpha=0.35, markeredgewidth=0.0,
            )  # fmt: skip
            low, median, high = numpy.quantile(own, [0.25, 0.5, 0.75])
            axes.plot([target] * 2, [low, high], color=COLOURS[2], linewidth=3.0, solid_capstyle="butt")
            axes.plot(target, median, "D", color=COLOURS[2], markersize=5.0)
        ends = [min(targets) - 0.5 * step, max(targets) + 0.5 * step]
        axes.plot(ends, ends, color="#000000", linewidth=0.8, linestyle=(0, (4, 3)))
        if data is not None:
            low, median, high = numpy.quantile(data, [0.25, 0.5, 0.75])
            axes.axhspan(low, high, color=COLOURS[0], alpha=0.15, linewidth=0.0)
            axes.axhline(median, color=COLOURS[0], linewidth=1.0)
        label = f"{name} [{unit}]" if unit else name
        axes.set(xlabel=f"target {label}", ylabel=f"{label} of generated molecules", title=title, xlim=ends)
        return figure
