"""Models of a pair: gradients in closed form, maps that leave U alone, densities that see what is near."""

import numpy
import pytest
import torch

from common.geometry.quaternions import compute_rotation_matrices
from common.pair_networks.frames import BodyFrameInputs
from common.pair_networks.models import PointModel, build_maps
from common.potentials.body_pairs import Orientations
from tests.bodies import make_asymmetric_body, make_hexagon, make_rod
from tests.pair_networks.pairs import draw_dimers, make_learned

EXACT = 1e-12


def test_maps_are_those_of_the_bodies_rotations_and_the_exchange():
    hexagon, clump = make_hexagon(), make_asymmetric_body()
    assert build_maps(hexagon, hexagon, with_rotations=True).shape == (288, 16, 16)
    assert build_maps(hexagon, hexagon, with_rotations=False).shape == (2, 16, 16)
    assert build_maps(hexagon, clump, with_rotations=True).shape == (12, 16, 16)


def test_a_map_does_what_its_rotations_do():
    hexagon = make_hexagon()
    positions, quaternions = draw_dimers(5, 0)
    rotations = compute_rotation_matrices(quaternions)
    d = positions[:, 1] - positions[:, 0]
    maps = build_maps(hexagon, hexagon, with_rotations=True)
    inputs = BodyFrameInputs()
    z = inputs.compute(d, *(Orientations(quaternions[:, k], rotations[:, k]) for k in (0, 1)))
    i, j = 3, 8
    turns = [torch.from_numpy(hexagon.own_rotations[k].rotation) for k in (i, j)]
    turned = inputs.compute(
        d, *(Orientations(quaternions[:, k], rotations[:, k] @ turn) for k, turn in enumerate(turns))
    )
    torch.testing.assert_close(z @ maps[12 * i + j].T, turned, atol=EXACT, rtol=0)


def test_a_rod_cannot_be_averaged():
    with pytest.raises(ValueError, match="infinitely many rotations"):
        build_maps(make_rod(), make_rod(), with_rotations=True)


def test_unlike_bodies_have_weights_of_their_own():
    alike = make_learned(make_asymmetric_body(), make_asymmetric_body()).list_pairs()[0].model
    unlike = make_learned(make_asymmetric_body(), make_rod()).list_pairs()[0].model
    assert isinstance(alike, PointModel)
    assert len(alike.weights) == len(alike.anchors[0].sizes)
    assert len(unlike.weights) == len(unlike.anchors[0].sizes) + len(unlike.anchors[1].sizes)


def test_densities_are_sums_over_the_points_of_the_other_body():
    """By a loop over all pairs of points of two hexagons."""
    model = make_learned(make_hexagon(), make_hexagon()).list_pairs()[0].model
    positions, quaternions = draw_dimers(2, 3)
    rotations = compute_rotation_matrices(quaternions)
    orientations = [Orientations(quaternions[:, k], rotations[:, k]) for k in (0, 1)]
    separations = model._separate(positions[:, 1] - positions[:, 0], *orientations)
    densities = model._compute_densities(model._compute_radial((separations * separations).sum(0))[0])
    points = model.points[0].numpy()
    sizes = model.anchors[0].sizes
    centres = model.centres.numpy()
    for p in range(2):
        a, b = (positions[p, k].numpy() + points @ rotations[p, k].numpy().T for k in (0, 1))
        logarithms = numpy.log(numpy.linalg.norm(a[:, None] - b[None], axis=2))
        radial = numpy.exp(-0.5 * model.sharpness * (logarithms[..., None] - centres) ** 2)
        first = 0
        for group, size in zip(densities, sizes, strict=False):
            by_group = numpy.split(radial[first : first + size], numpy.cumsum(sizes)[:-1], axis=1)
            expected = numpy.concatenate([part.sum(axis=1) for part in by_group], axis=1)
            numpy.testing.assert_allclose(group[..., p].detach().numpy().T, expected, atol=EXACT)
            first += size
