"""Figures: every candidate has its line, and the strip shows the bodies where they are."""

import numpy
import pytest
import torch

from common.dynamics.rigid_bodies import Motion
from common.rollouts import pictures
from common.rollouts.accuracy import Cut, Parity
from common.rollouts.costs import Costs
from common.rollouts.ensembles import QUANTITIES, Histogram, Structure
from common.rollouts.horizons import Horizon
from tests.coarse_graining.samples import make_trajectories

NAMES = ("all sites", "one", "other")
COLOURS = pictures.choose_colours(NAMES)
X = numpy.linspace(1.0, 2.0, 5)


def list_labels(axes) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_colours_tell_candidates_apart():
    assert len(set(COLOURS.values())) == len(NAMES)
    assert COLOURS["all sites"] == "#000000"


def test_cuts():
    cuts = [Cut(name, X, dict.fromkeys(NAMES, X - 1.5)) for name in ("stacked", "T")]
    figure = pictures.plot_cuts(cuts, COLOURS, "molecular")
    assert [axes.get_title() for axes in figure.axes] == ["stacked", "T"]
    assert list_labels(figure.axes[-1]) == list(NAMES)
    low, high = figure.axes[0].get_ylim()
    assert low < -0.5 < 0.5 < high  # the well and the wall beside it are seen
    assert figure.axes[1].get_ylim() == (low, high)


def test_parities():
    values = numpy.stack([X, X])
    figure = pictures.plot_parities({name: Parity(values, values, values) for name in NAMES[1:]}, "molecular")
    assert len(figure.axes) == 6
    assert "kcal/mol" in figure.axes[0].get_xlabel()


def test_horizons_and_distributions():
    figure = pictures.plot_horizons({name: Horizon(X, X, X) for name in NAMES}, COLOURS, 1.5, "reduced")
    assert list_labels(figure.axes[0]) == list(NAMES)
    line = next(line for line in figure.axes[1].lines if len(line.get_ydata()) == 5)
    numpy.testing.assert_allclose(line.get_ydata(), numpy.degrees(X))
    histogram = Histogram(numpy.append(X, 2.5), X, 0.1 * X, X)
    own = {name: dict.fromkeys(QUANTITIES, histogram) for name in NAMES}
    figure = pictures.plot_distributions(own, COLOURS, "reduced")
    assert len(figure.axes) == len(QUANTITIES)
    assert list_labels(figure.axes[0]) == list(NAMES)


def test_structures_and_costs():
    figure = pictures.plot_structures({name: Structure(X, X) for name in NAMES}, COLOURS, "molecular")
    assert list_labels(figure.axes[0]) == list(NAMES)
    figure = pictures.plot_costs(
        Costs({1: 1.0, 10: 9.0}, {"one": 4.0}, {"one": 5.0}, {"one": 8.0}, {"one": 9.0}), COLOURS, 12
    )
    assert list_labels(figure.axes[0]) == ["sum over sites", "one"]
    assert figure.axes[0].get_xscale() == figure.axes[0].get_yscale() == "log"
    figure.canvas.draw()
    told = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert "10" in told and not any("$" in text for text in told)


@pytest.mark.parametrize("n_frames", [2, 21])
def test_the_strip_shows_all_sites_of_two_bodies(n_frames):
    data = make_trajectories()
    motion = Motion(*(values[0, :n_frames] for values in data.motion))
    figure = pictures.plot_strip({"one": motion, "other": motion}, data.system, data.interval)
    assert len(figure.axes) == 2 * pictures.N_STRIP
    first = figure.axes[0]
    assert len(first.patches) == 2 * data.system.bodies[0].n_sites
    centre = numpy.mean([circle.center for circle in first.patches], axis=0)
    expected = motion.positions[0].mean(0) - motion.positions[0].mean(0)
    numpy.testing.assert_allclose(centre, expected[:2], atol=1e-12)
    assert torch.isfinite(motion.positions).all()
