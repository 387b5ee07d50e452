"""Rotations that bring labelled points onto others, and the rotations of a body."""

import numpy
import pytest

from common.geometry.superposition import find_superpositions, superpose
from tests.bodies import make_ring

EXACT = 1e-12


@pytest.fixture
def random():
    return numpy.random.default_rng(0)


def draw_rotation(random) -> numpy.ndarray:
    q, _ = numpy.linalg.qr(random.normal(size=(3, 3)))
    return q * numpy.sign(numpy.linalg.det(q))


TETRAHEDRON = numpy.array([[1.0, 1.0, 1.0], [1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]])


@pytest.mark.parametrize(
    ("points", "labels", "n_rotations"),
    [
        (make_ring(6), "AAAAAA", 12),
        (make_ring(6), "ABABAB", 6),
        (make_ring(6), "AAAAAB", 2),
        (TETRAHEDRON, "AAAA", 12),
        (TETRAHEDRON, "AAAB", 3),
        (numpy.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]), "AA", 2),
        (numpy.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]), "AB", 1),
        (numpy.zeros((1, 3)), "A", 1),
        (numpy.array([[0.0, 0.0, 0.1], [0.8, 0.0, -0.5], [-0.8, 0.0, -0.5]]), "OHH", 2),
        (numpy.random.default_rng(1).normal(size=(7, 3)), "ABCDEFG", 1),
    ],
)
def test_bodies_have_their_rotations(points, labels, n_rotations):
    found = find_superpositions(points, points, labels, labels)
    assert len(found) == n_rotations
    for one in found:
        assert numpy.linalg.det(one.rotation) == pytest.approx(1.0, abs=EXACT)
        numpy.testing.assert_allclose(points @ one.rotation.T, points[one.order], atol=EXACT)
        assert [labels[i] for i in one.order] == list(labels)


def test_a_turned_and_shuffled_copy_is_found(random):
    points = random.normal(size=(8, 3))
    labels = list("AABBCCDD")
    rotation, shuffle = draw_rotation(random), random.permutation(8)
    others = (points @ rotation.T)[shuffle]
    best = find_superpositions(points, others, labels, [labels[i] for i in shuffle])[0]
    numpy.testing.assert_allclose(best.rotation, rotation, atol=EXACT)
    assert best.deviation < EXACT


def test_a_mirror_image_is_another_body(random):
    points = random.normal(size=(5, 3))
    assert find_superpositions(points, points * [1.0, 1.0, -1.0], "ABCDE", "ABCDE") == []


def test_other_labels_are_another_body(random):
    points = random.normal(size=(3, 3))
    assert find_superpositions(points, points, "AAB", "ABB") == []


def test_noise_is_borne_and_told():
    ring = make_ring(6)
    noisy = ring + 1e-3 * numpy.random.default_rng(3).normal(size=ring.shape)
    found = find_superpositions(ring, noisy, "A" * 6, "A" * 6)
    assert len(found) == 12
    assert 1e-5 < found[0].deviation < 1e-2


def test_superposing_gives_the_rotation_back(random):
    points, rotation = random.normal(size=(4, 3)), draw_rotation(random)
    numpy.testing.assert_allclose(superpose(points, points @ rotation.T), rotation, atol=EXACT)
