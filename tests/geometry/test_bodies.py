"""Bodies along their principal axes."""

import numpy
import pytest

from common.geometry.bodies import build_body
from tests.bodies import make_asymmetric_body, make_hexagon, make_point, make_ring, make_rod

EXACT = 1e-12


def compute_inertia(body) -> numpy.ndarray:
    squares = body.masses @ (body.sites**2).sum(axis=1)
    return squares * numpy.eye(3) - numpy.einsum("s,si,sj", body.masses, body.sites, body.sites)


@pytest.mark.parametrize("make", [make_asymmetric_body, make_hexagon, make_rod, make_point])
def test_axes_are_principal_and_the_centre_is_that_of_mass(make):
    body = make()
    numpy.testing.assert_allclose(compute_inertia(body), numpy.diag(body.moments), atol=EXACT)
    numpy.testing.assert_allclose(body.masses @ body.sites, 0.0, atol=EXACT)


def test_the_hexagon_is_upstreams():
    body = make_hexagon()
    assert body.mass == 7.0
    numpy.testing.assert_allclose(body.moments, [3.0, 3.0, 6.0], atol=EXACT)
    assert len(body.own_rotations) == 12
    assert body.fold == 6


def test_what_cannot_turn_has_no_moment():
    assert make_rod().moments[2] == 0.0
    assert make_rod().is_linear
    assert (make_point().moments == 0.0).all()
    assert not make_point().is_linear


def test_the_axis_of_a_prolate_top_is_z():
    """Chloroform's kind: a heavy ring of three far from a light end is oblate, a long one is prolate."""
    up = numpy.array([0.0, 0.0, 2.0])
    long = numpy.concatenate((make_ring(3, 0.3) + up, make_ring(3, 0.3) - up))
    body, _ = build_body("long", long[:, [2, 0, 1]], numpy.ones(6), ["A"] * 6)
    assert body.moments[2] == body.moments.min()
    assert body.fold == 3


def test_place_and_orientation_do_not_matter():
    random = numpy.random.default_rng(0)
    coords, masses = random.normal(size=(5, 3)), random.uniform(1.0, 2.0, 5)
    rotation, _ = numpy.linalg.qr(random.normal(size=(3, 3)))
    rotation *= numpy.sign(numpy.linalg.det(rotation))
    first, first_axes = build_body("x", coords, masses, "ABCDE")
    second, second_axes = build_body("x", coords @ rotation.T + 5.0, masses, "ABCDE")
    numpy.testing.assert_allclose(second.sites, first.sites, atol=EXACT)
    numpy.testing.assert_allclose(second_axes, rotation @ first_axes, atol=EXACT)
    centred = coords - masses @ coords / masses.sum()
    numpy.testing.assert_allclose(first.sites @ first_axes.T, centred, atol=EXACT)


def test_what_is_nearly_symmetric_becomes_so_exactly():
    ring = make_ring(6) + 1e-4 * numpy.random.default_rng(2).normal(size=(6, 3))
    body, _ = build_body("ring", ring, numpy.ones(6), ["A"] * 6)
    assert len(body.own_rotations) == 12
    assert max(one.deviation for one in body.own_rotations) < 1e-13
    assert abs(body.moments[0] - body.moments[1]) < 1e-13


@pytest.mark.parametrize(
    ("coords", "masses", "labels"),
    [
        (numpy.zeros((2, 3)), numpy.zeros(2), "AA"),
        (numpy.full((2, 3), numpy.nan), numpy.ones(2), "AA"),
        (numpy.zeros((2, 3)), numpy.array([1.0, -1.0]), "AA"),
        (numpy.zeros((2, 3)), numpy.ones(2), "A"),
    ],
)
def test_what_is_no_body_is_refused(coords, masses, labels):
    with pytest.raises(ValueError, match="thing: "):
        build_body("thing", coords, masses, labels)
