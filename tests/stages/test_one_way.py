"""All stages are run in one way: the same options mean the same, the same first and last lines, the same exit codes."""

import ast
import inspect
import pathlib
import re
import typing

import annotated_types
import pytest

from common.processes.stage import introduce
from common.processes.threads import count_available_cpus
from common.runs.settings import Group, list_groups
from tests.commands import complete_here, load_settings, load_stage
from tests.helpers import ROOT

STAGES = sorted(path.name for path in ROOT.glob("[0-9][0-9][0-9]-*.py"))
PATHS = (pathlib.Path, pathlib.Path | None)

RUNS = {"004", "012", "013", "022", "032", "042"}
"""Stages whose output is a folder of runs that are begun once and gone on with: they train."""


def get_options(stage: str) -> dict[str, typing.Any]:
    """The annotated type of each setting."""
    return typing.get_type_hints(load_settings(stage), include_extras=True)


def strip(annotation: typing.Any) -> tuple[typing.Any, list]:
    """A type without its annotations, and these."""
    found: list = []
    while typing.get_origin(annotation) is typing.Annotated:
        found += annotation.__metadata__
        annotation = annotation.__origin__
    return annotation, found


def get_default(stage: str, name: str) -> typing.Any:
    return getattr(load_settings(stage)(), name)


@pytest.mark.parametrize("stage", STAGES)
def test_output_is_a_path_that_changes_no_result_and_lies_below_outputs(stage):
    type_, _ = strip(get_options(stage)["output"])
    assert type_ in PATHS
    assert list_groups(load_settings(stage))["output"] is Group.MACHINE
    default = get_default(stage, "output")
    assert default is None or default.parts[0] == "outputs"


@pytest.mark.parametrize("stage", STAGES)
def test_preset_is_a_name(stage):
    assert strip(get_options(stage)["preset"])[0] == str | None
    assert list_groups(load_settings(stage))["preset"] is Group.MACHINE


@pytest.mark.parametrize("stage", STAGES)
def test_resume_goes_on_with_a_run_and_is_there_where_there_are_runs(stage):
    options = get_options(stage)
    assert ("resume" in options) == (stage[:3] in RUNS)
    if "resume" in options:
        assert strip(options["resume"])[0] == pathlib.Path | None
        assert get_default(stage, "resume") is None
        assert list_groups(load_settings(stage))["resume"] is Group.MACHINE


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage[:3] in RUNS])
def test_an_interrupted_run_is_told_how_it_goes_on(stage):
    """From where config.json is written, by which --resume knows the run."""
    text = (ROOT / stage).read_text()
    assert re.search(
        r"^ *write_config\((\w+(?:\.path)?), settings.*\)\n *remember_run\(\1\)\n", text, flags=re.MULTILINE
    )


@pytest.mark.parametrize("stage", STAGES)
def test_a_seed_is_a_number_from_0_that_determines_the_result(stage):
    groups = list_groups(load_settings(stage))
    for name, annotation in get_options(stage).items():
        if name == "seed" or name.endswith("_seed"):
            type_, limits = strip(annotation)
            assert type_ is int
            assert annotated_types.Ge(0) in limits, name
            assert groups[name] is Group.RESULT, name


@pytest.mark.parametrize("stage", STAGES)
def test_workers_and_processes_are_at_least_one_and_change_no_result(stage):
    groups = list_groups(load_settings(stage))
    for name, annotation in get_options(stage).items():
        if name in ("n_workers", "n_processes"):
            _, limits = strip(annotation)
            text = repr(annotation)
            assert annotated_types.Ge(1) in limits or "Ge(ge=1)" in text, name
            assert groups[name] is Group.MACHINE, name
    if "n_workers" in groups:
        assert get_default(stage, "n_workers") == count_available_cpus()


@pytest.mark.parametrize("stage", STAGES)
def test_the_first_line_says_which_stage_it_is_and_what_it_does(stage):
    line = introduce(load_stage(ROOT / stage).main).rstrip("\n")
    assert re.fullmatch(rf"{re.escape(stage)}: [A-Z].{{10,}}[.:]", line), line
    assert "\n" not in line


def find_last_call(functions: dict[str, ast.FunctionDef], name: str) -> str:
    """The call with which a function ends, through functions of the module and blocks; leaving the process aside."""
    body = functions[name].body
    while body:
        last = body[-1]
        if isinstance(last, ast.If | ast.With | ast.Try):
            body = last.body
        elif isinstance(last, ast.Expr) and isinstance(last.value, ast.Call):
            called = ast.unparse(last.value.func)
            if called == "sys.exit":
                body = body[:-1]
            elif called in functions:
                return find_last_call(functions, called)
            else:
                return ast.unparse(last.value)
        else:
            return ast.unparse(last)
    return ""


@pytest.mark.parametrize("stage", STAGES)
def test_the_last_line_is_the_next_command_or_the_report_to_read(stage):
    module = load_stage(ROOT / stage)
    tree = ast.parse((ROOT / stage).read_text())
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    last = find_last_call(functions, "main")
    called = re.fullmatch(r"print\((suggest_command|suggest_next|point_to_report)\(.*\)\)", last, flags=re.DOTALL)
    assert called, last
    assert called[1] != "suggest_next" or "suggest_command(" in inspect.getsource(module.suggest_next)


@pytest.mark.parametrize("stage", STAGES)
def test_it_ends_with_run_stage_which_alone_decides_on_exit_codes(stage):
    tree = ast.parse((ROOT / stage).read_text())
    assert ast.unparse(tree.body[-1]).startswith("if __name__ == '__main__':\n    run_stage(main")
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    exits = [ast.unparse(call) for call in calls if "exit" in ast.unparse(call.func)]
    assert exits == (["sys.exit(EXIT_STATUS[end.outcome])"] if stage.startswith("022") else [])
    if stage.startswith("022"):  # a campaign that was asked to stop, or that gave up, has written all the same
        assert load_stage(ROOT / stage).EXIT_STATUS == {"complete": 0, "stopped": 130, "failed": 1}


@pytest.mark.parametrize("stage", STAGES)
def test_an_unknown_option_is_one_line_and_exit_code_1(stage, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = complete_here(ROOT / stage, "--no-such-option", "1")
    assert done.returncode == 1
    [line] = done.stderr.strip().splitlines()
    assert line.startswith("error: ")
    assert done.stdout.startswith(f"{stage}: ")
    assert len(done.stdout.splitlines()) == 1
    assert not list(tmp_path.iterdir())
