"""Rigid bodies at a temperature: Langevin dynamics by the splitting BAOAB, and thermal velocities to start from.

Leimkuhler and Matthews, Appl. Math. Res. Express 2013, 34; the drift A is that of :mod:`common.dynamics.rigid_bodies`,
half a step at a time, and O pulls v and L towards their thermal distributions:

    v <- c v + sqrt((1 - c²) kT / M) ξ,   L_k <- c L_k + sqrt((1 - c²) kT I_k) ξ,   c = exp(-γ h)
"""

import collections.abc
import math

import torch

from common.dynamics.rigid_bodies import Field, Inertia, Motion, drift, kick


def draw_thermal_motion(
    positions: torch.Tensor, quaternions: torch.Tensor, inertia: Inertia, kt: float, generator: torch.Generator
) -> Motion:
    """Bodies in these places with velocities and angular momenta of temperature ``kt`` [energy].

    Axes without a moment of inertia get no angular momentum.
    """
    velocities = _draw(positions, generator) * torch.sqrt(kt / inertia.masses)
    momenta = _draw(positions, generator) * torch.sqrt(kt * inertia.moments)
    return Motion(positions, quaternions, velocities, momenta)


def integrate_langevin(
    motion: Motion,
    field: Field,
    inertia: Inertia,
    step: float,
    n_frames: int,
    steps_per_frame: int,
    kt: float,
    friction: float,
    generator: torch.Generator,
) -> collections.abc.Iterator[Motion]:
    """Yields the motion after each frame of some steps; one evaluation of the field a step.

    Args:
        motion: where to start.
        field: forces and torques.
        inertia: of the bodies.
        step: [time].
        n_frames, steps_per_frame: how far to go.
        kt: [energy] the temperature.
        friction: γ [1 / time], of translation and rotation alike.
        generator: of the noise.
    """
    keep = math.exp(-friction * step)
    widths = math.sqrt(1.0 - keep**2) * torch.sqrt(kt / inertia.masses)
    spin_widths = math.sqrt(1.0 - keep**2) * torch.sqrt(kt * inertia.moments)
    forces, torques = field(motion.positions, motion.quaternions)
    for _ in range(n_frames):
        for _ in range(steps_per_frame):
            motion = drift(kick(motion, forces, torques, inertia, 0.5 * step), inertia, 0.5 * step)
            motion = motion._replace(
                velocities=keep * motion.velocities + widths * _draw(motion.velocities, generator),
                angular_momenta=keep * motion.angular_momenta + spin_widths * _draw(motion.velocities, generator),
            )
            motion = drift(motion, inertia, 0.5 * step)
            forces, torques = field(motion.positions, motion.quaternions)
            motion = kick(motion, forces, torques, inertia, 0.5 * step)
        yield motion


def _draw(like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(like.shape, generator=generator, dtype=like.dtype)
