"""Stages 031 to 033: from hexagons or a molecule to the report, one after the other, and what they refuse."""

import json
import pathlib
import shutil

import pytest
import torch

from common.body_trajectories.trajectories import SPLITS, load_trajectories
from common.pair_networks.potential import load_learned_potential
from common.processes.stage import run_stage
from tests.commands import STARTER, called_with, find_script
from tests.helpers import DATA

HEXAGONS = DATA / "hexagons" / "fifteen-digits"

FEW = (
    "--n-trajectories", "12", "--n-frames", "21", "--equilibration-time", "1.0", "--interval", "0.1", "--step", "0.02",
)  # fmt: skip

SHORT = (
    "--epochs", "4", "--batches-per-epoch", "4", "--batch-size", "16", "--nn-width", "6", "--batch-length", "3",
    "--eval-batch-length", "4", "--checkpoint-freq", "1",
)  # fmt: skip

SMALL = (
    "--rollout-length", "8", "--short-time", "4", "--long-length", "30", "--n-long", "2", "--n-chains", "4",
    "--chain-length", "8", "--liquid-bodies", "8", "--liquid-frames", "2",
)  # fmt: skip


def run(stage: str, *options) -> None:
    """Runs a stage in this process."""
    with called_with(find_script(stage), *options) as module:
        run_stage(module.main)


def refuse(capsys, stage: str, *options) -> str:
    """The one line that a stage ends with."""
    with pytest.raises(SystemExit) as caught:
        run(stage, *options)
    assert caught.value.code == 1
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    return line


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> pathlib.Path:
    """Trajectories of hexagons and a run that has learned a bit from them."""
    folder = tmp_path_factory.mktemp("bodies")
    run("031", "--preset", "hexagons", *FEW, "--output", folder / "trajectories")
    run("032", "--folder", folder / "trajectories", *SHORT, "--output", folder / "runs")
    return folder


def get_run(made: pathlib.Path) -> pathlib.Path:
    [folder] = (made / "runs").iterdir()
    return folder


def test_trajectories_are_split_and_say_how_they_were_made(made):
    counts = {split: load_trajectories(made / "trajectories", split).n_trajectories for split in SPLITS}
    assert counts == {"train": 10, "validation": 1, "test": 1}
    provenance = json.loads((made / "trajectories" / "system.json").read_text())["provenance"]
    assert provenance["settings"]["n_trajectories"] == 12


def test_a_run_has_its_settings_log_and_potential(made):
    folder = get_run(made)
    assert json.loads((folder / "config.json").read_text())["batch_length"] == 3
    assert len((folder / "log.csv").read_text().splitlines()) == 5
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["epoch"] == 4
    learned, record = load_learned_potential(folder / "potential.pt")
    assert record["further"]["method"] == "trajectory"
    assert sum(values.numel() for values in learned.parameters()) == summary["n_parameters"]


def test_a_run_goes_on_where_it_was_stopped(made, tmp_path, capsys):
    """With the weights of a run that was not stopped; its settings hold without being repeated."""
    options = ("--folder", made / "trajectories", *SHORT, "--scheduler", "LambdaLR", "--output")
    run("032", *options, tmp_path / "whole")
    run("032", *options, tmp_path / "parted", "--epochs", "2")
    [whole], [parted] = ((tmp_path / name).iterdir() for name in ("whole", "parted"))
    run("032", "--resume", parted, "--epochs", "4")
    weights = [
        torch.nn.utils.parameters_to_vector(load_learned_potential(one / "potential.pt")[0].parameters())
        for one in (whole, parted)
    ]
    assert torch.equal(*weights)
    capsys.readouterr()
    run("032", "--resume", parted, "--epochs", "4")
    assert "this run has ended" in capsys.readouterr().out
    assert "was made with --learning-rate 0.005" in refuse(capsys, "032", "--resume", parted, "--learning-rate", "0.1")


