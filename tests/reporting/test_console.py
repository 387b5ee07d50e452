"""What the stages print: the next command fits what was written and can be pasted."""

import pathlib
import shlex
import subprocess
import sys

import pytest

from common.reporting.console import format_command, format_left_out, suggest_command, suggest_name

DEFAULT = pathlib.Path("outputs/data-raw")


@pytest.fixture(autouse=True)
def called(monkeypatch):
    """As if a user had typed ``.venv/bin/python code/001-x.py``."""
    monkeypatch.setattr(sys, "orig_argv", [".venv/bin/python", "code/001-x.py"])
    monkeypatch.setattr(sys, "argv", ["code/001-x.py"])


def test_the_interpreter_and_the_place_of_the_script_are_those_of_this_call():
    assert suggest_command("002-x.py", {}) == "next: .venv/bin/python code/002-x.py"


def test_what_is_where_the_next_stage_looks_is_left_out():
    assert suggest_command("002-x.py", {"--input": (DEFAULT, DEFAULT)}) == suggest_command("002-x.py", {})
    options = {"--input": (pathlib.Path("data"), DEFAULT), "--output": (DEFAULT, DEFAULT)}
    assert suggest_command("002-x.py", options, "outputs/runs/1").endswith("code/002-x.py outputs/runs/1 --input data")


@pytest.mark.parametrize("name", ["my data", "a'b", 'a"b', "$HOME", "[#6:1]", "a;b", "a&b", "~x", "*", "a\\b"])
def test_a_shell_reads_back_what_was_meant(name, monkeypatch):
    assert shlex.split(format_command(name, pathlib.Path(name)))[1:] == [name, name]
    monkeypatch.setattr(sys, "orig_argv", [sys.executable])
    command = format_command("-c", "import sys; print(sys.argv[1])", name)
    assert subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout == f"{name}\n"


def test_only_what_was_left_out_is_counted():
    assert format_left_out({"seen before": 0, "conformers": 0}) == ""
    assert format_left_out({"seen before": 2, "conformers": 0, "others": 1}) == "; left out: 2 seen before, 1 others"


def test_a_name_that_is_nearly_right_is_suggested():
    assert suggest_name("Bond", ["Angles", "Bonds"]) == "; did you mean 'Bonds'? there are Angles, Bonds"
    assert suggest_name("xyz", ["Angles", "Bonds"]) == "; there are Angles, Bonds"
