"""Learned potentials with random weights, and pairs of bodies, for the tests of this room."""

import dataclasses

import torch

from common.body_trajectories.systems import BodySystem
from common.body_trajectories.trajectories import Trajectories
from common.dynamics.rigid_bodies import Motion
from common.geometry.bodies import Body
from common.geometry.quaternions import draw_quaternions
from common.pair_networks.potential import LearnedPotential, Shape, build_learned_potential
from common.potentials.body_pairs import Spring

ALL_INPUTS = ("points", "averaged", "symmetric", "body-frame", "raw")


def draw_dimers(n: int, seed: int, spread: float = 2.5) -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs in all mutual places, ``shape=(n, 2, 3 | 4)``."""
    generator = torch.Generator().manual_seed(seed)
    direction = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    direction = direction / direction.norm(dim=-1, keepdim=True)
    r = spread * (0.8 + 0.6 * torch.rand(n, 1, generator=generator, dtype=torch.float64))
    first = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    return torch.stack((first, first + r * direction), 1), draw_quaternions((n, 2), generator)


def make_data(*bodies: Body, n: int = 60, spread: float = 2.5) -> Trajectories:
    """Frames that are no trajectories, but have the places of some."""
    positions, quaternions = draw_dimers(n, 0, spread)
    zeros = torch.zeros_like(positions)
    motion = Motion(*(values[None] for values in (positions, quaternions, zeros, zeros)))
    return Trajectories(BodySystem(bodies, (), Spring(1.0, spread), units="reduced"), 0.1, motion, ("made",), kt=1.0)


def make_learned(*bodies: Body, inputs: str = "points", spread: float = 2.5, **shape) -> LearnedPotential:
    """With weights that are not those of the start, where the energy is zero."""
    learned = build_learned_potential(
        make_data(*bodies, spread=spread),
        dataclasses.replace(Shape(inputs=inputs, width=12), **shape),
        0,
        torch.float64,
    )
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for values in learned.parameters():
            values.add_(0.3 * torch.randn(values.shape, generator=generator, dtype=torch.float64))
    return learned
