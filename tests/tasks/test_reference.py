"""Dynamics by a level of theory itself."""

import dataclasses

import pytest

from common.calculators.interface import CalculationError
from common.tasks.reference import ReferenceTask, run_reference
from common.tasks.sampling import DynamicsSettings, load_run
from tests.tasks.made_up import COORDS, FRAGILE, LEVEL, NUMBERS, springs


@pytest.fixture
def task(tmp_path):
    settings = DynamicsSettings(frame_interval=5)
    return ReferenceTask(str(tmp_path / "run.npz"), LEVEL, NUMBERS, COORDS, 0, 300.0, 20, settings, 3)


def test_energies_are_those_of_the_level(task):
    assert run_reference(task) == ""
    run = load_run(task.output)
    assert len(run.coords) == 4
    for coords, energy in zip(run.coords, run.energies, strict=True):
        assert energy == springs(NUMBERS, coords, 0).energy


def test_what_is_there_is_not_run_again(task):
    run_reference(task)
    run_reference(dataclasses.replace(task, level="function:no.such:level"))


def test_a_level_that_fails_is_named(task):
    hot = dataclasses.replace(task, level=FRAGILE, temperature=20_000.0, n_steps=200)
    with pytest.raises(CalculationError, match=r"dynamics by function:.*: the SCF does not converge"):
        run_reference(hot)
