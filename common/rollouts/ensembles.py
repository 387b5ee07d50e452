"""What bodies do at a temperature: distributions of pairs, and the structure of a small liquid.

Each of many chains is a block: the means of chains are independent, and their spread gives the standard error of a
histogram. Two potentials agree in a bin where their difference is within 1.96 standard errors of the difference.
"""

import collections.abc
import dataclasses
import math

import numpy
import torch

from common.body_trajectories.simulation import Protocol, equilibrate
from common.body_trajectories.systems import BodySystem
from common.dynamics.rigid_bodies import Motion
from common.dynamics.rigid_langevin import integrate_langevin
from common.geometry.quaternions import compute_rotation_matrices
from common.potentials.body_pairs import BodyPotential, apply_minimum_image
from common.rollouts.candidates import Candidate

N_BINS = 20

MIN_COUNT = 25.0
"""Bins with fewer samples than this on average over both are left out: there is nothing to compare."""

NORMAL_95 = 1.96

COMPRESSION = 0.985
"""Of the box, at a time, until a liquid has its density."""


@dataclasses.dataclass(frozen=True)
class Histogram:
    """A distribution with its uncertainty.

    Attributes:
        edges: ``shape=(n_bins + 1,)``.
        density: ``shape=(n_bins,)``, whose integral is one.
        error: [same] standard error of the density.
        counts: samples in each bin.
    """

    edges: numpy.ndarray
    density: numpy.ndarray
    error: numpy.ndarray
    counts: numpy.ndarray


QUANTITIES = {
    "distance": "distance of the centres",
    "mutual angle": "|cos| of the angle between the axes",
    "polar angle": "|cos| of the angle between axis and line of centres",
}


def measure_pairs(motion: Motion) -> dict[str, torch.Tensor]:
    """The quantities of the pair of the first two bodies, ``(...)`` each; orientations are those of the z axes."""
    d = motion.positions[..., 1, :] - motion.positions[..., 0, :]
    r = d.norm(dim=-1)
    axes = compute_rotation_matrices(motion.quaternions)[..., 2]
    return {
        "distance": r,
        "mutual angle": (axes[..., 0, :] * axes[..., 1, :]).sum(-1).abs(),
        "polar angle": (axes[..., 0, :] * d).sum(-1).abs() / r,
    }


def sample_pairs(
    candidate: Candidate, system: BodySystem, start: Motion, protocol: Protocol, n_frames: int
) -> dict[str, torch.Tensor]:
    """Langevin dynamics of a potential with the known terms: the quantities, ``shape=(n_chains, n_frames)`` each.

    Args:
        candidate: the potential.
        system: two bodies.
        start: of the chains.
        protocol: temperature, friction, step, interval and seed; its equilibration time is run first.
        n_frames: that are kept of each chain.
    """
    potential, inertia = system.add_spring(candidate.build(system)), system.build_inertia()
    generator = torch.Generator().manual_seed(protocol.seed)
    n_steps = max(1, round(protocol.interval / protocol.step))
    n_before = max(1, round(protocol.equilibration_time / protocol.interval))
    kept: dict[str, list[torch.Tensor]] = {name: [] for name in QUANTITIES}
    with torch.no_grad():
        frames = integrate_langevin(
            start, potential.compute_field, inertia, protocol.step, n_before + n_frames, n_steps, protocol.kt,
            protocol.friction, generator,
        )  # fmt: skip
        for i, motion in enumerate(frames):
            if i >= n_before:
                for name, values in measure_pairs(motion).items():
                    kept[name].append(values)
    return {name: torch.stack(values, 1) for name, values in kept.items()}


def build_histogram(values: torch.Tensor, edges: numpy.ndarray) -> Histogram:
    """Of chains ``shape=(n_chains, n_frames)``, with the standard error from the spread of the chains."""
    counts = numpy.stack([numpy.histogram(chain, edges)[0] for chain in values.numpy()])
    densities = counts / (values.shape[1] * numpy.diff(edges))
    error = densities.std(axis=0, ddof=1) / math.sqrt(len(densities))
    return Histogram(edges, densities.mean(axis=0), error, counts.sum(axis=0))


