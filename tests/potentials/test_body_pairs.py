"""Forces and torques of bodies are minus gradients of their energies, in the open and in a box."""

import pytest
import torch

from common.geometry.quaternions import compute_rotation_matrices, draw_quaternions, multiply_quaternions
from common.potentials.body_pairs import (
    BodyPotential,
    Orientations,
    Pairs,
    Spring,
    Switched,
    apply_minimum_image,
    pair_all,
)
from common.potentials.site_sums import build_site_sum
from tests.bodies import COULOMB, LENNARD_JONES, draw_places, make_asymmetric_body, make_point, make_rod

GRADIENT_TOLERANCE = 1e-12


def make_mixture(box: float | None = None, cutoff: float | None = None) -> BodyPotential:
    """Two clumps, a rod and a point, with sites, springs and a switch at the cutoff."""
    clump, rod, point = make_asymmetric_body(), make_rod(), make_point()

    def build(one, other):
        term = build_site_sum(one, other, [LENNARD_JONES, COULOMB])
        return term if cutoff is None else Switched(term, 0.5 * cutoff, cutoff)

    def pair(first, second, *terms):
        return Pairs(torch.tensor(first), torch.tensor(second), terms)

    groups = (
        pair([0], [1], build(clump, clump)),
        pair([0, 1], [2, 2], build(clump, rod)),
        pair([0, 1], [3, 3], build(clump, point), *([] if cutoff else [Spring(0.7, 1.5)])),
        pair([2], [3], build(rod, point)),
    )
    return BodyPotential(groups, box, cutoff)


def differentiate(potential, positions, quaternions) -> tuple[torch.Tensor, torch.Tensor]:
    """Forces and torques, -½ ∂U/∂q · (q e_k), by autograd from energies alone."""
    x, q = positions.clone().requires_grad_(), quaternions.clone().requires_grad_()
    gradient_x, gradient_q = torch.autograd.grad(potential.compute_energy(x, q).sum(), (x, q))
    axes = torch.eye(4, dtype=torch.float64)[1:]
    torques = [-0.5 * (gradient_q * multiply_quaternions(quaternions, axis.expand_as(q))).sum(-1) for axis in axes]
    return -gradient_x, torch.stack(torques, -1)


@pytest.mark.parametrize(("box", "cutoff"), [(None, None), (None, 4.0), (6.0, 2.9)])
def test_forces_and_torques_are_minus_the_gradient(box, cutoff):
    potential = make_mixture(box, cutoff)
    places = draw_places(6, 4, 1.8, seed=0)
    energies, forces, torques = potential.compute_all(*places)
    expected_forces, expected_torques = differentiate(potential, *places)
    scale = expected_forces.abs().max()
    torch.testing.assert_close(energies, potential.compute_energy(*places), atol=GRADIENT_TOLERANCE, rtol=1e-12)
    torch.testing.assert_close(forces, expected_forces, atol=GRADIENT_TOLERANCE * scale, rtol=0)
    torch.testing.assert_close(torques, expected_torques, atol=GRADIENT_TOLERANCE * scale, rtol=0)
    assert torques[:, 3].abs().max() == 0.0  # a point


def test_forces_add_up_to_nothing():
    forces, _ = make_mixture().compute_field(*draw_places(6, 4, 1.8, seed=1))
    torch.testing.assert_close(forces.sum(1), torch.zeros(6, 3, dtype=torch.float64), atol=1e-10, rtol=0)


def test_turning_everything_turns_the_forces_and_leaves_torques_as_they_are():
    potential = make_mixture()
    positions, quaternions = draw_places(6, 4, 1.8, seed=2)
    turn = draw_quaternions((1,), torch.Generator().manual_seed(5))
    rotation = compute_rotation_matrices(turn)[0]
    energies, forces, torques = potential.compute_all(positions, quaternions)
    turned = potential.compute_all(
        positions @ rotation.T, multiply_quaternions(turn.expand_as(quaternions), quaternions)
    )
    torch.testing.assert_close(turned[0], energies, atol=1e-11, rtol=1e-11)
    torch.testing.assert_close(turned[1], forces @ rotation.T, atol=1e-9, rtol=1e-10)
    torch.testing.assert_close(turned[2], torques, atol=1e-9, rtol=1e-10)


def test_images_in_a_box_do_not_matter():
    potential = make_mixture(6.0, 2.9)
    positions, quaternions = draw_places(6, 4, 1.8, seed=3)
    shifts = 6.0 * torch.randint(-2, 3, positions.shape, generator=torch.Generator().manual_seed(0))
    energies = potential.compute_energy(positions, quaternions)
    torch.testing.assert_close(
        potential.compute_energy(positions + shifts, quaternions), energies, atol=1e-11, rtol=1e-12
    )
    assert apply_minimum_image(torch.tensor([3.5, -3.5, 1.0]), 6.0).tolist() == [-2.5, 2.5, 1.0]


def test_a_switched_term_ends_at_the_cutoff_with_two_derivatives():
    clump = make_asymmetric_body()
    term = Switched(build_site_sum(clump, clump, [LENNARD_JONES, COULOMB]), 2.0, 3.0)
    identity = Orientations(
        torch.tensor([[1.0, 0.0, 0.0, 0.0]] * 3, dtype=torch.float64), torch.eye(3, dtype=torch.float64).expand(3, 3, 3)
    )
    r = torch.tensor([2.999, 3.0, 3.1], dtype=torch.float64)
    felt = term.compute_gradient(torch.stack((r, 0.0 * r, 0.0 * r), -1), identity, identity)
    assert felt.energies.abs().max() < 1e-7
    assert felt.forces.abs().max() < 1e-4
    assert (felt.energies[1:] == 0.0).all()


def test_all_pairs_are_there_once():
    pairs = pair_all(4, Spring(1.0, 1.0))
    found = sorted(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    assert found == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]


def test_a_spring_is_at_rest_at_its_length():
    potential = BodyPotential((pair_all(2, Spring(3.0, 2.0)),))
    positions = torch.tensor([[0.0, 0.0, 0.0], [0.0, 2.5, 0.0]], dtype=torch.float64)
    quaternions = torch.tensor([[1.0, 0.0, 0.0, 0.0]] * 2, dtype=torch.float64)
    energy, forces, _ = potential.compute_all(positions, quaternions)
    assert energy.item() == pytest.approx(0.5 * 3.0 * 0.25)
    assert forces[1].tolist() == pytest.approx([0.0, -1.5, 0.0])
