"""Bodies beyond the reach of the data do not interact: what forces and trajectories cannot say of a potential.

A constant added to U changes no force. That U vanishes far away is in the form of a learned potential, but between the
largest distance of the data and that limit nothing else holds it. So random pairs from that distance to one and a half
of it are made to cost (U / kT)². For bodies with long-ranged forces, charged ones, this is wrong: give it no weight.
"""

import collections.abc

import torch

from common.body_trajectories.trajectories import Trajectories
from common.coarse_graining.windows import measure_separations
from common.geometry.quaternions import compute_rotation_matrices, draw_quaternions
from common.pair_networks.potential import LearnedPotential
from common.potentials.body_pairs import Orientations

N_PAIRS = 32
"""Drawn for each step of the optimiser."""

STRETCH = 1.5
"""The largest distance, over that of the data."""


def build_asymptote(
    learned: LearnedPotential, data: Trajectories, weight: float, seed: int
) -> collections.abc.Callable[[int], float]:
    """A function that adds the gradient of the cost to the parameters' and gives the cost; a number draws the pairs.

    Args:
        learned: what is trained.
        data: to train on.
        weight: of the cost in the loss; 0 for none.
        seed: of the pairs.
    """
    separations = measure_separations(data.motion, data.system.box)
    start, kt = float(separations.max()), data.kt or 1.0
    parameter = next(learned.parameters())

    def add_gradient(number: int) -> float:
        if weight == 0.0:
            return 0.0
        generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
        r = start * (1.0 + (STRETCH - 1.0) * torch.rand(N_PAIRS, generator=generator, dtype=torch.float64))
        d = torch.stack((torch.zeros_like(r), torch.zeros_like(r), r), -1).to(parameter)
        one, other = (_turn(draw_quaternions((N_PAIRS,), generator).to(parameter)) for _ in range(2))
        cost = sum(
            ((pair.compute_energies(d, one, other) / kt).square().mean() for pair in learned.list_pairs()),
            start=torch.zeros((), dtype=parameter.dtype, device=parameter.device),
        )
        (weight * cost).backward()
        return weight * float(cost.detach())

    return add_gradient


def _turn(q: torch.Tensor) -> Orientations:
    return Orientations(q, compute_rotation_matrices(q))