def choose_edges(values: collections.abc.Sequence[torch.Tensor], name: str) -> numpy.ndarray:
    """The same for all that is compared."""
    if name != "distance":
        return numpy.linspace(0.0, 1.0, N_BINS + 1)
    everything = torch.cat([one.flatten() for one in values]).numpy()
    low, high = numpy.quantile(everything, (0.0005, 0.9995))
    return numpy.linspace(float(low), float(high), N_BINS + 1)


def compare_histograms(one: Histogram, other: Histogram) -> float:
    """The part of the bins in which two distributions agree within 95 % intervals of their difference."""
    counted = 0.5 * (one.counts + other.counts) >= MIN_COUNT
    width = NORMAL_95 * numpy.hypot(one.error, other.error)
    return float((abs(one.density - other.density) <= width)[counted].mean()) if counted.any() else math.nan


def compute_total_variation(one: Histogram, other: Histogram) -> float:
    """Half the integral of the absolute difference: the share of the samples that would have to be moved.

    Intervals narrow with every chain until no approximation lies within them; this does not.
    """
    return 0.5 * float((abs(one.density - other.density) * numpy.diff(one.edges)).sum())


@dataclasses.dataclass(frozen=True)
class Structure:
    """Radial distribution of the centres in a liquid.

    Attributes:
        distances: [length] middles of the bins, ``shape=(n_bins,)``.
        values: g(r), ``shape=(n_bins,)``.
    """

    distances: numpy.ndarray
    values: numpy.ndarray


def prepare_liquid(system: BodySystem, exact: Candidate, protocol: Protocol) -> Motion:
    """Bodies in their box at the temperature, ``shape=(1, n_bodies, 3 | 4)``: from a wide lattice, compressed.

    Args:
        system: bodies in a box with a cutoff.
        exact: the potential to do it with.
        protocol: temperature and friction, step, and the time between compressions (the interval).
    """
    assert system.box is not None  # it is a liquid
    generator = torch.Generator().manual_seed(protocol.seed)
    box = 2.0 * system.box
    wide = dataclasses.replace(system, box=box)
    motion = equilibrate(wide, 1, dataclasses.replace(protocol, equilibration_time=protocol.interval), generator)
    inertia = system.build_inertia()
    n_steps = max(1, round(protocol.interval / protocol.step))
    with torch.no_grad():
        while box > system.box:
            shrunk = max(system.box, COMPRESSION * box)
            motion = motion._replace(positions=motion.positions * (shrunk / box))
            box = shrunk
            field = exact.build(dataclasses.replace(system, box=box)).compute_field
            [motion] = integrate_langevin(
                motion, field, inertia, protocol.step, 1, n_steps, protocol.kt, protocol.friction, generator
            )
    return motion


def sample_structure(
    candidate: Candidate, system: BodySystem, start: Motion, protocol: Protocol, n_frames: int
) -> Structure:
    """g(r) of a liquid by Langevin dynamics; the equilibration time of the protocol is run first."""
    assert system.box is not None  # it is a liquid
    potential: BodyPotential = candidate.build(system)
    generator = torch.Generator().manual_seed(protocol.seed)
    n_steps = max(1, round(protocol.interval / protocol.step))
    n_before = max(1, round(protocol.equilibration_time / protocol.interval))
    edges = numpy.linspace(0.0, 0.5 * system.box, 41)
    first, second = torch.triu_indices(len(system.bodies), len(system.bodies), 1)
    counts = numpy.zeros(len(edges) - 1)
    with torch.no_grad():
        frames = integrate_langevin(
            start, potential.compute_field, system.build_inertia(), protocol.step, n_before + n_frames, n_steps,
            protocol.kt, protocol.friction, generator,
        )  # fmt: skip
        for i, motion in enumerate(frames):
            if i >= n_before:
                d = apply_minimum_image(motion.positions[:, second] - motion.positions[:, first], system.box)
                counts += numpy.histogram(d.norm(dim=-1).numpy(), edges)[0]
    shells = 4.0 / 3.0 * math.pi * numpy.diff(edges**3)
    expected = n_frames * len(first) * shells / system.box**3
    return Structure(0.5 * (edges[1:] + edges[:-1]), counts / expected)
