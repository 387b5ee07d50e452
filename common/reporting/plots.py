"""Figures of errors, curves and profiles, drawn with matplotlib; no display is needed.

Colours are those of Okabe and Ito, which people with any colour vision tell apart and which differ in grey, too
(https://jfly.uni-koeln.de/color/). The candidates keep their colours from figure to figure.
"""

import collections.abc
import functools
import io
import math
import typing

import matplotlib
import numpy
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.container import Container
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from common.reporting.numbers import ENERGY_UNIT

COLOURS = ("#767676", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKERS = ("s", "o", "^", "D", "v", "P", "X", "*")
DENSITY_POINTS = 1_500
"""More points than this are drawn as densities."""

SIZE = (4.4, 3.9)
"""[inch] of a figure that shares a line with another."""

LEGEND_LINE = 0.2
"""[inch] of height for a line of a legend above the frame."""

MAX_LEGEND_LINES = 4
"""More of them would hide what is in the frame."""

STYLE: dict[typing.Any, typing.Any] = {
    "font.size": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "svg.hashsalt": "figure",
    "text.parse_math": False,  # names are text: a SMIRKS with two $ is no formula
}
"""Set while a figure is made, not for the whole process."""


def render_svg(figure: Figure) -> bytes:
    """The figure as an SVG file, the same for the same data; densities inside are pixels."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="svg", dpi=200, metadata={"Date": None})
    return buffer.getvalue()


def render_png(figure: Figure, dpi: int = 110) -> bytes:
    """The figure as a PNG file."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def _in_style(plot: collections.abc.Callable[..., Figure]) -> collections.abc.Callable[..., Figure]:
    @functools.wraps(plot)
    def wrapped(*args, **kwargs):
        with matplotlib.rc_context(STYLE):
            return plot(*args, **kwargs)

    return wrapped


Named = list[tuple[str, Artist | Container]]
"""What a legend explains, with its name."""


def _make_axes(width: float = SIZE[0], height: float = SIZE[1]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _add_legend(figure: Figure, axes: Axes, named: Named) -> None:
    """Inside the frame where there is room for it, else above."""
    if len(named) <= MAX_LEGEND_LINES:
        _explain(axes, named)
    else:
        _explain(figure, named, loc="outside upper left")


def _explain(target: Figure | Axes, named: Named, **options: typing.Any) -> None:
    """A legend of just these: by itself, matplotlib leaves out names that begin with an underscore."""
    artists: list[typing.Any] = [artist for _, artist in named]  # matplotlib takes containers and does not say so
    target.legend(artists, [name for name, _ in named], **options)


def find_limits(arrays: collections.abc.Sequence[numpy.ndarray], coverage: float = 1.0) -> tuple[float, float]:
    """From the least to the largest value of all arrays, or of the middle ``coverage`` of each, with a margin."""
    tail = (1.0 - coverage) / 2.0
    low = min(float(numpy.quantile(array, tail)) for array in arrays)
    high = max(float(numpy.quantile(array, 1.0 - tail)) for array in arrays)
    margin = 0.04 * (high - low) or 1.0
    return low - margin, high + margin


@_in_style
def plot_parity(
    reference: numpy.ndarray,
    predicted: numpy.ndarray,
    limits: tuple[float, float],
    title: str,
    quantity: str,
    unit: str,
    note: str,
) -> Figure:
    """Predicted against reference values, ``shape=(n,)`` each, on equal axes; a density where there are many.

    Args:
        reference, predicted: what is compared.
        limits: of both axes.
        title, quantity, unit: what the figure says.
        note: a line in the corner, e.g. the error.
    """
    figure, axes = _make_axes()
    axes.plot(limits, limits, color="#000000", linewidth=0.8, zorder=3)
    _draw_points(figure, axes, reference, predicted, (limits, limits))
    axes.set(xlim=limits, ylim=limits, title=title)
    axes.set_xlabel(f"quantum {quantity} [{unit}]")
    axes.set_ylabel(f"force field {quantity} [{unit}]")
    axes.set_aspect("equal")
    axes.text(0.03, 0.97, note, transform=axes.transAxes, va="top", fontsize=9.0)
    both = numpy.stack((reference, predicted))
    n_outside = int(((both < limits[0]) | (both > limits[1])).any(axis=0).sum())
    if n_outside:
        axes.text(0.97, 0.03, f"{n_outside} points outside", transform=axes.transAxes, ha="right", fontsize=8.0)
    return figure


def _draw_points(
    figure: Figure,
    axes: Axes,
    x: numpy.ndarray,
    y: numpy.ndarray,
    limits: tuple[tuple[float, float], tuple[float, float]],
) -> None:
    if len(x) <= DENSITY_POINTS:
        axes.plot(x, y, "o", color=COLOURS[1], markersize=3.0, alpha=0.6, markeredgewidth=0.0)
        return
    counts, x_edges, y_edges = numpy.histogram2d(x, y, bins=100, range=limits)
    image = axes.pcolormesh(
        x_edges, y_edges, numpy.ma.masked_equal(counts.T, 0.0), norm=LogNorm(), cmap="viridis_r", rasterized=True
    )
    colorbar = figure.colorbar(
        image,
        ax=axes,
        label="points in a pixel",
        shrink=0.8,
        ticks=LogLocator(subs=(1.0, 2.0, 5.0)),
        format=FuncFormatter(_format_tick),
    )
    colorbar.ax.yaxis.set_minor_locator(NullLocator())


def _format_tick(value: float, _: int | None = None) -> str:
    """A plain number: matplotlib's own labels of logarithmic axes are formulae."""
    return f"{value:g}"


class Band(typing.NamedTuple):
    """A line with its uncertainty, ``shape=(n,)`` each; ``low`` and ``high`` may be None."""

    x: numpy.ndarray
    y: numpy.ndarray
    low: numpy.ndarray | None = None
    high: numpy.ndarray | None = None


@_in_style
def plot_lines(
    lines: collections.abc.Mapping[str, Band],
    x_label: str,
    y_label: str,
    title: str,
    colours: collections.abc.Mapping[str, str],
) -> Figure:
    """One line with markers for each name."""
    figure, axes = _make_axes(height=SIZE[1] + LEGEND_LINE * max(0, len(lines) - MAX_LEGEND_LINES))
    named: Named = []
    for marker, (name, line) in zip(MARKERS * len(lines), lines.items(), strict=False):
        [drawn] = axes.plot(line.x, line.y, marker=marker, markersize=4.0, linewidth=1.5, color=colours[name])
        named.append((name, drawn))
        if line.low is not None and line.high is not None:
            axes.fill_between(line.x, line.low, line.high, color=colours[name], alpha=0.2, linewidth=0.0)
    axes.set(xlabel=x_label, ylabel=y_label, title=title)
    axes.set_ylim(bottom=0.0)
    _add_legend(figure, axes, named)
    return figure


class LearningCurve(typing.NamedTuple):
    """A line with its name and style; ``epochs`` and ``values`` have ``shape=(n,)``."""

    name: str
    epochs: numpy.ndarray
    values: numpy.ndarray
    colour: str
    line_style: str


@_in_style
def plot_learning_curves(
    curves: collections.abc.Sequence[LearningCurve], floor: float | None, y_label: str, title: str
) -> Figure:
    """Epochs against a quantity on a logarithmic scale.

    Args:
        curves: the lines.
        floor: the least that the training curve can reach, a dashed line; None where it is not known.
        y_label, title: what the figure says.
    """
    figure, axes = _make_axes(5.2, 3.9 + LEGEND_LINE * max(0, len(curves) - MAX_LEGEND_LINES))
    named: Named = []
    for curve in curves:
        [line] = axes.plot(curve.epochs, curve.values, color=curve.colour, linestyle=curve.line_style)
        named.append((curve.name, line))
    if floor is not None:
        line = axes.axhline(floor, color="#000000", linewidth=1.0, linestyle=(0, (1, 1)))
        named.append(("exact optimum of train", line))
    axes.set(xlabel="epoch", ylabel=y_label, title=title, yscale="log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(MaxNLocator(6) if high < 10.0 * low else LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(_format_tick))
    _add_legend(figure, axes, named)
    return figure


@_in_style
def plot_bars(
    categories: collections.abc.Sequence[str],
    values: collections.abc.Mapping[str, collections.abc.Sequence[float]],
    intervals: collections.abc.Mapping[str, collections.abc.Sequence[collections.abc.Sequence[float] | None]],
    y_label: str,
    title: str,
    colours: collections.abc.Mapping[str, str],
) -> Figure:
    """A group of bars for each category, one bar for each name, with intervals where they are known."""
    width = 0.8 / len(values)
    n_lines = len(values) if max(map(len, values)) > 15 else math.ceil(len(values) / 3)
    figure, axes = _make_axes(SIZE[0], 3.5 + LEGEND_LINE * n_lines)
    places = numpy.arange(len(categories))
    named: Named = []
    for i, (name, heights) in enumerate(values.items()):
        x = places + (i - (len(values) - 1) / 2.0) * width
        named.append((name, axes.bar(x, heights, width=0.92 * width, color=colours[name])))
        for position, interval in zip(x, intervals[name], strict=True):
            if interval is not None:
                axes.plot([position] * 2, interval, color="#000000", linewidth=1.2)
    slant: dict[str, typing.Any] = {"rotation": 25, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(places, categories, **(slant if max(map(len, categories)) > 9 else {}))
    axes.set(ylabel=y_label, title=title)
    axes.grid(visible=False, axis="x")
    n_columns = math.ceil(len(values) / n_lines)
    _explain(figure, named, loc="outside upper left", ncols=n_columns)
    return figure


class Move(typing.NamedTuple):
    """A value before and after, with its standard error after, or None."""

    label: str
    before: float
    after: float
    error: float | None


@_in_style
def plot_moves(moves: collections.abc.Sequence[Move], x_label: str, title: str) -> Figure:
    """From where to where values went, one line each, the first at the top."""
    figure, axes = _make_axes(SIZE[0] + 0.4, 1.3 + 0.26 * len(moves))
    y = numpy.arange(len(moves))[::-1]
    before, after = (numpy.array([getattr(move, name) for move in moves]) for name in ("before", "after"))
    axes.hlines(y, before, after, color="#999999", linewidth=1.2)
    [start] = axes.plot(before, y, MARKERS[0], color=COLOURS[0], markersize=5.0)
    errors = {i: move.error for i, move in enumerate(moves) if move.error is not None}
    if errors:
        known, spread = list(errors), list(errors.values())
        axes.errorbar(after[known], y[known], xerr=spread, fmt="none", ecolor=COLOURS[1], elinewidth=1.4, capsize=2.5)
    [end] = axes.plot(after, y, MARKERS[1], color=COLOURS[1], markersize=5.5)
    axes.set_yticks(y, [_shorten(move.label) for move in moves], fontsize=8.5)
    axes.set_ylim(-0.7, len(moves) - 0.3)
    axes.set_xlim(find_limits([before, after]))  # bars of errors that are larger than all changes leave the frame
    axes.set(xlabel=x_label, title=title)
    _explain(figure, [("initial", start), ("fitted", end)], loc="outside lower center", ncols=2)
    return figure


def _shorten(label: str, length: int = 26) -> str:
    return label if len(label) <= length else label[: length - 1] + "…"


@_in_style
def plot_profile(
    x: collections.abc.Sequence[float],
    reference: collections.abc.Sequence[float],
    energies: collections.abc.Mapping[str, collections.abc.Sequence[float]],
    x_label: str,
    colours: collections.abc.Mapping[str, str],
    standard_errors: collections.abc.Mapping[str, collections.abc.Sequence[float]] | None = None,
) -> Figure:
    """Relative energies along an entry, quantum and force fields; lines where ``x`` is a path, else points.

    Two standard errors either way are drawn where they are known.
    """
    n_columns = 1 + len(energies) if len(energies) < 3 and max(map(len, energies)) < 15 else 2 - (len(energies) > 4)
    figure, axes = _make_axes(3.7, 2.1 + LEGEND_LINE * math.ceil((1 + len(energies)) / n_columns))
    is_path = x_label.startswith("dihedral")
    [line] = axes.plot(x, reference, "o-", color="#000000", markersize=3.0, linewidth=1.3, zorder=3)
    named: Named = [("quantum", line)]
    styles = zip(("--", "-", "-.", ":") * len(energies), MARKERS * len(energies), energies.items(), strict=False)
    for style, marker, (name, values) in styles:
        how = {"linestyle": style} if is_path else {"linestyle": "", "marker": marker, "markersize": 3.5, "alpha": 0.8}
        [line] = axes.plot(x, values, color=colours[name], linewidth=1.5, **how)
        if standard_errors and name in standard_errors:
            bars = 2.0 * numpy.asarray(standard_errors[name])
            axes.errorbar(x, values, bars, color=colours[name], linestyle="", linewidth=0.8, capsize=1.5, alpha=0.7)
        named.append((name, line))
    axes.set(xlabel=x_label, ylabel=f"energy [{ENERGY_UNIT}]")
    if is_path:
        axes.set_xticks([-180, -90, 0, 90, 180])
    spacing = {"handlelength": 1.5, "columnspacing": 1.2}
    _explain(figure, named, loc="outside upper center", ncols=n_columns, **spacing)
    return figure
