"""Figures: they can be drawn without a display, hold what they are given, and stay small where points are many."""

import subprocess
import sys
import xml.etree.ElementTree

import matplotlib
import numpy
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from common.reporting.plots import (
    COLOURS,
    DENSITY_POINTS,
    Band,
    LearningCurve,
    Move,
    find_limits,
    plot_bars,
    plot_learning_curves,
    plot_lines,
    plot_moves,
    plot_parity,
    plot_profile,
    render_png,
    render_svg,
)

MAX_BYTES = 250_000
"""Of a density plot: its points are pixels, so that it does not grow with their number."""


def plot_points(n_points: int):
    random = numpy.random.default_rng(0)
    reference = random.normal(0.0, 10.0, n_points)
    predicted = reference + random.normal(0.0, 1.0, n_points)
    return plot_parity(reference, predicted, (-15.0, 15.0), "fitted", "energy", "kcal/mol", "RMSE 1.00")


@pytest.mark.parametrize("n_points", [5, DENSITY_POINTS, 100 * DENSITY_POINTS])
def test_parity_plots_are_well_formed_small_and_the_same_every_time(n_points):
    contents = render_svg(plot_points(n_points))
    root = xml.etree.ElementTree.fromstring(contents)
    is_density = root.find(".//{http://www.w3.org/2000/svg}image") is not None
    assert is_density == (n_points > DENSITY_POINTS)
    assert len(contents) < MAX_BYTES
    assert contents == render_svg(plot_points(n_points))


def test_points_outside_are_counted():
    figure = plot_parity(
        numpy.array([0.0, 5.0, 1.0]), numpy.array([0.0, 5.0, 9.0]), (-2.0, 6.0), "", "energy", "kcal/mol", ""
    )
    assert "1 points outside" in [text.get_text() for text in figure.axes[0].texts]


def test_limits_hold_all_values_or_the_middle_of_them():
    values = numpy.append(numpy.linspace(-1.0, 1.0, 1001), 1000.0)
    low, high = find_limits([values])
    assert low < -1.0
    assert high > 1000.0
    low, high = find_limits([values], coverage=0.99)
    assert -1.1 < low < -0.9
    assert 0.9 < high < 1.1


def test_lines_and_bars_show_the_values():
    colours = {"initial": COLOURS[0], "fitted": COLOURS[1]}
    x = numpy.array([1.0, 2.0])
    figure = plot_lines({name: Band(x, x * 3.0) for name in colours}, "x", "y", "", colours)
    assert [line.get_color() for line in figure.axes[0].lines] == list(colours.values())
    assert figure.axes[0].lines[1].get_ydata().tolist() == [3.0, 6.0]
    figure = plot_bars(
        ["a", "b"],
        {"initial": [4.0, 5.0], "fitted": [1.0, 2.0]},
        {"initial": [None, None], "fitted": [[0.5, 1.5], None]},
        "y",
        "",
        colours,
    )
    assert [bar.get_height() for bar in figure.axes[0].patches] == [4.0, 5.0, 1.0, 2.0]
    assert [list(line.get_ydata()) for line in figure.axes[0].lines] == [[0.5, 1.5]]


def test_moves_show_error_bars_where_errors_are_known():
    moves = [Move("b-cc", 500.0, 400.0, 10.0), Move("a-very-long-name-of-a-parameter", 300.0, 310.0, None)]
    axes = plot_moves(moves, "k", "Bonds k").axes[0]
    [bars] = [container[2] for container in axes.containers]
    assert bars[0].get_segments()[0].tolist() == [[390.0, 1.0], [410.0, 1.0]]
    assert len(bars[0].get_segments()) == 1
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["b-cc", "a-very-long-name-of-a-par…"]


def test_learning_curves_show_the_floor():
    curves = [LearningCurve("train", numpy.arange(5), numpy.array([5.0, 4.0, 3.0, 2.5, 2.2]), COLOURS[1], "-")]
    axes = plot_learning_curves(curves, 2.0, "loss", "").axes[0]
    assert axes.get_yscale() == "log"
    assert [list(line.get_ydata()) for line in axes.lines][1] == [2.0, 2.0]
    assert len(plot_learning_curves(curves, None, "loss", "").axes[0].lines) == 1


