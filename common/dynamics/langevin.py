"""Langevin dynamics by the splitting BAOAB (B. Leimkuhler, C. Matthews, Appl. Math. Res. Express 2013, 34).

    m dv = F dt - γmv dt + √(2γmkT) dW

One step: half a kick by the forces (B), half a drift (A), friction and noise in closed form (O), half a drift, half a
kick. Averages over positions are those of the temperature asked for up to the fourth order of the step in harmonic
wells. Without friction it is velocity Verlet.
"""

import collections.abc
import dataclasses
import math

import torch

from common.dynamics.states import Evaluate, State, compute_thermal_speeds
from common.units import FORCE_TO_ACCELERATION


@dataclasses.dataclass(frozen=True)
class Langevin:
    """The integrator; a step takes one molecule or any number of replicas.

    Sums are rounded one by one and no operation reaches across replicas, so that a replica's numbers do not depend on
    which others are computed with it.

    Attributes:
        masses: [amu] ``shape=(n_atoms,)``, in the type and on the device of the coordinates.
        time_step: [fs].
        temperature: [K].
        friction: γ [1/fs]; 0 for constant energy.
    """

    masses: torch.Tensor
    time_step: float
    temperature: float
    friction: float = 0.01

    n_thermostats = 0
    needs_noise = True

    def __post_init__(self):
        decay = math.exp(-self.friction * self.time_step)
        spread = math.sqrt(1.0 - decay * decay) * compute_thermal_speeds(self.masses, self.temperature)
        kick = (0.5 * self.time_step * FORCE_TO_ACCELERATION / self.masses)[:, None]
        object.__setattr__(self, "_constants", (kick, 0.5 * self.time_step, decay, spread))

    def step(self, state: State, evaluate: Evaluate, noise: torch.Tensor | None) -> State:
        """The state one time step later.

        Args:
            state: where the replicas are.
            evaluate: gives energies and forces.
            noise: independent standard normal numbers of the shape of ``coords``; None for 0.
        """
        kick, half, decay, spread = self._constants  # type: ignore[attr-defined]
        velocities = state.velocities + kick * state.forces
        coords = state.coords + half * velocities
        velocities = decay * velocities
        if noise is not None:
            velocities = velocities + spread * noise
        coords = coords + half * velocities
        energies, forces = evaluate(coords)
        return State(coords, velocities + kick * forces, energies, forces, state.thermostat)


def run_langevin(
    integrator: Langevin, evaluate: Evaluate, state: State, n_steps: int, generator: torch.Generator
) -> collections.abc.Iterator[State]:
    """The states after each of ``n_steps`` steps, with noise drawn one step at a time from ``generator``."""
    for _ in range(n_steps):
        noise = torch.randn(state.coords.shape, generator=generator, dtype=state.coords.dtype)
        state = integrator.step(state, evaluate, noise.to(state.coords.device))
        yield state
