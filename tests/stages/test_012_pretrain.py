"""Stage 012 as a user runs it: on a reference, on many molecules, killed and resumed, under torchrun."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from common.data.dataset import Entry
from common.molecules.conformers import embed_conformers
from common.molecules.mapped_smiles import from_smiles, to_mapped_smiles
from common.potentials.file import load_network
from tests.commands import find_run, run_here
from tests.helpers import ROOT, raises_with_advice, write_dataset
from tests.stability.systems import write_reference

SCRIPT = "012-pretrain.py"
SMALL = ("--n-channels", 8, "--n-interactions", 1, "--n-train", 10, "--n-validation", 5, "--max-epochs", 12)
OFTEN = ("--checkpoint-interval", 2, "--log-interval", 4)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return write_reference(tmp_path_factory.mktemp("reference"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, reference):
    output = tmp_path_factory.mktemp("potentials")
    run_here(SCRIPT, "--reference", reference, *SMALL, *OFTEN, "--output", output)
    return find_run(output)


def read_weights(run) -> dict[str, torch.Tensor]:
    return load_network(run / "potential.pt").network.state_dict()


def are_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def make_command(*options: object, launcher=()) -> list[str]:
    return [str(word) for word in (sys.executable, *launcher, ROOT / SCRIPT, *options)]


def test_it_writes_a_run(finished, reference):
    summary = json.loads((finished / "summary.json").read_text())
    assert summary["errors"]["test"]["force_mae"] > 0.0
    assert json.loads((finished / "config.json").read_text())["reference"] == str(reference)
    assert {path.name for path in finished.iterdir()} >= {"potential.pt", "splits.json", "checkpoints"}
    splits = json.loads((finished / "splits.json").read_text())
    assert len(splits["train"]) == 10
    assert all(frame < 30 for _, frame in splits["train"])  # the later half of each run is held out


def test_killed_at_any_epoch_it_goes_on_to_the_same_bits(finished, reference, tmp_path):
    command = make_command("--reference", reference, *SMALL, *OFTEN, "--output", tmp_path)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(tmp_path.glob("*/checkpoints/*.pt")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    run = find_run(tmp_path)
    assert not (run / "potential.pt").exists()
    run_here(SCRIPT, "--resume", run)
    assert are_equal(read_weights(run), read_weights(finished))


def test_under_torchrun_it_gives_the_same_bits(finished, reference, tmp_path):
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2)
    command = make_command("--reference", reference, *SMALL, *OFTEN, "--output", tmp_path, launcher=launcher)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, capture_output=True, timeout=300, env=environment)
    assert are_equal(read_weights(find_run(tmp_path)), read_weights(finished))


def test_more_epochs_may_be_given_other_settings_not(finished, tmp_path):
    with pytest.raises(ValueError, match=r"--learning-rate 0\.001"):
        run_here(SCRIPT, "--resume", finished, "--learning-rate", 0.1)


def test_it_trains_on_many_molecules(tmp_path):
    entries = []
    for smiles in ("CCO", "CO", "CC", "CCC", "COC"):
        mol = from_smiles(smiles)
        coords = embed_conformers(mol, 4, seed=1)
        zeros = torch.linspace(-1.0, 1.0, len(coords)).numpy()
        entries.append(Entry(to_mapped_smiles(mol), coords, zeros, 0.0 * coords))
    write_dataset(tmp_path / "many", entries)
    few = ("--n-channels", 8, "--n-interactions", 1, "--max-epochs", 2)
    run_here(SCRIPT, "--reference", tmp_path / "many", *few, "--output", tmp_path / "out", "--architecture", "painn")
    assert json.loads((find_run(tmp_path / "out") / "summary.json").read_text())["errors"]["train"]["force_mae"] >= 0.0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--n-train", 1000), r"\d+ frames"),
        (("--start", "nowhere.pt"), "nowhere.pt"),
        (("--energy-share", 0, "--force-share", 0), "nothing to learn"),
    ],
)
def test_what_cannot_be_trained_is_named_before_any_work(reference, tmp_path, options, words):
    with pytest.raises((ValueError, OSError), match=words):
        run_here(SCRIPT, "--reference", reference, *options, "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_reference_is_named_with_what_makes_it(tmp_path):
    with raises_with_advice(FileNotFoundError, r"no data set here; run 011-sample-reference.py"):
        run_here(SCRIPT, "--reference", tmp_path / "nothing", "--output", tmp_path / "out")
