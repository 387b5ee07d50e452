"""Figures are drawn of what they are given."""

import numpy
import pytest

from common.replicas.figures import choose_colours, plot_curves, plot_structure, plot_survival
from tests.neural.systems import COORDS
from tests.observables.systems import make_ethanol


def test_survival_falls_where_replicas_fail():
    lives = {"a": (numpy.array([1.0, 3.0, 5.0]), numpy.array([True, True, False]))}
    (axes,) = plot_survival(lives, 5.0, choose_colours(["a"])).axes
    (line,) = axes.lines
    numpy.testing.assert_allclose(line.get_xdata(), [0.0, 1.0, 3.0, 5.0])
    numpy.testing.assert_allclose(line.get_ydata(), [1.0, 2 / 3, 1 / 3, 1 / 3])
    assert axes.get_legend().get_texts()[0].get_text() == "a (2 of 3 failed)"


def test_curves_are_drawn_over_the_reference_where_that_is():
    x = numpy.linspace(0.0, 10.0, 101)
    target = numpy.exp(-((x - 4.0) ** 2) * 8.0)
    (axes,) = plot_curves({"a": (x, 0.9 * target)}, (x, target), "x", "y", choose_colours(["a"])).axes
    low, high = axes.get_xlim()
    assert 2.0 < low < 4.0 < high < 6.0


@pytest.mark.parametrize(("deviation", "n_red"), [(0.1, 0), (0.3, 1), (numpy.nan, 1)])
def test_broken_bonds_are_red(deviation, n_red):
    system = make_ethanol()
    deviations = numpy.zeros(8)
    deviations[2] = deviation
    (axes,) = plot_structure(system, COORDS.numpy(), deviations, 0.25).axes
    assert len(axes.lines) == 8
    assert sum(line.get_color() == "#cc0000" for line in axes.lines) == n_red


def test_candidates_have_colours_of_their_own():
    assert len(set(choose_colours(["a", "b", "c"]).values())) == 3
