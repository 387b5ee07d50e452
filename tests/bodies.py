"""Rigid bodies that several test files share."""

import math

import numpy
import torch

from common.geometry.bodies import Body, build_body
from common.geometry.quaternions import draw_quaternions
from common.potentials.site_functions import SiteTerm

LENNARD_JONES = SiteTerm(
    "lennard-jones", {"epsilon": {"A": 0.2, "B": 0.1}, "sigma": {"A": 1.1, "B": 0.7}}
)  # of weak, small sites: the clumps of the tests overlap without absurd forces
COULOMB = SiteTerm("coulomb", {"charge": {"A": 0.05, "B": -0.05}})


def make_ring(n: int, radius: float = 1.0) -> numpy.ndarray:
    angles = 2.0 * math.pi * numpy.arange(n) / n
    return radius * numpy.stack((numpy.cos(angles), numpy.sin(angles), 0.0 * angles), axis=1)


def make_hexagon() -> Body:
    """Upstream's body: six sites and one in the middle, of mass 1."""
    coords = numpy.concatenate((make_ring(6), numpy.zeros((1, 3))))
    return build_body("hexagon", coords, numpy.ones(7), ["A"] * 7)[0]


def make_asymmetric_body() -> Body:
    coords = numpy.array([[0.0, 0.0, 0.0], [1.2, 0.1, 0.0], [-0.3, 0.9, 0.2], [0.1, -0.2, 0.7]])
    return build_body("clump", coords, numpy.array([3.0, 1.0, 2.0, 1.5]), ["A", "B", "B", "A"])[0]


def make_rod() -> Body:
    return build_body("rod", numpy.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.0]]), numpy.array([1.0, 2.0]), ["A", "B"])[0]


def make_point() -> Body:
    return build_body("point", numpy.zeros((1, 3)), numpy.array([2.0]), ["A"])[0]


def draw_places(n_systems: int, n_bodies: int, spread: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions on a noisy line, ``spread`` apart, and random orientations."""
    generator = torch.Generator().manual_seed(seed)
    positions = 0.2 * torch.randn(n_systems, n_bodies, 3, generator=generator, dtype=torch.float64)
    positions[..., 0] += spread * torch.arange(n_bodies)
    return positions, draw_quaternions((n_systems, n_bodies), generator)
