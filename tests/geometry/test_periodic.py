"""Boxes against brute force over many images."""

import itertools

import numpy
import pytest
import torch

from common.geometry.periodic import check_cutoff, find_nearest_images, read_edges

EXACT = 1e-12
EDGES = torch.tensor([9.0, 11.0, 12.5], dtype=torch.float64)


def test_the_nearest_of_125_images_is_found():
    generator = torch.Generator().manual_seed(1)
    differences = 20.0 * (torch.rand(200, 3, generator=generator, dtype=torch.float64) - 0.5)
    shifts = torch.tensor(list(itertools.product(range(-2, 3), repeat=3)), dtype=torch.float64) * EDGES
    nearest = (differences[:, None] + shifts).square().sum(-1).min(1).values.sqrt()
    found = find_nearest_images(differences, EDGES)
    torch.testing.assert_close(found.square().sum(-1).sqrt(), nearest, atol=EXACT, rtol=0)
    whole = (found - differences) / EDGES
    torch.testing.assert_close(whole, whole.round(), atol=EXACT, rtol=0)


def test_moving_an_atom_by_an_edge_changes_nothing():
    differences = torch.tensor([[1.0, -2.0, 3.0]], dtype=torch.float64)
    torch.testing.assert_close(
        find_nearest_images(differences + EDGES, EDGES), find_nearest_images(differences, EDGES), atol=EXACT, rtol=0
    )


def test_the_slope_is_one():
    differences = torch.tensor([[7.0, -2.0, 3.0]], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(find_nearest_images(differences, EDGES).sum(), differences)
    assert torch.equal(slope, torch.ones_like(slope))


def test_without_a_box_nothing_changes():
    differences = torch.tensor([[70.0, -2.0, 3.0]])
    assert find_nearest_images(differences, None) is differences


@pytest.mark.parametrize("cell", [[9.0, 11.0, 12.5], numpy.diag([9.0, 11.0, 12.5])])
def test_edges_are_read(cell):
    numpy.testing.assert_array_equal(read_edges(numpy.array(cell)), [9.0, 11.0, 12.5])


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ([[9.0, 0.0, 0.0], [1.0, 9.0, 0.0], [0.0, 0.0, 9.0]], "oblique"),
        ([9.0, 0.0, 9.0], "positive"),
        ([9.0, numpy.nan, 9.0], "positive"),
        ([9.0, 9.0], "positive"),
    ],
)
def test_other_boxes_are_refused(cell, words):
    with pytest.raises(ValueError, match=words):
        read_edges(numpy.array(cell))


def test_a_cutoff_beyond_half_the_box_is_refused():
    check_cutoff(4.5, EDGES)
    check_cutoff(100.0, None)
    with pytest.raises(ValueError, match="at most half"):
        check_cutoff(4.6, EDGES)
