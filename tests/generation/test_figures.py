"""Figures on generated molecules: they show the numbers they are given."""

import numpy
import pytest

from common.generation.assessment import Rate
from common.generation.figures import NAMES, plot_counts, plot_groups, plot_targets
from common.reporting.plots import render_svg


def get_lines(figure, marker):
    (axes,) = figure.axes
    return [line for line in axes.lines if line.get_marker() == marker]


def test_counts_are_shares_of_each_set():
    counts = {NAMES[0]: numpy.array([3, 3, 5, 5]), NAMES[1]: numpy.array([4])}
    (axes,) = plot_counts(counts, "atoms", "Size").axes
    heights = [[bar.get_height() for bar in container] for container in axes.containers]
    assert heights == [[0.5, 0.0, 0.5], [0.0, 1.0, 0.0]]
    places = [bar.get_x() + bar.get_width() / 2 for bar in axes.containers[1]]
    assert numpy.round(places).tolist() == [3, 4, 5]


def test_groups_stand_in_order_with_their_intervals():
    rates = {"alcohol": Rate(8, 10), "ether": Rate(1, 10)}
    figure = plot_groups({"training data": rates, "generated": {"alcohol": Rate(0, 5), "ether": Rate(0, 0)}}, "Groups")
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["alcohol", "ether"]
    assert axes.get_yticks()[0] > axes.get_yticks()[1]  # the first on top
    assert [bar.get_width() for bar in axes.containers[0]] == [0.8, 0.1]
    intervals = [tuple(line.get_xdata()) for line in axes.lines]
    assert intervals == [rates["alcohol"].interval, rates["ether"].interval, Rate(0, 5).interval]  # none of nothing


def test_targets_have_their_median_and_quartiles():
    values = [numpy.array([2.0, 3.0, 4.0, 5.0, 9.0]), numpy.zeros(0), numpy.array([8.0])]
    figure = plot_targets([3.0, 5.0, 8.0], values, numpy.array([1.0, 2.0, 3.0]), "gap", "eV", "Aimed at")
    (axes,) = figure.axes
    medians = [(line.get_xdata()[0], line.get_ydata()[0]) for line in get_lines(figure, "D")]
    assert medians == [(3.0, 4.0), (8.0, 8.0)]  # nothing came of the second
    assert axes.get_xlabel() == "target gap [eV]"
    quartiles = [line.get_ydata() for line in axes.lines if line.get_linewidth() == 3.0]
    assert list(quartiles[0]) == [3.0, 5.0]
    points = get_lines(figure, "o")
    assert numpy.sort(points[0].get_ydata()).tolist() == values[0].tolist()
    assert numpy.abs(points[0].get_xdata() - 3.0).max() <= 0.15 * 2.0


@pytest.mark.parametrize("data", [None, numpy.array([1.0, 2.0])])
def test_figures_are_the_same_every_time(data):
    drawn = [render_svg(plot_targets([5.0], [numpy.array([4.0, 5.0])], data, "qed", "", "One")) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert b"[" not in drawn[0].split(b"qed of generated")[0].split(b"target qed")[-1]
