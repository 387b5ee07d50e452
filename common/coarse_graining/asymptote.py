"""How a potential ends where the data do: like dispersion, so that its value there is known from its force.

A constant added to U changes no force. That U vanishes far away is in the form of a learned potential, but between the
largest distances of the data and that limit nothing else holds it. There neutral bodies attract each other by C / r⁶,
for which

    6 U + r ∂U/∂r = 0:

at the edge of the data U is a sixth of r times the force, which the data do tell. So random pairs from that distance to
one and a half of it are made to cost ((6 U + r ∂U/∂r) / 6 kT)². Short-ranged bodies, for which U is zero there, fulfil
this too. For charged bodies it is wrong: give it no weight.
"""

import collections.abc

import torch

from common.body_trajectories.trajectories import Trajectories
from common.coarse_graining.windows import measure_separations
from common.geometry.quaternions import compute_rotation_matrices, draw_quaternions
from common.pair_networks.potential import TAIL_POWER, LearnedPotential
from common.potentials.body_pairs import Orientations

N_PAIRS = 32
"""Drawn for each step of the optimiser."""

EDGE = 0.995
"""Of the distances of the data are smaller than that from which pairs are drawn: beyond it forces are hardly known."""

STRETCH = 1.5
"""The largest distance drawn, over the smallest."""


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
    separations = measure_separations(data.motion, data.system.box).flatten().sort().values
    start, kt = float(separations[int(EDGE * (len(separations) - 1))]), data.kt or 1.0
    parameter = next(learned.parameters())

    def add_gradient(number: int) -> float:
        if weight == 0.0:
            return 0.0
        generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
        r = start * (1.0 + (STRETCH - 1.0) * torch.rand(N_PAIRS, generator=generator, dtype=torch.float64))
        d = torch.stack((torch.zeros_like(r), torch.zeros_like(r), r), -1).to(parameter)
        one, other = (_turn(draw_quaternions((N_PAIRS,), generator).to(parameter)) for _ in range(2))
        cost = torch.zeros((), dtype=parameter.dtype, device=parameter.device)
        for pair in learned.list_pairs():
            felt = pair.compute_gradient(d, one, other)
            excess = TAIL_POWER * felt.energies - (felt.forces * d).sum(-1)  # the force is on the second body, -∂U/∂d
            cost = cost + (excess / (TAIL_POWER * kt)).square().mean()
        (weight * cost).backward()
        return weight * float(cost.detach())

    return add_gradient


def _turn(q: torch.Tensor) -> Orientations:
    return Orientations(q, compute_rotation_matrices(q))
