"""Rigid bodies in motion: velocity Verlet with the exact, symmetric splitting of the free rotor.

With v the velocity, x the position, q the orientation (body -> laboratory) and L the angular momentum along the body's
own principal axes,

    M dv/dt = F,   dx/dt = v,   dL/dt = τ - ω × L,   ω_k = L_k / I_k,   dq/dt = ½ q (0, ω)

A step kicks v and L by half a step, moves x, turns the free body about its axes 3, 2, 1, 2, 3 for the parts
½, ½, 1, ½, ½ of a step, and kicks again (Dullweber, Leimkuhler and McLachlan, J. Chem. Phys. 107, 5840, 1997; the same
map as NO_SQUISH, Miller et al., J. Chem. Phys. 116, 8649, 2002). It is symplectic and reversible, keeps |q| = 1, and
|L| in free flight.

A rod has no moment about its own axis z, and its L_z must stay zero; the splitting would keep it so only to second
order. It turns about L as it is, which is exact: q <- q exp(h L / 2 I). Points do not turn.

Masses are in units of energy time² / length², so that no factor stands in any of this.
"""

import collections.abc
import math
import typing

import torch

from common.geometry.bodies import Body
from common.geometry.quaternions import compute_rotation_matrices, multiply_quaternions

Field = collections.abc.Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""From positions ``(..., n_bodies, 3)`` and quaternions ``(..., n_bodies, 4)`` to forces along the laboratory's axes
and torques along the bodies' own, ``(..., n_bodies, 3)`` both."""

TURNS = ((2, 0.5), (1, 0.5), (0, 1.0), (1, 0.5), (2, 0.5))
"""The axes of a free rotor's step, and the part of the step for each."""


class Motion(typing.NamedTuple):
    """Where bodies are and how they move; any number of systems of ``n_bodies`` each.

    Attributes:
        positions: [length] of the centres of mass, ``shape=(..., n_bodies, 3)``.
        quaternions: the orientations, ``shape=(..., n_bodies, 4)``, scalar first, body -> laboratory.
        velocities: [length / time] ``shape=(..., n_bodies, 3)``.
        angular_momenta: along the bodies' own axes, ``shape=(..., n_bodies, 3)``.
    """

    positions: torch.Tensor
    quaternions: torch.Tensor
    velocities: torch.Tensor
    angular_momenta: torch.Tensor


class Inertia(typing.NamedTuple):
    """What resists motion.

    Attributes:
        masses: ``shape=(n_bodies, 1)``.
        moments: ``shape=(n_bodies, 3)``, zero where a body cannot turn.
        inverse_moments: ``shape=(n_bodies, 3)``, zero there, too.
        rods: which bodies are rods, ``shape=(n_bodies, 1)``; None where none is.
    """

    masses: torch.Tensor
    moments: torch.Tensor
    inverse_moments: torch.Tensor
    rods: torch.Tensor | None


def collect_inertia(bodies: collections.abc.Sequence[Body], dtype: torch.dtype = torch.float64) -> Inertia:
    """The inertia of bodies, in their order."""
    masses = torch.tensor([[body.mass] for body in bodies], dtype=dtype)
    moments = torch.stack([torch.from_numpy(body.moments) for body in bodies]).to(dtype)
    inverse = torch.where(moments > 0.0, 1.0 / moments, 0.0)
    rods = torch.tensor([[body.is_linear] for body in bodies])
    return Inertia(masses, moments, inverse, rods if rods.any() else None)


