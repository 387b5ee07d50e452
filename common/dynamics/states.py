"""Where replicas are and how fast they move: the state that integrators take and give, velocities, temperature.

Units: Angstrom, fs, atomic mass units, kcal/mol, K. All functions take one molecule, ``shape=(n_atoms, 3)``, or any
number of replicas before that; masses have ``shape=(n_atoms,)``.
"""

import collections.abc
import dataclasses

import torch

from common.units import FORCE_TO_ACCELERATION, GAS_CONSTANT

Evaluate = collections.abc.Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""coords (..., n_atoms, 3) [Angstrom] -> energies (...) [kcal/mol] and forces (..., n_atoms, 3) [kcal/mol/Angstrom]."""


@dataclasses.dataclass(frozen=True)
class State:
    """Positions, velocities and what belongs to them.

    Attributes:
        coords: [Angstrom] ``shape=(..., n_atoms, 3)``.
        velocities: [Angstrom/fs] of the same shape.
        energies: [kcal/mol] ``shape=(...)``, the potential's at ``coords``.
        forces: [kcal/mol/Angstrom] of the shape of ``coords``, at ``coords``.
        thermostat: positions and velocities [1/fs] of a chain of thermostats, ``shape=(..., 2, n_thermostats)``; no
            thermostats where the integrator has none.
    """

    coords: torch.Tensor
    velocities: torch.Tensor
    energies: torch.Tensor
    forces: torch.Tensor
    thermostat: torch.Tensor

    def select(self, replicas: torch.Tensor) -> "State":
        """The state of some replicas: an index or mask over the first dimension."""
        return State(*(getattr(self, field.name)[replicas] for field in dataclasses.fields(self)))


def begin(evaluate: Evaluate, coords: torch.Tensor, velocities: torch.Tensor, n_thermostats: int = 0) -> State:
    """A state with energies and forces at ``coords``, and thermostats at rest."""
    energies, forces = evaluate(coords)
    thermostat = coords.new_zeros((*coords.shape[:-2], 2, n_thermostats))
    return State(coords, velocities, energies, forces, thermostat)


def draw_velocities(
    masses: torch.Tensor, temperature: float, shape: tuple[int, ...], generator: torch.Generator
) -> torch.Tensor:
    """Maxwell's velocities: each component normal with variance kT/m.

    Args:
        masses: ``shape=(n_atoms,)``.
        temperature: [K].
        shape: of the replicas; () for one molecule.
        generator: draws them.

    Returns:
        [Angstrom/fs] ``shape=(*shape, n_atoms, 3)``, in the type and on the device of ``masses``.
    """
    noise = torch.randn((*shape, len(masses), 3), generator=generator, dtype=masses.dtype)
    return noise.to(masses.device) * compute_thermal_speeds(masses, temperature)


def compute_thermal_speeds(masses: torch.Tensor, temperature: float) -> torch.Tensor:
    """√(kT/m) [Angstrom/fs], ``shape=(n_atoms, 1)``: the spread of one component of the velocity."""
    return torch.sqrt(GAS_CONSTANT * temperature * FORCE_TO_ACCELERATION / masses)[:, None]


def remove_momentum(velocities: torch.Tensor, masses: torch.Tensor) -> torch.Tensor:
    """The velocities in the frame of the centre of mass."""
    weights = (masses / masses.sum())[:, None]
    return velocities - (weights * velocities).sum(-2, keepdim=True)


def compute_kinetic_energy(velocities: torch.Tensor, masses: torch.Tensor) -> torch.Tensor:
    """Σ ½mv² [kcal/mol], ``shape=(...)``."""
    return (masses[:, None] * velocities * velocities).sum((-2, -1)) * (0.5 / FORCE_TO_ACCELERATION)


def compute_temperature(velocities: torch.Tensor, masses: torch.Tensor, n_fixed: int = 0) -> torch.Tensor:
    """The kinetic temperature [K], ``shape=(...)``.

    Args:
        velocities: [Angstrom/fs].
        masses: ``shape=(n_atoms,)``.
        n_fixed: degrees of freedom that do not move, e.g. 3 where the centre of mass is at rest.
    """
    n_free = 3 * len(masses) - n_fixed
    return 2.0 * compute_kinetic_energy(velocities, masses) / (n_free * GAS_CONSTANT)
