"""Farthest-point sampling against what it promises, and against a slow transcription."""

import numpy
import pytest
import torch

from common.selection.farthest import compute_distance_features, select_farthest
from tests.helpers import rotate_randomly

EXACT = 1e-12  # [Angstrom] roundings of coordinates of some Angstrom


@pytest.fixture
def coords():
    return numpy.random.default_rng(8).normal(size=(30, 6, 3))


def test_features_are_the_distances(coords):
    features = compute_distance_features(coords)
    assert features.shape == (30, 15)
    assert features[4, 0] == pytest.approx(numpy.linalg.norm(coords[4, 0] - coords[4, 1]), abs=EXACT)
    assert features[4, -1] == pytest.approx(numpy.linalg.norm(coords[4, 4] - coords[4, 5]), abs=EXACT)


def test_features_do_not_change_with_position_and_orientation(coords):
    turned = numpy.array([rotate_randomly(torch.from_numpy(x), seed).numpy() for seed, x in enumerate(coords)])
    numpy.testing.assert_allclose(
        compute_distance_features(turned), compute_distance_features(coords), atol=100.0 * EXACT
    )


def test_each_choice_is_the_farthest_from_all_before(coords):
    features = compute_distance_features(coords)
    chosen = select_farthest(features, 12, first=3)
    assert chosen[0] == 3
    for k in range(1, 12):
        to_chosen = [min(numpy.linalg.norm(f - features[j]) for j in chosen[:k]) for f in features]
        assert chosen[k] == int(numpy.argmax(to_chosen))


def test_a_line_is_taken_from_its_ends():
    assert select_farthest(numpy.arange(9.0)[:, None], 5) == [0, 8, 4, 2, 6]


@pytest.mark.parametrize("n_select", [0, 1, 30, 99])
def test_no_more_than_there_are_and_none_twice(coords, n_select):
    chosen = select_farthest(compute_distance_features(coords), n_select)
    assert len(chosen) == len(set(chosen)) == min(n_select, 30)


def test_structures_that_coincide_are_taken_once_each():
    assert sorted(select_farthest(numpy.zeros((4, 3)), 4)) == [0, 1, 2, 3]


def test_no_structures():
    assert select_farthest(numpy.zeros((0, 3)), 4) == []