def turn_freely(
    quaternions: torch.Tensor, angular_momenta: torch.Tensor, inertia: Inertia, step: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Orientations and angular momenta after free rotation, by the splitting of the module's docstring."""
    turned, momenta = _turn_by_parts(quaternions, angular_momenta, inertia.inverse_moments, step)
    if inertia.rods is None:
        return turned, momenta
    half = 0.5 * step * inertia.inverse_moments * angular_momenta
    angle = half.norm(dim=-1, keepdim=True)
    turn = torch.cat((torch.cos(angle), torch.sinc(angle / math.pi) * half), -1)
    turned = torch.where(inertia.rods, multiply_quaternions(quaternions, turn), turned)
    return turned, torch.where(inertia.rods, angular_momenta, momenta)


def _turn_by_parts(
    quaternions: torch.Tensor, angular_momenta: torch.Tensor, inverse_moments: torch.Tensor, step: float
) -> tuple[torch.Tensor, torch.Tensor]:
    q = list(quaternions.unbind(-1))
    momenta = list(angular_momenta.unbind(-1))
    half_rates = [0.5 * step * inverse for inverse in inverse_moments.unbind(-1)]
    for axis, part in TURNS:
        half_angle = part * half_rates[axis] * momenta[axis]
        cos_half, sin_half = torch.cos(half_angle), torch.sin(half_angle)
        _turn_quaternion(q, axis, cos_half, sin_half)
        # the body turns by +angle about its axis, so that L, which stays in space, turns by -angle along its axes
        cos, sin = 1.0 - 2.0 * sin_half * sin_half, 2.0 * sin_half * cos_half
        i, j = (axis + 1) % 3, (axis + 2) % 3
        momenta[i], momenta[j] = cos * momenta[i] + sin * momenta[j], cos * momenta[j] - sin * momenta[i]
    return torch.stack(q, -1), torch.stack(momenta, -1)


def _turn_quaternion(q: list[torch.Tensor], axis: int, cos_half: torch.Tensor, sin_half: torch.Tensor) -> None:
    """Turns by q <- q (cos_half, sin_half e_axis): q e_k exchanges w with component k, and the other two."""
    i, j, k = axis + 1, (axis + 1) % 3 + 1, (axis + 2) % 3 + 1
    q[0], q[i], q[j], q[k] = (
        cos_half * q[0] - sin_half * q[i],
        cos_half * q[i] + sin_half * q[0],
        cos_half * q[j] + sin_half * q[k],
        cos_half * q[k] - sin_half * q[j],
    )


def kick(motion: Motion, forces: torch.Tensor, torques: torch.Tensor, inertia: Inertia, time: float) -> Motion:
    """The motion after forces and torques have acted for some time on bodies that stand still meanwhile."""
    return motion._replace(
        velocities=motion.velocities + time / inertia.masses * forces,
        angular_momenta=motion.angular_momenta + time * torques,
    )


def drift(motion: Motion, inertia: Inertia, time: float) -> Motion:
    """The motion after some time without forces."""
    q, momenta = turn_freely(motion.quaternions, motion.angular_momenta, inertia, time)
    return Motion(motion.positions + time * motion.velocities, q, motion.velocities, momenta)


def integrate(
    motion: Motion, field: Field, inertia: Inertia, step: float, n_frames: int, steps_per_frame: int
) -> collections.abc.Iterator[Motion]:
    """Velocity Verlet: yields the motion after each frame of some steps; one evaluation of the field a step.

    Args:
        motion: where to start.
        field: forces and torques.
        inertia: of the bodies.
        step: [time]; a negative one goes back.
        n_frames, steps_per_frame: how far to go.
    """
    forces, torques = field(motion.positions, motion.quaternions)
    for _ in range(n_frames):
        for _ in range(steps_per_frame):
            motion = drift(kick(motion, forces, torques, inertia, 0.5 * step), inertia, step)
            forces, torques = field(motion.positions, motion.quaternions)
            motion = kick(motion, forces, torques, inertia, 0.5 * step)
        yield motion


def compute_kinetic_energy(motion: Motion, inertia: Inertia) -> torch.Tensor:
    """Of translation and rotation, ``(...)``."""
    translation = inertia.masses * motion.velocities**2
    rotation = motion.angular_momenta**2 * inertia.inverse_moments
    return 0.5 * (translation + rotation).sum((-1, -2))


def compute_momentum(motion: Motion, inertia: Inertia) -> torch.Tensor:
    """The sum of M v over the bodies, ``(..., 3)``."""
    return (inertia.masses * motion.velocities).sum(-2)


def compute_total_angular_momentum(motion: Motion, inertia: Inertia) -> torch.Tensor:
    """About the origin, along the laboratory's axes, of orbits and of rotation, ``(..., 3)``."""
    orbits = torch.linalg.cross(motion.positions, inertia.masses * motion.velocities)
    spins = (compute_rotation_matrices(motion.quaternions) @ motion.angular_momenta[..., None])[..., 0]
    return (orbits + spins).sum(-2)


def count_degrees_of_freedom(inertia: Inertia) -> int:
    """Three for the place of each body, one for each axis that it can turn about."""
    return 3 * len(inertia.masses) + int((inertia.moments > 0.0).sum())
