"""The parts of a run, made of plain settings: what fails, what is measured, how replicas move and where they start."""

import collections.abc
import dataclasses

import torch

from common.dynamics.langevin import Langevin
from common.dynamics.nose_hoover import NoseHoover
from common.dynamics.states import draw_velocities, remove_momentum
from common.observables.deviations import BondDeviation, Contact, Deviation, InstabilityFraction
from common.observables.distributions import (
    AngleDistribution,
    BondLengthDistribution,
    PairDistribution,
    RadialDistribution,
)
from common.observables.moments import MeanAngles, MeanBonds, Moments
from common.observables.observable import Observable
from common.processes.generators import make_generator
from common.replicas.epochs import Integrator
from common.replicas.reference import Reference

FRAMES_AT_ONCE = 500
"""Whose observables are computed in one go."""


@dataclasses.dataclass(frozen=True)
class ObservableSettings:
    """How distributions are computed.

    Attributes:
        rdf_step, rdf_width: [Angstrom] bins and Gaussians of distributions of distances.
        rdf_largest: [Angstrom] distance; of liquids at most half the box.
        angle_width: [degree] of the Gaussians of angles.
    """

    rdf_step: float = 0.02
    rdf_width: float = 0.01
    rdf_largest: float = 10.0
    angle_width: float = 1.0


@dataclasses.dataclass(frozen=True)
class DeviationSettings:
    """What is failure.

    Attributes:
        bond_tolerance, bond_far: [Angstrom] of bonds from their means; None for no such criterion.
        contact_tolerance, contact_far: [Angstrom] between molecules; None for no such criterion.
    """

    bond_tolerance: float | None = 0.25
    bond_far: float = 1.0
    contact_tolerance: float | None = None
    contact_far: float = 0.6


@dataclasses.dataclass(frozen=True)
class MotionSettings:
    """How replicas move.

    Attributes:
        integrator: "langevin" or "nose-hoover".
        time_step: [fs].
        temperature: [K].
        friction: [1/fs] of Langevin dynamics.
        relaxation_time: [fs] of the thermostats of Nosé and Hoover.
    """

    integrator: str
    time_step: float
    temperature: float
    friction: float = 0.01
    relaxation_time: float = 20.0


def make_deviations(reference: Reference, settings: DeviationSettings) -> list[Deviation]:
    """What makes a replica fail.

    Raises:
        ValueError: a tolerance is so small that the reference itself fails, or there is no criterion.
    """
    deviations: list[Deviation] = []
    if settings.bond_tolerance is not None:
        means = reference.compute_bond_means()
        deviations.append(BondDeviation(reference.system, means, settings.bond_tolerance, settings.bond_far))
    if settings.contact_tolerance is not None:
        deviations.append(Contact(reference.system, settings.contact_tolerance, settings.contact_far))
    if not deviations:
        raise ValueError("no tolerance is given: nothing would ever fail")
    for deviation in deviations:
        largest = float(measure_largest(reference, deviation))
        if not largest < deviation.tolerance:
            value, limit = abs(largest), abs(deviation.tolerance)
            raise ValueError(
                f"{reference.path}: the reference itself fails: its own {deviation.name} reaches {value:.3f} Å and the "
                f"tolerance is {limit:g} Å; choose a wider one"
            )
    return deviations


def measure_largest(reference: Reference, deviation: Deviation) -> torch.Tensor:
    """The largest deviation of any frame of the reference."""
    return torch.cat([deviation.measure(part) for part in reference.coords.split(FRAMES_AT_ONCE)]).max()


def make_observable(
    name: str, reference: Reference, deviations: collections.abc.Sequence[Deviation], settings: ObservableSettings
) -> Observable:
    """An observable by its name.

    Args:
        name: "instability" (of the first deviation, "instability-contact" of contacts), "rdf", "rdf-8-1" (of two
            elements of a liquid), "adf", "bond-lengths", "moments", "mean-bonds" or "mean-angles".
        reference, deviations, settings: what it is made with.

    Raises:
        ValueError: the name is unknown, or the system has no such observable.
    """
    system, kind, _, rest = reference.system, *name.partition("-")
    bins = (settings.rdf_step, settings.rdf_width)
    if kind == "instability":
        wanted = [deviation for deviation in deviations if rest in ("", deviation.name)]
        if wanted:
            return InstabilityFraction(wanted[0])
    if name == "rdf":
        return RadialDistribution(system, *bins, settings.rdf_largest)
    if kind == "rdf" and rest.replace("-", "").isdecimal() and rest.count("-") == 1:
        first, second = (int(number) for number in rest.split("-"))
        return PairDistribution(system, (first, second), *bins)
    if name == "adf":
        return AngleDistribution(system, settings.angle_width)
    if name == "bond-lengths":
        return BondLengthDistribution(system, *bins)
    if name == "moments":
        return Moments(system, reference.get_coords(is_held_out=False))
    if name in ("mean-bonds", "mean-angles"):
        return MeanBonds(system) if name == "mean-bonds" else MeanAngles(system)
    raise ValueError(f"there is no observable {name!r}; there are {', '.join(KNOWN_OBSERVABLES)}")


KNOWN_OBSERVABLES = (
    *("instability", "instability-contact", "rdf", "rdf-8-8", "adf"),
    *("bond-lengths", "moments", "mean-bonds", "mean-angles"),
)


def compute_mean(observable: Observable, coords: torch.Tensor) -> torch.Tensor:
    """The mean of an observable over frames, ``shape=(n_values,)``."""
    total = sum(observable.compute(part).sum(0) for part in coords.split(FRAMES_AT_ONCE))
    assert isinstance(total, torch.Tensor)
    return total / len(coords)


def make_integrator(settings: MotionSettings, masses: torch.Tensor) -> Integrator:
    """How replicas move; masses in the type and on the device of the coordinates."""
    if settings.integrator == "langevin":
        return Langevin(masses, settings.time_step, settings.temperature, settings.friction)
    return NoseHoover(masses, settings.time_step, settings.temperature, settings.relaxation_time)


def draw_starts(
    reference: Reference, is_held_out: bool, n_replicas: int, temperature: float, key: tuple, masses: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames of the reference, drawn at random, and Maxwell's velocities without momentum.

    Args:
        reference: whose frames.
        is_held_out: from the part that nothing is learnt from.
        n_replicas: how many; each frame at most once, where there are enough.
        temperature: [K].
        key: names the drawing.
        masses: in the type and on the device that are wanted.
    """
    coords = reference.get_coords(is_held_out)
    generator = make_generator("starts", *key)
    order = torch.cat([torch.randperm(len(coords), generator=generator) for _ in range(-(-n_replicas // len(coords)))])
    velocities = draw_velocities(masses, temperature, (n_replicas,), generator)
    return coords[order[:n_replicas]].to(masses), remove_momentum(velocities, masses)
