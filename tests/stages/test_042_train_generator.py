"""Stage 042: runs, what they write, resumption, what is refused."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from common.generators.file import load_generator
from common.runs.curves import read_curves
from tests.helpers import ROOT
from tests.stages.generator_runs import SMALL, get_error, make_database, run, run_well, train

SCRIPT = "042-train-generator.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train")
    make_database(folder / "molecules.db")
    return folder


@pytest.fixture(scope="module")
def trained(folder):
    """A run of four epochs."""
    options = ("--n-epochs", "4", "--sample-interval", "2", "--n-samples", "3", "--averaging", "0.9")
    return train(folder / "molecules.db", folder / "runs", *options)


def get_weights(run_folder):
    return torch.load(run_folder / "checkpoints" / "last.pt", weights_only=True)["state"]["network"]


def test_a_run_holds_what_it_should(trained):
    names = {path.name.partition(".tfevents")[0] for path in trained.iterdir()}
    assert {"config.json", "splits.json", "summary.json", "generator.pt", "checkpoints", "events.out"} == names
    splits = json.loads((trained / "splits.json").read_text())
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 17, "validation": 5, "test": 2}
    generator = load_generator(trained / "generator.pt")
    assert [condition.name for condition in generator.network.settings.conditions] == ["gap", "composition"]
    assert generator.units == {"gap": "eV"}
    assert generator.may_omit
    curves = read_curves(trained)
    assert {"loss/train", "loss/validation", "types/train", "distances/validation", "sample/valid"} <= set(curves)
    assert curves["loss/validation"].epochs.tolist() == [1, 2, 3, 4]
    assert curves["sample/composition hit"].epochs.tolist() == [2, 4]


def test_nothing_that_is_written_has_to_be_trusted(trained):
    for path in trained.rglob("*.pt"):
        torch.load(path, weights_only=True)
    for path in trained.rglob("*.json"):
        json.loads(path.read_text())


def test_two_processes_train_together(folder, tmp_path):
    options = ("--n-epochs", "2", "--condition-dropout", "0", "--draw-random-samples", "0")
    alone = train(folder / "molecules.db", tmp_path / "alone", *options)
    both = train(folder / "molecules.db", tmp_path / "both", *options, "--n-processes", "2", own_process=True)
    losses = [json.loads((one / "summary.json").read_text())["validation_loss"] for one in (alone, both)]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)  # other trajectories, the same molecules


def test_a_killed_run_goes_on_to_the_weights_of_one_that_was_not(folder, trained, tmp_path):
    options = [
        *SMALL,
        "--input",
        folder / "molecules.db",
        "--output",
        tmp_path,
        "--n-epochs",
        "4",
        "--averaging",
        "0.9",
    ]
    command = [str(word) for word in [sys.executable, ROOT / SCRIPT, *options]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        for line in process.stdout:
            if line.startswith("epoch    2"):
                break
        while not list(tmp_path.glob("*/checkpoints/last.pt")):
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    (run_folder,) = tmp_path.iterdir()
    assert not (run_folder / "summary.json").exists()
    run_well(SCRIPT, "--resume", run_folder)
    for (name, a), (_, b) in zip(get_weights(run_folder).items(), get_weights(trained).items(), strict=True):
        assert torch.equal(a, b), name
    assert "has ended" in run_well(SCRIPT, "--resume", run_folder)


def test_resumption_with_other_settings_or_data_is_refused(folder, trained, tmp_path):
    error = get_error(run(SCRIPT, "--resume", trained, "--model-cutoff", "9"))
    assert "was made with --model-cutoff 10.0, and now 9.0" in error
    make_database(tmp_path / "other.db", more="metadata")
    error = get_error(run(SCRIPT, "--resume", trained, "--input", tmp_path / "other.db", "--n-epochs", "9"))
    assert "other contents of --input" in error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--conditions.gap.quantity", "gop"], "no property 'gop' in every molecule of the database; there are gap"),
        (["--conditions.gap.unit", "furlong"], "'furlong' is unknown"),
        (["--atom-types", "1", "6", "7", "8"], "has elements [9], which are not among atom_types"),
        (["--origin-type", "6"], "origin_type 6: a token is no element"),
        (["--focus-type", "121"], "a token is no element (1 to 118) and no other token"),
        (["--prediction-cutoff", "1.0"], "cutoffs: placement 1.7, prediction 1, model 10"),
        (["--model-cutoff", "4.0"], "cutoffs: placement 1.7, prediction 5, model 4"),
        (["--placement-cutoff", "0.8"], "no molecule is connected within 0.8"),
        (["--held-out", "gap"], "filter 'gap'"),
        (["--held-out", "composition == C2H6X"], "'X' in it is no element"),
        (["--n-train", "24", "--n-validation", "1"], "there are 24 that may"),
        (["--input", "nowhere.db"], "nowhere.db: no such database; run 041-prepare-molecules.py"),
        (["--device", "gpu"], "device = 'gpu'"),
        (["--n-gaussians", "1"], "n_gaussians"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_cannot_be_is_one_line_and_no_run(options, message, folder, tmp_path):
    words = [*SMALL, "--input", folder / "molecules.db", "--output", tmp_path / "runs", *options]
    assert message in get_error(run(SCRIPT, *words))
    assert not (tmp_path / "runs").exists()
