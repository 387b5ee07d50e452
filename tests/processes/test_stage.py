"""The frame of a stage: one readable line, the right exit status, nothing left running."""

import ast
import collections.abc
import errno
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest

from common.files.artifacts import ArtifactError, MissingArtifactError
from common.processes.stage import SCRIPTS, describe_error, remember_run, run_stage
from tests.helpers import ROOT

IMPATIENT = """
import atexit, signal
from common.processes.stage import run_stage

def main():
    atexit.register(signal.raise_signal, signal.SIGINT)
    signal.raise_signal(signal.SIGINT)

run_stage(main)
"""


def test_a_second_ctrl_c_adds_no_noise():
    root = ROOT
    done = subprocess.run([sys.executable, "-c", IMPATIENT], capture_output=True, text=True, cwd=root)
    assert done.returncode == 130
    assert done.stderr == "\nstopped by Ctrl-C; all workers have ended, run the same command to go on\n"


def test_once_there_is_a_run_that_is_gone_on_with(capsys):
    def main():
        remember_run("my runs/1")
        raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(SystemExit) as caught:
            run_stage(main)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert caught.value.code == 130
    assert capsys.readouterr().err.endswith("all workers have ended, go on with --resume 'my runs/1'\n")
    full = OSError(errno.ENOSPC, "No space left on device", "out.pt")
    assert "free some space, then go on with --resume 'my runs/1': what is finished" in describe_error(full)


@pytest.mark.parametrize("error", [ValueError("x: damaged"), OSError("x: gone"), RuntimeError("x: died")])
def test_an_expected_error_is_one_line_and_exit_status_1(error, capsys):
    def main():
        raise error

    with pytest.raises(SystemExit) as caught:
        run_stage(main)
    assert caught.value.code == 1
    assert capsys.readouterr().err == f"\nerror: {error}\n"


def test_a_fault_of_the_code_keeps_its_traceback():
    def main():
        raise KeyError("unexpected")

    with pytest.raises(KeyError):
        run_stage(main)


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "out.pt: the disk is full; free some space"),
        (errno.EDQUOT, "out.pt: the disk is full; free some space"),
        (errno.EROFS, "out.pt: .*; see to the permissions there, or name another place"),
        (errno.EACCES, "out.pt: .*; see to the permissions there, or name another place"),
    ],
)
def test_what_the_system_says_is_completed(number, advice):
    assert re.match(advice, describe_error(OSError(number, os.strerror(number), "out.pt")))


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            MissingArtifactError("x.pt: no such file", "parameters"),
            "x.pt: no such file; run 002-parameterize.py, or say where its output is",
        ),
        (ArtifactError("x.pt: damaged", "parameters"), "x.pt: damaged; run 002-parameterize.py again"),
        (
            ArtifactError("x: other molecules", "raw data", "parameters", "clustered data"),
            "x: other molecules; run 001-convert-espaloma-data.py, 002-parameterize.py and 003-cluster-and-filter.py "
            "again",
        ),
        (
            ArtifactError("x: made anew", "run", detail=", or name the right file"),
            "x: made anew; run 004-train.py again, or name the right file",
        ),
        (ArtifactError("x: damaged"), "x: damaged"),
        (ArtifactError("x: damaged", "nowhere"), "x: damaged; run the stage that makes the nowhere again"),
    ],
)
def test_the_advice_names_the_stages_that_make_an_artifact(error, text):
    assert describe_error(error) == text


def iterate_named_artifacts() -> collections.abc.Iterator[tuple[pathlib.Path, str]]:
    """Every artifact that an error in the code names."""
    for path in (ROOT / "common").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("ArtifactError"):
                yield from ((path, argument.value) for argument in node.args[1:] if isinstance(argument, ast.Constant))


def test_all_artifacts_that_errors_name_are_in_the_table():
    named = list(iterate_named_artifacts())
    assert len(named) > 10
    assert [(path, name) for path, name in named if name not in SCRIPTS] == []


def test_scripts_are_named_in_one_module_and_are_there():
    pattern = re.compile(r"\b0\d\d-[a-z]")
    naming = [path.relative_to(ROOT) for path in (ROOT / "common").rglob("*.py") if pattern.search(path.read_text())]
    assert naming == [pathlib.Path("common/processes/stage.py")]
    assert [script for script in SCRIPTS.values() if not (ROOT / script).is_file()] == []


def test_globals_are_kept_by_processes_alone():
    keeping = {
        path.relative_to(ROOT / "common").parts[0]
        for path in (ROOT / "common").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Global)
    }
    assert keeping == {"processes"}
