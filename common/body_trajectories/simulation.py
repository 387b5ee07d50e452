"""Reference trajectories of a system: places to start from, a thermostat, then frames at constant energy."""

import collections.abc
import dataclasses

import torch

from common.body_trajectories.systems import BodySystem
from common.body_trajectories.trajectories import Trajectories
from common.dynamics.rigid_bodies import Motion, compute_momentum, integrate
from common.dynamics.rigid_langevin import draw_thermal_motion, integrate_langevin
from common.geometry.quaternions import draw_quaternions
from common.potentials.body_pairs import BodyPotential

START_ENERGY = 10.0
"""[kT] No system starts from a place with more energy than this for each pair of bodies."""

N_TRIES = 2000
"""Places to try before giving up."""

SPACING_STEP = 1.02
"""Bodies that start too near to each other are moved apart by this factor."""


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How trajectories are made; times in the units of the system.

    Attributes:
        kt: [energy].
        friction: [1 / time] of the thermostat.
        equilibration_step, equilibration_time: with the thermostat.
        step: at constant energy.
        interval: between frames.
        n_frames: that are kept, the first at the start.
        seed: of places, velocities and noise.
    """

    kt: float
    friction: float
    equilibration_step: float
    equilibration_time: float
    step: float
    interval: float
    n_frames: int
    seed: int

    @property
    def steps_per_frame(self) -> int:
        """Steps from frame to frame; the step is made a bit shorter where it does not fit."""
        return max(1, round(self.interval / self.step))


def draw_places(
    system: BodySystem, potential: BodyPotential, n_systems: int, kt: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions and random orientations without overlap, ``(n_systems, n_bodies, 3 | 4)``.

    Two bodies start at the length of their spring in any direction; more stand on a lattice, in the open as dense as
    they go without overlap.

    Raises:
        ValueError: no place without overlap was found: the box is too small.
    """
    n_bodies = len(system.bodies)
    quaternions = draw_quaternions((n_systems, n_bodies), generator)
    lattice = _build_lattice(system, n_systems, generator)
    scale = torch.ones(n_systems, 1, 1, dtype=torch.float64)
    limit = START_ENERGY * kt * n_bodies * (n_bodies - 1) / 2.0
    for _ in range(N_TRIES):
        energies = potential.compute_energy(scale * lattice, quaternions)
        wrong = ~(energies < limit)
        if not wrong.any():
            return scale * lattice, quaternions
        if system.box is None:
            scale[wrong] *= SPACING_STEP
        quaternions[wrong] = draw_quaternions((int(wrong.sum()), n_bodies), generator)
    raise ValueError(f"no places without overlap for {n_bodies} bodies: the box is too small, or the spring too short")


def _build_lattice(system: BodySystem, n_systems: int, generator: torch.Generator) -> torch.Tensor:
    n_bodies = len(system.bodies)
    largest = max(float(torch.from_numpy(body.sites).norm(dim=-1).max()) for body in system.bodies)
    if n_bodies == 2 and system.box is None:
        direction = torch.randn(n_systems, 1, 3, generator=generator, dtype=torch.float64)
        direction = direction / direction.norm(dim=-1, keepdim=True)
        length = system.spring.length if system.spring is not None else 2.0 * largest + 1.0
        return torch.cat((-0.5 * length * direction, 0.5 * length * direction), 1)
    n_edge = int(torch.tensor(n_bodies ** (1.0 / 3.0) - 1e-9).ceil())
    spacing = (largest + 1.0) if system.box is None else system.box / n_edge
    grid = torch.cartesian_prod(*[torch.arange(n_edge, dtype=torch.float64)] * 3)
    shuffled = grid[torch.randperm(len(grid), generator=generator)[:n_bodies]]
    return (spacing * shuffled).expand(n_systems, n_bodies, 3).clone()


