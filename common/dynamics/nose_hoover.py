"""Nosé-Hoover chains: constant temperature without noise (G. J. Martyna et al., Mol. Phys. 87, 1117 (1996)).

The first thermostat of a chain takes heat from the atoms or gives it, each further one does so with the one before:

    dv/dt = F/m - ξ₁v,   Q₁ dξ₁/dt = 2K - N_f kT - Q₁ξ₁ξ₂,   Q_k dξ_k/dt = Q_{k-1}ξ_{k-1}² - kT - Q_kξ_kξ_{k+1}

with Q₁ = N_f kT τ² and Q_k = kT τ². Steps are reversible: half a step of the chain, velocity Verlet, half a step of
the chain. The energy of atoms and chain together is conserved, see :meth:`NoseHoover.compute_conserved_energy`.
Exponentials of small numbers are replaced by (1 - x/2)/(1 + x/2), which is as reversible, differs in the third order,
and is rounded alike wherever a replica stands in a batch.
"""

import dataclasses

import torch

from common.dynamics.states import Evaluate, State, compute_kinetic_energy
from common.units import FORCE_TO_ACCELERATION, GAS_CONSTANT


@dataclasses.dataclass(frozen=True)
class NoseHoover:
    """The integrator; a step takes one molecule or any number of replicas, each with a chain of its own.

    Where nothing holds the molecule its momentum is conserved: start with a centre of mass at rest
    (``common.dynamics.states.remove_momentum``).

    Attributes:
        masses: [amu] ``shape=(n_atoms,)``, in the type and on the device of the coordinates.
        time_step: [fs].
        temperature: [K].
        relaxation_time: τ [fs], how fast the thermostats answer.
        n_thermostats: in a chain, at least 1.
        n_fixed: degrees of freedom that take no part, 3 for a centre of mass at rest.
    """

    masses: torch.Tensor
    time_step: float
    temperature: float
    relaxation_time: float = 20.0
    n_thermostats: int = 3
    n_fixed: int = 3

    needs_noise = False

    @property
    def n_free(self) -> int:
        """N_f."""
        return 3 * len(self.masses) - self.n_fixed

    def _masses_of_chain(self) -> list[float]:
        thermal = GAS_CONSTANT * self.temperature * self.relaxation_time**2
        return [self.n_free * thermal] + [thermal] * (self.n_thermostats - 1)

    def step(self, state: State, evaluate: Evaluate, noise: torch.Tensor | None) -> State:
        """The state one time step later; ``noise`` is not used. Arguments as :meth:`Langevin.step`."""
        kick = (0.5 * self.time_step * FORCE_TO_ACCELERATION / self.masses)[:, None]
        velocities, thermostat = self._move_chain(state.velocities, state.thermostat)
        velocities = velocities + kick * state.forces
        coords = state.coords + self.time_step * velocities
        energies, forces = evaluate(coords)
        velocities, thermostat = self._move_chain(velocities + kick * forces, thermostat)
        return State(coords, velocities, energies, forces, thermostat)

    def _move_chain(self, velocities: torch.Tensor, thermostat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Half a time step of the chain, from its end to the atoms and back; and the scaled velocities."""
        half, thermal, q = 0.5 * self.time_step, GAS_CONSTANT * self.temperature, self._masses_of_chain()
        place, xi = ([*part.unbind(-1)] for part in thermostat.unbind(-2))
        twice_kinetic = 2.0 * compute_kinetic_energy(velocities, self.masses)

        def push(k: int) -> None:
            """Half of the half step of ξ_k; the one behind it slows it down before and after."""
            drive = twice_kinetic - self.n_free * thermal if k == 0 else q[k - 1] * xi[k - 1] * xi[k - 1] - thermal
            slowing = _decay(0.25 * half * xi[k + 1]) if k + 1 < self.n_thermostats else 1.0
            xi[k] = (xi[k] * slowing + 0.5 * half * drive / q[k]) * slowing

        for k in reversed(range(self.n_thermostats)):
            push(k)
        scale = _decay(half * xi[0])
        twice_kinetic = twice_kinetic * scale * scale
        place = [own + half * speed for own, speed in zip(place, xi, strict=True)]
        for k in range(self.n_thermostats):
            push(k)
        moved = torch.stack((torch.stack(place, -1), torch.stack(xi, -1)), -2)
        return velocities * scale[..., None, None], moved

    def compute_conserved_energy(self, state: State) -> torch.Tensor:
        """Energy of atoms and chain [kcal/mol], ``shape=(...)``: constant but for the error of the time step."""
        place, xi = state.thermostat.unbind(-2)
        thermal = GAS_CONSTANT * self.temperature
        degrees = torch.ones(self.n_thermostats, dtype=place.dtype, device=place.device)
        degrees[0] = self.n_free
        q = torch.tensor(self._masses_of_chain(), dtype=place.dtype, device=place.device)
        chain = (0.5 * q * xi * xi + thermal * degrees * place).sum(-1)
        return state.energies + compute_kinetic_energy(state.velocities, self.masses) + chain


def _decay(x: torch.Tensor) -> torch.Tensor:
    """exp(-x) to the second order; its inverse is its value at -x."""
    return (1.0 - 0.5 * x) / (1.0 + 0.5 * x)
