"""Small databases and runs for the tests of stages 041 to 044."""

import os
import pathlib
import subprocess
import sys

import numpy

from common.data.molecule_database import Molecule, write_database
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


def run(script: str, *options, cwd: pathlib.Path = ROOT) -> subprocess.CompletedProcess:
    """Runs a stage, alone."""
    command = [sys.executable, ROOT / script, *options]
    return subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=300,
    )


def run_well(script: str, *options) -> str:
    """Runs a stage that must succeed; what it prints."""
    done = run(script, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def get_error(done: subprocess.CompletedProcess) -> str:
    """The one line with which a stage has refused."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    return line


def train(database: pathlib.Path, output: pathlib.Path, *options) -> pathlib.Path:
    """Trains a small generator that can be told gap and composition; its run folder."""
    run_well("042-train-generator.py", *SMALL, "--input", database, "--output", output, *options)
    (folder,) = (path.parent for path in output.glob("*/summary.json"))
    return folder
