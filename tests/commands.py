"""The command lines of the stages, for tests that run one after the other in a folder."""

import collections.abc
import contextlib
import importlib.util
import io
import pathlib
import subprocess
import sys
import types
import unittest.mock

from common.processes.stage import run_stage
from common.runs.settings import StageSettings
from tests.helpers import ROOT

STARTER = ROOT / "example" / "starter.offxml"

SCRIPTS = {
    "001": "001-convert-espaloma-data.py",
    "002": "002-parameterize.py",
    "003": "003-cluster-and-filter.py",
    "004": "004-train.py",
    "005": "005-analyze.py",
}

ARTIFACTS = {"001": "data-raw", "002": "starter.pt", "003": "data-clustered", "004": "runs", "005": "analysis"}
"""What each stage writes."""


def load_stage(path: pathlib.Path) -> types.ModuleType:
    """A numbered script as a module: it has no name that could be imported."""
    spec = importlib.util.spec_from_file_location(f"stage_{path.stem[:3]}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def find_script(stage: str) -> pathlib.Path:
    """The script of a stage, e.g. "004"."""
    [path] = ROOT.glob(f"{stage}-*.py")
    return path


@contextlib.contextmanager
def called_with(script: pathlib.Path, *options: object) -> collections.abc.Iterator[types.ModuleType]:
    """A stage as a module that sees these options on its command line; most of a small one is loading libraries."""
    with unittest.mock.patch.object(sys, "argv", [str(script), *map(str, options)]):
        yield load_stage(script)


def complete_here(script: pathlib.Path, *options: object) -> subprocess.CompletedProcess:
    """A stage in this process, as its command would run it: what it prints, and its exit code."""
    console, errors, code = io.StringIO(), io.StringIO(), 0
    with (
        called_with(script, *options) as stage,
        contextlib.redirect_stdout(console),
        contextlib.redirect_stderr(errors),
    ):
        try:
            run_stage(stage.main)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(bool(end.code))
    return subprocess.CompletedProcess([str(script), *map(str, options)], code, console.getvalue(), errors.getvalue())


def load_settings(script: str) -> type[StageSettings]:
    """The class of the settings of a numbered script."""
    return load_stage(ROOT / script).Settings


def make_command(name: str, folder: pathlib.Path, output: pathlib.Path, n_workers: int, n_epochs: int) -> list[str]:
    """The command that runs a stage; 005 scores the starting force field.

    Args:
        name: "001" to "005".
        folder: holds the artifacts of the earlier stages, and the archive as "8150601".
        output: where this stage's own goes.
        n_workers: number of processes.
        n_epochs: of 004.
    """
    raw, clustered, parameters = folder / "data-raw", folder / "data-clustered", folder / ARTIFACTS["002"]
    options = {
        "001": ("--input", folder / "8150601"),
        "002": ("--input", raw, "--force-field", STARTER),
        "003": ("--input", raw, "--parameters", parameters),
        "004": ("--data", clustered, "--parameters", parameters, "--n-epochs", n_epochs),
        "005": ("--data", clustered, "--parameters", parameters),
    }[name]
    workers = ("--n-processes" if name == "004" else "--n-workers", n_workers)
    command = [sys.executable, ROOT / SCRIPTS[name], *options, "--output", output / ARTIFACTS[name], *workers]
    return [str(word) for word in command]


def run_here(script: str, *options: object) -> None:
    """A numbered script in this process, as the command would run it, but that errors are raised."""
    with called_with(ROOT / script, *options) as stage:
        stage.main()


def find_run(output: pathlib.Path) -> pathlib.Path:
    """The latest run in a folder of runs, ended or not."""
    return max(path for path in output.iterdir() if path.is_dir() and not path.name.startswith("."))
