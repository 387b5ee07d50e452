"""One calculation, kept before anybody hears of it, and done once."""

import subprocess
import sys

import numpy
import pytest

from common.calculators.ledger import Ledger
from common.tasks.labelling import LabelTask, close_calculators, label_structure
from tests.helpers import ROOT
from tests.tasks.made_up import COORDS, FRAGILE, LEVEL, NUMBERS, springs


@pytest.fixture(autouse=True)
def end_processes():
    yield
    close_calculators()


def make_task(folder, level=LEVEL, coords=COORDS, time_limit=30.0):
    return LabelTask(NUMBERS, coords, 0, level, "print", str(folder), time_limit)


def test_the_result_stands_in_the_ledger(tmp_path):
    coords = COORDS + 0.05
    coords[1, 0] += 0.1
    task = make_task(tmp_path, coords=coords)
    result = label_structure(task)
    expected = springs(NUMBERS, coords, 0)
    assert result.energy == expected.energy
    assert result.max_force == numpy.linalg.norm(expected.forces, axis=1).max()
    entry = Ledger(tmp_path).read(task.key)
    assert result.key == task.key
    numpy.testing.assert_array_equal(entry.calculation.forces, expected.forces)


def test_what_is_there_is_not_computed_again(tmp_path):
    first = label_structure(make_task(tmp_path))
    close_calculators()
    again = label_structure(make_task(tmp_path, level="function:no.such:level"))
    assert again == first


def test_a_failure_is_a_result(tmp_path):
    stretched = COORDS * 1.5
    result = label_structure(make_task(tmp_path, FRAGILE, stretched))
    assert (result.energy, result.max_force, result.reason) == (None, None, "the SCF does not converge")
    assert Ledger(tmp_path).read(result.key).calculation.reason == result.reason


def test_a_calculation_that_hangs_is_a_failure(tmp_path):
    task = LabelTask(NUMBERS, COORDS, 6, "function:tests.calculators.made_up:moody", "print", str(tmp_path), 1.0)
    assert label_structure(task).reason == "not finished after the time limit of 1 s"


def test_a_level_that_cannot_be_made_is_no_failure_of_the_structure(tmp_path):
    with pytest.raises(RuntimeError, match="'gfn9' is not known"):
        label_structure(make_task(tmp_path, "gfn9"))
    assert Ledger(tmp_path).keys() == []


def test_a_worker_for_calculations_loads_no_torch():
    code = "import sys, common.tasks.labelling, common.tasks.timing; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.stdout == "False\n", result.stderr
