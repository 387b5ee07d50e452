"""Small databases and runs for the tests of stages 041 to 044."""

import contextlib
import io
import os
import pathlib
import subprocess
import sys
import typing
import unittest.mock

import numpy

from common.data.molecule_database import Molecule, write_database
from common.processes.stage import run_stage
from tests.commands import load_stage
from tests.generators.made_up import make_geometry
from tests.helpers import ROOT

SMILES = (
    "C", "CC", "CCO", "CO", "CN", "CF", "C=O", "C#N", "CC=O", "CC#N", "CCC", "C=C", "CNC", "COC", "NC=O", "CCF", "FCF",
    "C1CC1", "CC(C)O", "OCCO", "CCN", "NCC#N", "C1CO1", "CC(N)=O",
)  # fmt: skip

SMALL = (
    "--n-channels", "8", "--n-interactions", "1", "--n-gaussians", "6", "--type-layers", "2", "--type-hidden", "8",
    "--distance-layers", "2", "--distance-hidden", "8", "--condition-features", "8", "--condition-layers", "2",
    "--batch-size", "8", "--draw-random-samples", "4", "--n-train", "0.7", "--n-validation", "0.2",
    "--sample-interval", "0", "--n-processes", "1",
)  # fmt: skip
"""A network that trains in no time and learns nothing."""


def make_database(path: pathlib.Path, **changes) -> None:
    """Molecules with made-up gaps, as 041 writes them."""
    molecules = []
    for i, smiles in enumerate(SMILES):
        own = make_geometry(smiles)
        molecules.append(Molecule(own.numbers, own.coords, {"gap": numpy.array(4.0 + 0.2 * i)}, smiles))
    write_database(path, molecules, {"gap": "eV"}, {"stage": "041-prepare-molecules", "level": "", **changes})


class Done(typing.NamedTuple):
    """How a stage ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


def run(script: str, *options, own_process: bool = False) -> Done:
    """Runs a stage at the root of the repository.

    Args:
        script: its file.
        options: of its command line.
        own_process: whether as a command, which takes seconds to start; needed where the stage sends functions of its
            own to other processes.
    """
    words = [str(word) for word in (ROOT / script, *options)]
    if own_process:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, *words], capture_output=True, text=True, cwd=ROOT, env=environment, timeout=300
        )
        return Done(done.returncode, done.stdout, done.stderr)
    code = 0
    output, errors = io.StringIO(), io.StringIO()
    with (
        unittest.mock.patch.object(sys, "argv", words),
        contextlib.chdir(ROOT),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        stage = load_stage(ROOT / script)
        try:
            run_stage(stage.main)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
    return Done(code, output.getvalue(), errors.getvalue())


def run_well(script: str, *options, own_process: bool = False) -> str:
    """Runs a stage that must succeed; what it prints."""
    done = run(script, *options, own_process=own_process)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def get_error(done: Done) -> str:
    """The one line with which a stage has refused."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    return line


def train(database: pathlib.Path, output: pathlib.Path, *options, own_process: bool = False) -> pathlib.Path:
    """Trains a small generator that can be told gap and composition; its run folder."""
    words = (*SMALL, "--input", database, "--output", output, *options)
    run_well("042-train-generator.py", *words, own_process=own_process)
    (folder,) = (path.parent for path in output.glob("*/summary.json"))
    return folder
