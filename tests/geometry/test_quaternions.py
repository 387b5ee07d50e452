"""Quaternions are rotations, and multiply as these do."""

import math

import pytest
import torch

from common.geometry.quaternions import (
    align_quaternions,
    compute_rotation_angles,
    compute_rotation_matrices,
    conjugate_quaternions,
    convert_matrices_to_quaternions,
    draw_quaternions,
    multiply_quaternions,
)

EXACT = 1e-14


@pytest.fixture
def quaternions() -> torch.Tensor:
    return draw_quaternions((50,), torch.Generator().manual_seed(0))


def test_matrices_are_proper_rotations(quaternions):
    rotations = compute_rotation_matrices(quaternions)
    identity = torch.eye(3, dtype=torch.float64).expand_as(rotations)
    torch.testing.assert_close(rotations @ rotations.mT, identity, atol=EXACT, rtol=0)
    torch.testing.assert_close(torch.linalg.det(rotations), torch.ones(50, dtype=torch.float64), atol=EXACT, rtol=0)


def test_a_quarter_turn_about_z_takes_x_to_y():
    half = math.pi / 4.0
    rotation = compute_rotation_matrices(torch.tensor([math.cos(half), 0.0, 0.0, math.sin(half)], dtype=torch.float64))
    expected = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(rotation[:, 0], expected, atol=EXACT, rtol=0)


def test_products_are_those_of_matrices(quaternions):
    p, q = quaternions[:25], quaternions[25:]
    product = compute_rotation_matrices(multiply_quaternions(p, q))
    torch.testing.assert_close(product, compute_rotation_matrices(p) @ compute_rotation_matrices(q), atol=EXACT, rtol=0)


def test_both_signs_are_one_rotation(quaternions):
    assert (compute_rotation_matrices(quaternions) == compute_rotation_matrices(-quaternions)).all()
    assert torch.equal(align_quaternions(-quaternions, quaternions), quaternions)


def test_the_conjugate_turns_back(quaternions):
    identity = multiply_quaternions(conjugate_quaternions(quaternions), quaternions)
    expected = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64).expand_as(identity)
    torch.testing.assert_close(identity, expected, atol=EXACT, rtol=0)


def test_matrices_give_their_quaternions_back(quaternions):
    """Half turns, where w = 0 and formulas by cases divide by nothing, among them."""
    half_turns = torch.cat((torch.zeros(3, 1), torch.eye(3)), dim=1).double()
    every = torch.cat((quaternions, half_turns))
    found = convert_matrices_to_quaternions(compute_rotation_matrices(every))
    assert (found[:, 0] >= 0.0).all()
    torch.testing.assert_close(align_quaternions(found, every), every, atol=1e-13, rtol=0)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 0.3, 3.0, math.pi])
def test_angles_between_orientations(angle):
    q = torch.tensor([math.cos(angle / 2.0), 0.0, math.sin(angle / 2.0), 0.0], dtype=torch.float64)
    start = draw_quaternions((1,), torch.Generator().manual_seed(1))[0]
    assert compute_rotation_angles(start, -multiply_quaternions(start, q)).item() == pytest.approx(angle, abs=1e-12)


def test_drawn_orientations_are_uniform():
    """The mean of R is zero, the mean of R_ij² one third: five standard errors."""
    n = 20_000
    rotations = compute_rotation_matrices(draw_quaternions((n,), torch.Generator().manual_seed(2)))
    assert rotations.mean(0).abs().max() < 5.0 * math.sqrt(1.0 / 3.0 / n)
    assert ((rotations**2).mean(0) - 1.0 / 3.0).abs().max() < 5.0 * 0.3 / math.sqrt(n)