def test_the_report_compares_runs_and_files(made, tmp_path, capsys):
    folder = get_run(made)
    shutil.copy(folder / "checkpoints" / "1.pt", tmp_path / "first.pt")
    run("033", "--runs", folder, tmp_path / "first.pt", *SMALL, "--output", tmp_path / "rollouts")
    told = capsys.readouterr().out
    [report] = (tmp_path / "rollouts").glob("*/report.html")
    assert f"read: {report}" in told
    metrics = json.loads((report.parent / "metrics.json").read_text())
    assert set(metrics["candidates"]) == {"first", "trajectory-points"}
    for name in metrics["candidates"]:
        assert f"{name}: U within" in told
    page = report.read_text()
    for figure in (report.parent / "figures").iterdir():
        assert figure.name in page or "<svg" in page


def test_a_molecule_and_another_force_field(tmp_path, capsys):
    """Trajectories of water, and how good the sum over sites of another parameter set would have been."""
    few = ("--n-trajectories", "6", "--n-frames", "6", "--equilibration-time", "200", "--spring-length", "3")
    run("031", "--smiles", "O", "--parameters", STARTER, *few, "--output", tmp_path / "water")
    data = load_trajectories(tmp_path / "water", "train")
    assert data.system.bodies[0].n_sites == 3
    assert data.kt == pytest.approx(0.596, abs=1e-3)
    run("032", "--folder", tmp_path / "water", *SHORT, "--epochs", "1", "--batch-size", "4", "--output", tmp_path / "a")
    options = (*SMALL, "--rollout-length", "4", "--n-chains", "0", "--liquid-frames", "0")
    run("033", "--learned", tmp_path / "a", "--force-fields", STARTER, *options, "--output", tmp_path / "b")
    assert "sites of starter: U within 0.00 kT" in capsys.readouterr().out


def test_files_of_lammps_are_learned_from(tmp_path):
    run("031", "--system", "lammps-files", "--input", HEXAGONS, "--output", tmp_path / "hexagons")
    own = load_trajectories(tmp_path / "hexagons", "train")
    assert own.forces is not None
    run("032", "--folder", HEXAGONS, *SHORT, "--epochs", "1", "--batch-size", "2", "--output", tmp_path / "runs")


def test_the_originals_settings_are_a_preset(made, tmp_path):
    few = ("--epochs", "1", "--batch-size", "4", "--batches-per-epoch", "2", "--batch-length", "5")
    options = ("--folder", made / "trajectories", *few, "--eval-batch-length", "6", "--output", tmp_path)
    run("032", "--preset", "run-example", *options)
    [folder] = tmp_path.iterdir()
    assert load_learned_potential(folder / "potential.pt")[0].shape.inputs == "raw"


@pytest.mark.parametrize(
    ("stage", "options", "message"),
    [
        ("031", ("--smiles", "C(", "--parameters", STARTER), "RDKit cannot read this SMILES"),
        ("031", ("--parameters", "none.pt"), "none.pt"),
        ("031", ("--system", "lammps-files", "--input", "nowhere"), "nowhere"),
        ("032", ("--folder", "nowhere"), "nowhere"),
        ("033", ("--runs", "nowhere"), "nowhere"),
        ("033", ("--learned", "nowhere"), "nowhere"),
    ],
)
def test_what_is_not_there_is_one_line(stage, options, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert message in refuse(capsys, stage, *options)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and not path.name.endswith(".lock")]


def test_what_does_not_fit_the_data_is_one_line(made, tmp_path, capsys):
    options = ("--folder", made / "trajectories", *SHORT, "--output", tmp_path / "runs")
    for wrong, message in (
        (("--batch-length", "21"), "batch_length = 21: a window of 21 frames"),
        (("--batch-size", "500"), "batch_size = 500: more than the 180 windows"),
        (("--optimizer", "Adamant"), "optimizer = 'Adamant': there is no such one; did you mean 'Adam"),
        (("--device", "cuda:7"), "cuda:7"),
    ):
        assert message in refuse(capsys, "032", *options, *wrong)
    assert not (tmp_path / "runs").exists()


def test_a_potential_of_other_bodies_is_refused(made, tmp_path, capsys):
    few = ("--n-trajectories", "6", "--n-frames", "6", "--equilibration-time", "100", "--spring-length", "3")
    run("031", "--smiles", "O", "--parameters", STARTER, *few, "--output", tmp_path / "water")
    told = refuse(capsys, "033", "--runs", get_run(made), "--folder", tmp_path / "water", *SMALL)
    assert "is a potential of hexagon, not of these trajectories" in told
