"""The house keeps its rules: every room is on a floor and small, says what it holds, and every module has its test."""

import ast

import pytest

from tests.helpers import ROOT
from tests.house import COMMON, count_pairs, list_modules, list_rooms, read_floors, select_fit, sort_rooms

MAX_MODULES = 13
MAX_PAIRS = 60

WITHOUT_OWN_TEST = {
    "active_learning/dispatch.py": "active_learning/test_runner.py runs every kind of task, and reads what it made",
    "analysis/report_figures.py": "stages/test_005_analyze.py draws all figures of a real fit",
    "analysis/results.py": "stages/test_005_analyze.py computes its figures anew",
    "fitting/methods.py": "stages/test_004_train.py runs every method, whole and interrupted",
    "heterograph/layout.py": "heterograph/test_writer.py compares with DGL's files byte for byte",
    "potentials/neural.py": "potentials/test_potential.py tests every kind of potential alike",
    "potentials/smirnoff.py": "potentials/test_potential.py tests every kind of potential alike",
    "steering/settings.py": "plain numbers; the tests of the agents set them",
    "sufficient_statistics/settings.py": "plain values; sufficient_statistics/test_accumulation.py changes each",
}
"""Modules without a test file of their name, and the test that covers them instead. Keep it short."""


def list_tested(room: str) -> list[str]:
    return [f"{room}/{path.name}" for path in list_modules(room)]


def get_test(module: str) -> str:
    room, name = module.split("/")
    return f"{room}/test_{name}"


@pytest.mark.parametrize("room", list_rooms())
def test_every_module_has_a_test_of_its_name_or_a_reason(room):
    for module in list_tested(room):
        has_test = (ROOT / "tests" / get_test(module)).is_file()
        assert has_test or module in WITHOUT_OWN_TEST, f"tests/{get_test(module)} is missing"


def test_reasons_name_tests_that_are_there_for_modules_that_are_there():
    for module, reason in WITHOUT_OWN_TEST.items():
        assert (COMMON / module).is_file(), module
        assert not (ROOT / "tests" / get_test(module)).is_file(), f"{module} has its test: the reason may go"
        named = [word for word in reason.replace(",", " ").split() if word.endswith(".py")]
        assert named or "tests of" in reason, module
        for test in named:
            assert (ROOT / "tests" / test).is_file(), test


def test_every_room_is_on_one_floor():
    floors = [room for floor in read_floors() for room in floor]
    assert len(floors) == len(set(floors))
    assert set(list_rooms()) <= set(floors)


@pytest.mark.parametrize("room", list_rooms())
def test_a_room_is_small_and_says_what_it_holds_and_may_use(room):
    assert len(list_modules(room)) <= MAX_MODULES
    module = ast.parse((COMMON / room / "__init__.py").read_text())
    assert len(module.body) == 1, "a name has one address: no re-exports"
    docstring = ast.get_docstring(module)
    assert docstring, room
    assert "May use" in docstring


def test_imports_go_down_and_never_in_circles():
    pairs = count_pairs()
    sort_rooms(pairs)
    floor_of = {room: i for i, floor in enumerate(read_floors()) for room in floor}
    for importer, imported in pairs:
        assert floor_of[importer] < floor_of[imported], (importer, imported)
    assert len(select_fit(pairs)) <= MAX_PAIRS
