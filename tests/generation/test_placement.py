"""Positions drawn by bounds against the whole grid, and the grid itself."""

import numpy
import pytest

from common.generation.placement import (
    GridSettings,
    build_grid,
    compute_log_weights,
    draw_position,
    find_likely_points,
    make_rotation,
)

WIDTH = 6.7 / 201

TOTAL_VARIATION = 1e-3  # the bound of the module's docstring is 3e-4


@pytest.fixture(scope="module")
def grid():
    return build_grid(GridSettings(), 1.7)


def predict(random, n_nodes, spread):
    """Nodes that know a place, each with a second guess; two of them at the focus, as in use."""
    nodes = numpy.vstack([numpy.zeros((2, 3)), random.normal(0.0, 1.5, (n_nodes, 3))])
    place = random.normal(size=3)
    place *= random.uniform(0.9, 1.6) / numpy.linalg.norm(place)
    centres = WIDTH * numpy.arange(202)
    log_probabilities = []
    for node in nodes:
        right = numpy.exp(-((centres - numpy.linalg.norm(place - node)) ** 2) / (2 * spread**2))
        wrong = numpy.exp(-((centres - random.uniform(0.7, 4.0)) ** 2) / (2 * spread**2))
        weights = right + 0.3 * wrong + 1e-6
        log_probabilities.append(numpy.log(weights / weights.sum()))
    return nodes, numpy.array(log_probabilities)


@pytest.mark.parametrize("spread", [0.03, 0.1, 0.4])
@pytest.mark.parametrize("temperature", [0.03, 0.1, 1.0])
def test_the_distribution_is_that_of_the_whole_grid(grid, spread, temperature):
    random = numpy.random.default_rng(int(1000 * spread))
    own = build_grid(GridSettings(temperature=temperature), 1.7)
    for _ in range(3):
        nodes, log_probabilities = predict(random, 7, spread)
        full = compute_log_weights(own.points, nodes, log_probabilities, WIDTH)
        indices, found = find_likely_points(own, nodes, log_probabilities, WIDTH)
        numpy.testing.assert_allclose(found, full[indices], atol=1e-9)
        assert len(set(indices.tolist())) == len(indices)
        expected = numpy.exp((full - full.max()) / temperature)
        expected /= expected.sum()
        weights = numpy.zeros(len(full))
        weights[indices] = numpy.exp((found - found.max()) / temperature)
        assert 0.5 * numpy.abs(weights / weights.sum() - expected).sum() < TOTAL_VARIATION


def test_even_flat_predictions_leave_nothing_out(grid):
    indices, _ = find_likely_points(grid, numpy.ones((3, 3)), numpy.full((3, 202), -5.3), WIDTH)
    assert sorted(indices.tolist()) == list(range(len(grid.points)))


def test_points_are_drawn_by_their_weights(grid):
    """A node at the focus alone: the distance follows its bins, each times the points in it."""
    log_probabilities = numpy.full((1, 202), -1e3)
    log_probabilities[0, [30, 45]] = numpy.log([0.6, 0.4])
    radii = numpy.linalg.norm(grid.points, axis=1)
    n_points = [int(((radii / WIDTH + 0.5).astype(int) == bin_).sum()) for bin_ in (30, 45)]
    weights = numpy.array([0.6, 0.4]) ** (1.0 / 0.1) * n_points
    random = numpy.random.default_rng(0)
    drawn = [draw_position(grid, numpy.zeros((1, 3)), log_probabilities, WIDTH, random.random(4)) for _ in range(2000)]
    share = numpy.mean(numpy.linalg.norm(drawn, axis=1) < 38 * WIDTH)
    expected = weights[0] / weights.sum()
    assert share == pytest.approx(expected, abs=4.0 * numpy.sqrt(expected * (1 - expected) / 2000))
    directions = numpy.array(drawn) / numpy.linalg.norm(drawn, axis=1, keepdims=True)
    assert numpy.abs(directions.mean(axis=0)).max() < 4.0 / numpy.sqrt(3 * 2000)  # no direction is preferred


def test_where_the_next_atom_goes_turns_with_the_molecule(grid):
    """With one place alone possible, it turns as the nodes turn, to within the spacing."""
    random = numpy.random.default_rng(4)
    nodes, log_probabilities = predict(random, 8, 0.02)
    rotation = make_rotation(random.random(3))
    first = draw_position(grid, nodes, log_probabilities, WIDTH, random.random(4))
    second = draw_position(grid, nodes @ rotation.T, log_probabilities, WIDTH, random.random(4))
    assert numpy.linalg.norm(rotation @ first - second) < 0.2


def test_the_grid_is_a_shell_of_cubes(grid):
    radii = numpy.linalg.norm(grid.points, axis=1)
    assert len(grid.points) == 153_058  # as the published method has for these settings
    assert radii.min() == pytest.approx(0.7, abs=1e-6)
    assert radii.max() <= 1.7 + 1e-6
    for cube in (0, len(grid.centres) // 2, len(grid.centres) - 1):
        own = grid.points[grid.starts[cube] : grid.starts[cube + 1]]
        assert 1 <= len(own) <= 64
        assert numpy.linalg.norm(own - grid.centres[cube], axis=1).max() <= grid.reach + 1e-9


def test_rotations_are_rotations():
    for uniform in numpy.random.default_rng(0).random((5, 3)):
        rotation = make_rotation(uniform)
        numpy.testing.assert_allclose(rotation @ rotation.T, numpy.eye(3), atol=1e-12)
        assert numpy.linalg.det(rotation) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (GridSettings(least_distance=1.8), "no point of the grid"),
        (GridSettings(spacing=0.0), "must be positive"),
        (GridSettings(temperature=-1.0), "must be positive"),
    ],
)
def test_impossible_grids_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        build_grid(settings, 1.7)