@pytest.mark.parametrize("axis", ["dihedral [degree]", "conformer, by quantum energy"])
def test_profiles_are_lines_along_a_path_and_points_elsewhere(axis):
    figure = plot_profile([1.0, 2.0, 3.0], [0.0, 1.0, 2.0], {"fitted": [0.1, 1.1, 1.9]}, axis, {"fitted": COLOURS[1]})
    assert (figure.axes[0].lines[1].get_linestyle() != "None") == axis.startswith("dihedral")
    assert render_png(figure).startswith(b"\x89PNG")


NAMES = ["[$(C=O)$(C-N):1]~[*:2]", "_private", "x^2 \\frac{a}{b}", "50 $", "a<b & c"]
"""What is no formula, no markup and not to be left out."""


def draw_names() -> dict[str, Figure]:
    """Every kind of figure with names that are hard to draw."""
    x, colours = numpy.array([1.0, 2.0, 3.0]), dict(zip(NAMES, COLOURS, strict=False))
    curves = [LearningCurve(name, x, x, colours[name], "-") for name in NAMES]
    return {
        "parity": plot_parity(x, x, (0.0, 4.0), NAMES[0], NAMES[1], NAMES[2], NAMES[3]),
        "lines": plot_lines({name: Band(x, x) for name in NAMES}, NAMES[0], NAMES[1], NAMES[2], colours),
        "few lines": plot_lines({name: Band(x, x) for name in NAMES[:2]}, "x", "y", "", colours),
        "curves": plot_learning_curves(curves, 1.0, NAMES[0], NAMES[1]),
        "bars": plot_bars(NAMES, {n: [1.0] * 5 for n in NAMES}, {n: [None] * 5 for n in NAMES}, "y", "", colours),
        "moves": plot_moves([Move(name, 1.0, 2.0, 0.1) for name in NAMES], NAMES[0], NAMES[1]),
        "profile": plot_profile([1, 2, 3], [0, 1, 2], {n: [0, 1, 2] for n in NAMES}, "dihedral", colours),
    }


def list_texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


def test_names_are_text_and_no_formula():
    for kind, figure in draw_names().items():
        assert b"<svg" in render_svg(figure), kind
        assert render_png(figure).startswith(b"\x89PNG"), kind
        assert not any(text.get_parse_math() for text in figure.findobj(Text)), kind


def test_no_name_is_left_out_of_a_legend():
    figures = draw_names()
    for kind in ("lines", "curves", "bars", "profile"):
        [legend] = figures[kind].legends
        assert [text.get_text() for text in legend.get_texts()][-len(NAMES) :] == NAMES or kind == "curves"
        assert set(NAMES) <= {text.get_text() for text in legend.get_texts()}
    [few] = [axes.get_legend() for axes in figures["few lines"].axes]
    assert [text.get_text() for text in few.get_texts()] == NAMES[:2]
    assert set(NAMES[:2]) <= set(list_texts(figures["moves"]))


def test_no_tick_is_a_formula():
    """Logarithmic axes and the scale of a density: matplotlib's own labels of these are."""
    x = numpy.arange(1.0, 6.0)
    curves = [LearningCurve("train", x, 10.0**x, COLOURS[1], "-")]
    for figure in (plot_points(100 * DENSITY_POINTS), plot_learning_curves(curves, None, "loss", "")):
        render_svg(figure)
        assert not any("$" in text or "mathdefault" in text for text in list_texts(figure))
        assert len(list_texts(figure)) > 5


def test_style_is_not_left_behind_and_no_display_is_needed():
    before = matplotlib.rcParams["font.size"], matplotlib.rcParams["legend.frameon"]
    plot_points(5)
    assert (matplotlib.rcParams["font.size"], matplotlib.rcParams["legend.frameon"]) == before
    code = "import sys, common.reporting.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": "."}, check=True)
