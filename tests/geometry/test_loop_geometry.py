"""Compiled internal coordinates against those in tensors, also where an angle is all but straight or closed."""

import numpy
import pytest
import torch

from common.geometry import loop_geometry
from common.geometry.internal_coordinates import (
    compute_angles_with_gradients,
    compute_dihedrals_with_gradients,
    compute_distances_with_gradients,
)
from common.geometry.loop_geometry import COORDINATE, COSINE, LANES, N_ROWS, SINE, X1, X2, X3, X4

N = 37
"""Frames: a rest of any number that a processor takes at once."""

TOLERANCE = 1e-13


def draw(n_atoms: int) -> numpy.ndarray:
    return numpy.random.default_rng(0).normal(size=(n_atoms, 3, N))


def run(function, points: numpy.ndarray) -> numpy.ndarray:
    """The rows after a function has run on the atoms in order, ``shape=(N_ROWS, N)``."""
    x = numpy.full((3 * len(points), LANES), numpy.nan)
    x[:, :N] = points.reshape(-1, N)
    rows = numpy.full(N_ROWS * LANES, numpy.nan)
    function(x, *range(len(points)), rows, N)
    return rows.reshape(N_ROWS, LANES)[:, :N]


def assert_gradients(rows, expected, *places):
    for place, gradient in zip(places, expected, strict=True):
        first = place // LANES
        scale = max(1.0, gradient.abs().max().item())
        assert numpy.abs(rows[first : first + 3] - gradient.numpy()).max() <= TOLERANCE * scale


def test_distances():
    points = draw(2)
    rows = run(loop_geometry.compute_distances, points)
    r, (gradient, _) = compute_distances_with_gradients(*torch.from_numpy(points))
    assert rows[COORDINATE // LANES] == pytest.approx(r.numpy(), rel=TOLERANCE)
    assert_gradients(rows, [gradient], X1)


def test_angles_of_any_size():
    points = draw(3)
    # from closed to straight, by steps that reach what float64 can tell
    bend = numpy.concatenate([numpy.geomspace(1e-6, 1.0, N // 2), numpy.pi - numpy.geomspace(1.0, 1e-6, N - N // 2)])
    points[1] = 0.0
    points[0] = numpy.array([1.1, 0.0, 0.0])[:, None]
    points[2] = 1.4 * numpy.stack((numpy.cos(bend), numpy.sin(bend), numpy.zeros(N)))
    rows = run(loop_geometry.compute_angles, points)
    theta, gradients = compute_angles_with_gradients(*torch.from_numpy(points))
    assert numpy.abs(rows[COORDINATE // LANES] - theta.numpy()).max() <= 1e-15 * numpy.pi
    assert_gradients(rows, gradients, X1, X2, X3)


def test_dihedrals():
    points = draw(4)
    rows = run(loop_geometry.compute_dihedrals, points)
    phi, gradients = compute_dihedrals_with_gradients(*torch.from_numpy(points))
    assert numpy.abs(rows[COSINE // LANES] - torch.cos(phi).numpy()).max() <= TOLERANCE
    assert numpy.abs(rows[SINE // LANES] - torch.sin(phi).numpy()).max() <= TOLERANCE
    assert_gradients(rows, gradients, X1, X2, X3, X4)


@pytest.mark.parametrize("periodicity", [-2, 0, 1, 3, 6])
def test_multiples_of_a_dihedral(periodicity):
    phi = numpy.linspace(-numpy.pi, numpy.pi, N)
    rows = numpy.zeros((N_ROWS, LANES))
    rows[COSINE // LANES, :N], rows[SINE // LANES, :N] = numpy.cos(phi), numpy.sin(phi)
    flat = rows.reshape(-1)
    loop_geometry.multiply_dihedrals(flat, periodicity, N)
    for place, function in ((loop_geometry.COSINE_N, numpy.cos), (loop_geometry.SINE_N, numpy.sin)):
        assert numpy.abs(flat[place : place + N] - function(periodicity * phi)).max() <= TOLERANCE
