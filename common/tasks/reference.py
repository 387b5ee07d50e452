"""Dynamics by a level of theory itself: what a model is held against."""

import dataclasses
import pathlib

import numpy

from common.calculators.interface import CalculationError
from common.calculators.registry import make_calculator
from common.tasks.sampling import DynamicsSettings, draw_start_velocities, make_evaluate, run_dynamics, save_run


@dataclasses.dataclass(frozen=True)
class ReferenceTask:
    """A trajectory.

    Attributes:
        output: file of the run.
        level: name of the level that drives it.
        numbers: atomic numbers, ``shape=(n_atoms,)``.
        coords: [Angstrom] at the start, ``shape=(n_atoms, 3)``.
        charge: [e].
        temperature: [K].
        n_steps: of the run.
        settings: of the dynamics.
        seed: of velocities and noise.
    """

    output: str
    level: str
    numbers: numpy.ndarray
    coords: numpy.ndarray
    charge: int
    temperature: float
    n_steps: int
    settings: DynamicsSettings
    seed: int


def run_reference(task: ReferenceTask) -> str:
    """Runs a trajectory, unless its file is there; gives why it ended early, "" where it did not.

    Raises:
        CalculationError: a calculation failed; dynamics cannot go on without.
    """
    if pathlib.Path(task.output).is_file():
        return ""
    evaluate = make_evaluate(make_calculator(task.level), task.numbers, task.charge)
    velocities = draw_start_velocities(task.numbers, task.temperature, task.seed)
    try:
        run = run_dynamics(
            evaluate,
            task.numbers,
            task.coords,
            velocities,
            task.temperature,
            task.n_steps,
            task.settings,
            task.seed + 1,
        )
    except CalculationError as error:
        raise CalculationError(f"dynamics by {task.level}: {error}") from error
    save_run(task.output, run)
    return run.reason