def equilibrate(system: BodySystem, n_systems: int, protocol: Protocol, generator: torch.Generator) -> Motion:
    """Systems at the temperature, at rest as a whole, after the thermostat's time."""
    potential, inertia = system.add_spring(system.build_site_potential()), system.build_inertia()
    places = draw_places(system, potential, n_systems, protocol.kt, generator)
    motion = draw_thermal_motion(*places, inertia, protocol.kt, generator)
    n_steps = max(1, round(protocol.equilibration_time / protocol.equilibration_step))
    [motion] = integrate_langevin(
        motion,
        potential.compute_field,
        inertia,
        protocol.equilibration_step,
        1,
        n_steps,
        protocol.kt,
        protocol.friction,
        generator,
    )
    drift = compute_momentum(motion, inertia)[..., None, :] / inertia.masses.sum()
    centre = (inertia.masses * motion.positions).sum(-2, keepdim=True) / inertia.masses.sum()
    if system.box is not None:
        centre = torch.zeros_like(centre)
    return motion._replace(velocities=motion.velocities - drift, positions=motion.positions - centre)


def simulate(
    system: BodySystem,
    n_trajectories: int,
    protocol: Protocol,
    name: str,
    report: collections.abc.Callable[[int], object] = lambda n_frames: None,
) -> Trajectories:
    """Trajectories at constant energy with the energies, forces and torques of the sites, without those of the spring.

    Args:
        system: with known interactions of sites.
        n_trajectories: that run side by side.
        protocol: how.
        name: of the trajectories, which are numbered.
        report: is told how many frames are done, as they are.
    """
    generator = torch.Generator().manual_seed(protocol.seed)
    start = equilibrate(system, n_trajectories, protocol, generator)
    sites, inertia = system.build_site_potential(), system.build_inertia()
    n_steps = protocol.steps_per_frame
    frames = [start]
    field = system.add_spring(sites).compute_field
    for frame in integrate(start, field, inertia, protocol.interval / n_steps, protocol.n_frames - 1, n_steps):
        frames.append(frame)
        report(len(frames))
    motion = Motion(*(torch.stack(values, 1) for values in zip(*frames, strict=True)))
    labelled = [sites.compute_all(frame.positions, frame.quaternions) for frame in frames]
    energies, forces, torques = (torch.stack(values, 1) for values in zip(*labelled, strict=True))
    names = tuple(f"{name}-{i:04d}" for i in range(1, n_trajectories + 1))
    return Trajectories(system, protocol.interval, motion, names, energies, forces, torques, protocol.kt)


def label_trajectories(trajectories: Trajectories) -> Trajectories:
    """The same with energies, forces and torques of the sites, where their interaction is known."""
    if not trajectories.system.site_terms:
        return trajectories
    motion = trajectories.motion
    values = trajectories.system.build_site_potential().compute_all(motion.positions, motion.quaternions)
    return dataclasses.replace(trajectories, energies=values[0], forces=values[1], torques=values[2])


def split_trajectories(trajectories: Trajectories, fractions: tuple[float, float]) -> dict[str, Trajectories]:
    """Train, validation and test, by whole trajectories, in their order.

    Args:
        trajectories: all of them.
        fractions: of validation and test; each has one trajectory at least.

    Raises:
        ValueError: there are fewer than three trajectories, or nothing is left to train on.
    """
    counts, start, splits = count_splits(trajectories.n_trajectories, fractions), 0, {}
    for split, n in counts.items():
        splits[split] = trajectories.select(slice(start, start + n))
        start += n
    return splits


def count_splits(n_trajectories: int, fractions: tuple[float, float]) -> dict[str, int]:
    """How many of so many trajectories go to train, validation and test; arguments and errors as above."""
    n_validation, n_test = (max(1, round(fraction * n_trajectories)) for fraction in fractions)
    n_train = n_trajectories - n_validation - n_test
    if n_train < 1:
        raise ValueError(
            f"n_trajectories = {n_trajectories}: too few, with {n_validation} for validation and {n_test} for test"
        )
    return {"train": n_train, "validation": n_validation, "test": n_test}
