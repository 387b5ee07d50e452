"""Anchor points are few, and as symmetric as the body."""

import numpy
import pytest

from common.geometry.bodies import build_body
from common.pair_networks.anchors import choose_anchors
from tests.bodies import make_asymmetric_body, make_hexagon, make_ring, make_rod


def make_benzene():
    coords = numpy.concatenate((make_ring(6, 1.39), make_ring(6, 2.48)))
    return build_body("benzene", coords, numpy.array([12.0] * 6 + [1.0] * 6), ["C"] * 6 + ["H"] * 6)[0]


def test_benzene_is_a_ring_of_six():
    anchors = choose_anchors(make_benzene(), 6)
    assert anchors.sizes == (6,)
    radii = numpy.linalg.norm(anchors.points, axis=1)
    numpy.testing.assert_allclose(radii, (1.39 + 2.48) / 2.0, atol=1e-12)


def test_more_points_may_be_asked_for():
    assert sorted(choose_anchors(make_benzene(), 7).sizes) == [6, 6]


def test_the_hexagon_keeps_its_sites_in_two_groups():
    assert sorted(choose_anchors(make_hexagon(), 6).sizes) == [1, 6]


@pytest.mark.parametrize("make", [make_asymmetric_body, make_hexagon, make_rod, make_benzene])
@pytest.mark.parametrize("n_points", [1, 3, 6, 100])
def test_points_have_the_symmetry_and_the_dimension_of_the_body(make, n_points):
    body = make()
    anchors = choose_anchors(body, n_points)
    assert sum(anchors.sizes) == len(anchors.points) >= min(n_points, body.n_sites)
    groups = numpy.split(anchors.points, numpy.cumsum(anchors.sizes)[:-1])
    for one in body.own_rotations:
        for group in groups:
            moved = group @ one.rotation.T
            assert numpy.linalg.norm(moved[:, None] - group[None], axis=2).min(axis=1).max() < 1e-9
    ranks = [numpy.linalg.matrix_rank(points, tol=1e-2) for points in (anchors.points, body.sites)]
    assert ranks[0] == ranks[1]
