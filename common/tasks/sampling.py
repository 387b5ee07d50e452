"""Dynamics by a model or any level of theory, one molecule at a time, as long as they make sense."""

import dataclasses
import os
import typing

import ase.data
import numpy
import torch

from common.calculators.interface import Calculator
from common.dynamics.langevin import Langevin, run_langevin
from common.dynamics.states import Evaluate, begin, draw_velocities
from common.files.arrays import read_arrays, write_arrays

OVERLAP = 0.5
"""Atoms overlap that are nearer than this share of the sum of their covalent radii: half a bond."""

LARGEST_DISTANCE = 100.0
"""[Angstrom] from the centre; what has flown off further is lost, and what it says of energies means nothing."""


@dataclasses.dataclass(frozen=True)
class DynamicsSettings:
    """How dynamics are run.

    Attributes:
        time_step: [fs].
        friction: [1/fs] of the Langevin thermostat; 0 for constant energy.
        frame_interval: [steps] between two frames.
    """

    time_step: float = 0.5
    friction: float = 0.01
    frame_interval: int = 5


@dataclasses.dataclass(frozen=True)
class Run:
    """A piece of a trajectory.

    Attributes:
        numbers: atomic numbers, ``shape=(n_atoms,)``.
        start_coords, start_velocities: [Angstrom] and [Angstrom/fs] ``shape=(n_atoms, 3)``.
        coords: [Angstrom] of the frames, the start not among them, ``shape=(n_frames, n_atoms, 3)``.
        energies: [kcal/mol] of the frames by what drove them, ``shape=(n_frames,)``.
        end_velocities: [Angstrom/fs] of the last frame, ``shape=(n_atoms, 3)``.
        n_steps: up to the last frame.
        reason: why it ended early; "" where it did not.
    """

    numbers: numpy.ndarray
    start_coords: numpy.ndarray
    start_velocities: numpy.ndarray
    coords: numpy.ndarray
    energies: numpy.ndarray
    end_velocities: numpy.ndarray
    n_steps: int
    reason: str


def get_masses(numbers: numpy.ndarray) -> torch.Tensor:
    """Masses of the elements [amu], ``shape=(n_atoms,)`` float64, IUPAC 2016."""
    return torch.from_numpy(ase.data.atomic_masses_iupac2016[numbers])


def find_flaw(numbers: numpy.ndarray, coords: numpy.ndarray) -> str:
    """Why a geometry makes no sense; "" where it does.

    Args:
        numbers: atomic numbers, ``shape=(n_atoms,)``.
        coords: [Angstrom] ``shape=(n_atoms, 3)``.
    """
    if not numpy.isfinite(coords).all():
        return "a coordinate is not finite"
    if numpy.linalg.norm(coords - coords.mean(axis=0), axis=1).max() > LARGEST_DISTANCE:
        return "an atom has flown off"
    i, j = numpy.triu_indices(len(numbers), 1)
    radii = ase.data.covalent_radii[numbers]
    if (numpy.linalg.norm(coords[i] - coords[j], axis=1) < OVERLAP * (radii[i] + radii[j])).any():
        return "atoms overlap"
    return ""


def draw_start_velocities(numbers: numpy.ndarray, temperature: float, seed: int) -> numpy.ndarray:
    """Maxwell's velocities [Angstrom/fs], ``shape=(n_atoms, 3)``, at a temperature [K]."""
    generator = torch.Generator().manual_seed(seed)
    return draw_velocities(get_masses(numbers), temperature, (), generator).numpy()


def run_dynamics(
    evaluate: Evaluate,
    numbers: numpy.ndarray,
    coords: numpy.ndarray,
    velocities: numpy.ndarray,
    temperature: float,
    n_steps: int,
    settings: DynamicsSettings,
    seed: int,
) -> Run:
    """Langevin dynamics of one molecule, ended where a frame makes no sense any more; that frame is left out.

    Args:
        evaluate: energy and forces of ``shape=(1, n_atoms, 3)``.
        numbers: atomic numbers, ``shape=(n_atoms,)``.
        coords, velocities: [Angstrom] and [Angstrom/fs] at the start, ``shape=(n_atoms, 3)``.
        temperature: [K] of the thermostat.
        n_steps: at least 1; the last frame is that of the last step.
        settings: how.
        seed: of the noise.
    """
    integrator = Langevin(get_masses(numbers), settings.time_step, temperature, settings.friction)
    generator = torch.Generator().manual_seed(seed)
    state = begin(evaluate, torch.from_numpy(coords)[None], torch.from_numpy(velocities)[None])
    frames: list[numpy.ndarray] = []
    energies: list[float] = []
    end, n_done, reason = velocities, 0, ""
    for step, state in enumerate(run_langevin(integrator, evaluate, state, n_steps, generator), start=1):  # noqa: B020
        if step % settings.frame_interval and step != n_steps:
            continue
        positions, energy = state.coords[0].numpy(), float(state.energies[0])
        reason = find_flaw(numbers, positions)
        if not reason and not numpy.isfinite(energy):
            reason = "the energy is not finite"
        if reason:
            break
        frames.append(positions.copy())
        energies.append(energy)
        end, n_done = state.velocities[0].numpy().copy(), step
    shape = (len(frames), len(numbers), 3)
    return Run(
        numbers, coords, velocities, numpy.array(frames).reshape(shape), numpy.array(energies), end, n_done, reason
    )


def make_evaluate(calculator: Calculator, numbers: numpy.ndarray, charge: int) -> Evaluate:
    """A level of theory as the function that integrators take."""

    def evaluate(coords: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = [calculator(numbers, frame, charge) for frame in coords.double().numpy()]
        energies = torch.tensor([each.energy for each in found], dtype=torch.float64)
        return energies, torch.from_numpy(numpy.stack([each.forces for each in found]))

    return evaluate


def save_run(path: str | os.PathLike, run: Run) -> None:
    """Writes a run as ``.npz``, whole or not at all."""
    write_arrays(path, dataclasses.asdict(run))


def load_run(path: str | os.PathLike) -> Run:
    """Reads what :func:`save_run` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged.
    """
    values = read_arrays(path, [field.name for field in dataclasses.fields(Run)])
    plain: dict[str, typing.Any] = {**values, "n_steps": int(values["n_steps"]), "reason": str(values["reason"])}
    return Run(**plain)
