"""The compiled function of points is that of torch, for any bodies, network and number of pairs."""

import numpy
import pytest
import torch

from common.geometry.quaternions import compute_rotation_matrices
from common.pair_networks.compiled import CODES, LARGEST, _exponentiate
from common.pair_networks.models import PointModel
from common.pair_networks.perceptron import ACTIVATIONS
from common.pair_networks.potential import LearnedPotential
from common.potentials.body_pairs import Orientations
from tests.bodies import make_asymmetric_body, make_hexagon, make_rod
from tests.pair_networks.pairs import draw_dimers, make_learned

ROUNDING = 1e-12


def compare(learned: LearnedPotential, n_pairs: int, tolerance: float = ROUNDING) -> None:
    places = [values.to(learned.dtype) for values in draw_dimers(n_pairs, 5)]
    potential = learned.build_potential()
    by_torch = [values.detach() for values in potential.compute_all(*places)]
    with torch.no_grad():
        compiled = potential.compute_all(*places)
    for one, other in zip(compiled, by_torch, strict=True):
        torch.testing.assert_close(one, other, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("n_pairs", [1, 15, 16, 17, 40])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_any_number_of_pairs_and_layers(n_pairs, depth):
    compare(make_learned(make_hexagon(), make_hexagon(), depth=depth), n_pairs)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_all_activations(activation):
    assert set(CODES) == set(ACTIVATIONS)
    compare(make_learned(make_hexagon(), make_hexagon(), activation=activation), 9)


@pytest.mark.parametrize("other", [make_asymmetric_body, make_rod, make_hexagon])
def test_bodies_of_two_kinds_and_with_points_of_several(other):
    compare(make_learned(make_asymmetric_body(), other()), 20)


def test_single_precision_is_kept():
    learned = make_learned(make_hexagon(), make_hexagon()).cast(torch.float32)
    compare(learned, 20, tolerance=1e-4)


def test_changed_weights_are_heeded():
    learned = make_learned(make_hexagon(), make_hexagon())
    compare(learned, 3)
    with torch.no_grad():
        for values in learned.parameters():
            values.mul_(0.5)
    compare(learned, 3)
    model = learned.list_pairs()[0].model
    assert isinstance(model, PointModel)
    model.scales = 2.0 * model.scales
    compare(learned, 3)


@pytest.mark.parametrize("distance", [1e-3, 1e4])
def test_bodies_on_each_other_and_far_away(distance):
    learned = make_learned(make_hexagon(), make_hexagon())
    _, quaternions = draw_dimers(4, 1)
    rotations = compute_rotation_matrices(quaternions)
    d = torch.tensor([[distance, 0.1 * distance, 0.0]], dtype=torch.float64).expand(4, 3)
    bodies = [Orientations(quaternions[:, k], rotations[:, k]) for k in (0, 1)]
    model = learned.list_pairs()[0].model
    by_torch = model.compute_gradient(d, *bodies)
    with torch.no_grad():
        compiled = model.compute_gradient(d, *bodies)
    for one, other in zip(compiled, by_torch, strict=True):
        torch.testing.assert_close(one, other.detach(), atol=1e-9, rtol=1e-9)


def test_the_exponential_is_exact_to_rounding():
    x = numpy.concatenate([numpy.linspace(-LARGEST, LARGEST, 10_001), [-1e6, 1e6, 0.0, 1e-300]])
    found, scratch = x.copy(), numpy.empty_like(x)
    _exponentiate(found, scratch, scratch.view(numpy.int64))
    numpy.testing.assert_allclose(found, numpy.exp(x.clip(-LARGEST, LARGEST)), rtol=1e-15)
