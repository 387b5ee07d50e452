"""What a pair costs: learned potentials against sums over sites, and from how many sites on they are cheaper."""

import collections.abc
import dataclasses
import math
import time

import numpy
import torch

from common.body_trajectories.systems import BodySystem
from common.geometry.bodies import build_body
from common.geometry.quaternions import draw_quaternions
from common.potentials.body_pairs import BodyPotential
from common.potentials.site_functions import SiteTerm
from common.rollouts.candidates import Candidate

SITES = (1, 3, 7, 12, 20, 30, 45, 60)
"""Sites of made-up bodies, on which sums over sites are timed."""

N_PAIRS = 256

N_REPEATS = 3
"""Of which the fastest counts."""


@dataclasses.dataclass(frozen=True)
class Costs:
    """[µs] of processor time for the force and torques of a pair, one thread.

    Attributes:
        sites: by number of sites of a body, of the sum of Lennard-Jones and Coulomb terms.
        candidates: by name, as they are simulated: compiled where they can be.
        crossovers: by name, the number of sites from which on the candidate is cheaper; infinite where it never is.
        by_torch, torch_crossovers: the same of candidates that are not compiled, as the sums over sites are not.
    """

    sites: dict[int, float]
    candidates: dict[str, float]
    crossovers: dict[str, float]
    by_torch: dict[str, float]
    torch_crossovers: dict[str, float]


def measure_costs(candidates: collections.abc.Sequence[Candidate], system: BodySystem) -> Costs:
    """All in one run, so that other programs on the machine disturb all alike."""
    body = system.kinds[0]
    pair = dataclasses.replace(system, bodies=(body, body), spring=None, box=None, cutoff=None)
    reach = 2.0 * float(abs(body.sites).max()) + 2.0
    timed = {n: _build_made_up(n) for n in SITES}
    learned = {one.name: _freeze(one.build(pair)) for one in candidates}
    sites = dict.fromkeys(SITES, math.inf)
    costs, by_torch = dict.fromkeys(learned, math.inf), dict.fromkeys(learned, math.inf)
    for _ in range(N_REPEATS):
        for n, potential in timed.items():
            sites[n] = min(sites[n], _time(potential, 12.0))
        for name, potential in learned.items():
            costs[name] = min(costs[name], _time(potential, reach))
            by_torch[name] = min(by_torch[name], _time(potential, reach, is_compiled=False))
    crossovers, others = (
        {name: _find_crossover(sites, cost) for name, cost in own.items()} for own in (costs, by_torch)
    )
    return Costs(sites, costs, crossovers, by_torch, others)


def _freeze(potential: BodyPotential) -> BodyPotential:
    """Without gradients by weights, so that torch keeps no graph, whether or not it is told to."""
    for term in (term for pairs in potential.groups for term in pairs.terms):
        if isinstance(term, torch.nn.Module):
            term.requires_grad_(False)
    return potential


def _build_made_up(n_sites: int) -> BodyPotential:
    random = numpy.random.default_rng(n_sites)
    body, _ = build_body(
        "made up", random.normal(size=(n_sites, 3)), numpy.ones(n_sites), [f"{i}" for i in range(n_sites)]
    )
    ones = dict.fromkeys(body.labels, 1.0)
    terms = (SiteTerm("lennard-jones", {"epsilon": ones, "sigma": ones}), SiteTerm("coulomb", {"charge": ones}))
    return BodySystem((body, body), terms).build_site_potential()


def _time(potential: BodyPotential, distance: float, is_compiled: bool = True) -> float:
    generator = torch.Generator().manual_seed(0)
    positions = torch.zeros(N_PAIRS, 2, 3, dtype=torch.float64)
    positions[:, 1, 0] = distance
    quaternions = draw_quaternions((N_PAIRS, 2), generator)
    with torch.set_grad_enabled(not is_compiled):  # where no gradient may follow, models are compiled
        potential.compute_field(positions, quaternions)
        start = time.process_time()
        for _ in range(3):
            potential.compute_field(positions, quaternions)
        return (time.process_time() - start) / 3.0 / N_PAIRS * 1e6


def _find_crossover(sites: dict[int, float], cost: float) -> float:
    """Between two numbers of sites on a straight line of logarithms; the cost of a sum grows as their square."""
    numbers, values = list(sites), list(sites.values())
    if cost <= values[0]:
        return float(numbers[0])
    for (n, below), (m, above) in zip(
        zip(numbers, values, strict=True), zip(numbers[1:], values[1:], strict=True), strict=False
    ):
        if below < cost <= above:
            part = math.log(cost / below) / math.log(above / below)
            return math.exp(math.log(n) + part * math.log(m / n))
    return numbers[-1] * math.sqrt(cost / values[-1])
