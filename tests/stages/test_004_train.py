"""Stage 004 as a user runs it: on a few molecules, with every method, interrupted, under torchrun."""

import csv
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from common.analysis.error_statistics import sum_errors
from common.analysis.predictions import index_data, load_candidates, predict_here
from common.analysis.study import check_run, read_run, study_runs
from common.data.dataset import Entry, open_dataset, read_entries
from common.forcefields.energy import compute_energy, compute_forces
from common.forcefields.parameter_file import load_parameters, save_parameters
from common.molecules.conformers import embed_conformers
from common.molecules.mapped_smiles import from_smiles, to_mapped_smiles
from common.smirnoff.assignment import build_potentials
from common.smirnoff.offxml import parse_force_field, read_force_field
from common.smirnoff.parameterize import parameterize
from tests.commands import complete_here
from tests.helpers import ROOT, change_parameters, simulate_entries, write_dataset

MOLECULES = ("CCO", "CC(=O)O", "CCN", "COC", "CC#N", "CCCl", "CC(=O)N", "c1ccoc1", "CS(C)=O", "CNC=O", "OCCO", "CC=C")
N_CONFS = 12
LOGGED = [*range(101), *range(110, 201, 10)]
"""Of 200 epochs those that TensorBoard gets."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> pathlib.Path:
    """Data sets and parameters such as stages 003 and 002 write."""
    folder = tmp_path_factory.mktemp("inputs")
    entries = [make_entry(smiles) for smiles in MOLECULES]
    force_field = read_force_field(ROOT / "example" / "starter.offxml")
    molecules = parameterize(force_field, [entry.smiles for entry in entries], 1)
    assert not molecules.failures
    truth = change_parameters(molecules.force_field, ("Bonds", "Angles", "ProperTorsions"), seed=1)
    entries = simulate_entries(molecules, truth, entries, sigma_energy=0.2, sigma_forces=1.0)
    write_dataset(folder / "data" / "gen2-opt", entries[::2])
    write_dataset(folder / "data" / "spice-pubchem", entries[1::2])
    save_parameters(folder / "starter.pt", molecules)
    return folder


def make_entry(smiles: str) -> Entry:
    mol = from_smiles(smiles)
    coords = embed_conformers(mol, N_CONFS, seed=7)
    coords = coords + numpy.random.default_rng(0).normal(0.0, 0.04, coords.shape)
    zeros = numpy.zeros(len(coords))
    return Entry(to_mapped_smiles(mol), coords, zeros, numpy.zeros_like(coords))


def make_command(inputs, output, *options: str) -> list[str]:
    script = [str(ROOT / "004-train.py"), "--data", str(inputs / "data"), "--parameters", str(inputs / "starter.pt")]
    return [*script, "--output", str(output / "runs"), *options]


def run(inputs, output, *options: str) -> subprocess.CompletedProcess:
    script, *arguments = make_command(inputs, output, *options)
    return complete_here(pathlib.Path(script), *arguments)


def resume(folder: pathlib.Path, *options: str) -> subprocess.CompletedProcess:
    """``--resume`` alone: everything else comes from the run."""
    return complete_here(ROOT / "004-train.py", "--resume", str(folder), *options)


def find_run(output: pathlib.Path) -> pathlib.Path:
    return max((output / "runs").iterdir())


def read_summary(output: pathlib.Path) -> dict:
    return json.loads((find_run(output) / "summary.json").read_text())


@pytest.fixture(scope="module")
def finished(inputs, tmp_path_factory) -> pathlib.Path:
    output = tmp_path_factory.mktemp("finished")
    result = run(inputs, output, "--n-epochs", "200")
    assert result.returncode == 0, result.stderr
    return output


def test_the_loss_falls_and_the_summary_says_so(finished):
    summary = read_summary(finished)
    assert summary["loss_optimum"] <= summary["loss_final"] < 0.5 * summary["loss_initial"]
    train = summary["splits"]["train"]
    for name in ("initial", "final"):
        parts = train[f"loss_energy_{name}"] + train[f"loss_forces_{name}"]
        assert summary[f"loss_{name}"] == pytest.approx(parts, rel=1e-12)
    counts = [summary["splits"][split] for split in ("train", "validation", "test")]
    assert sum(split["n_molecules"] for split in counts) == len(MOLECULES)
    assert sum(split["n_conformers"] for split in counts) == len(MOLECULES) * N_CONFS
    assert summary["seconds_pass"] > 0.0
    assert summary["seconds_epochs"] > 0.0


def test_everything_is_written(finished):
    folder = find_run(finished)
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    events = {name for name in names if name.startswith("events.out.tfevents")}
    assert len(events) == 2  # the curves, and the results at the end
    checkpoints = {f"checkpoints/epoch-{n:06d}.{suffix}" for n in (100, 200) for suffix in ("pt", "offxml")}
    finals = {f"{name}.{suffix}" for name in ("force-field", "best", "optimum") for suffix in ("pt", "offxml")}
    tables = {"config.json", "splits.json", "summary.json", "parameters.csv", "covariance.pt", "checkpoints/last.pt"}
    for_users = {"force-field-unconstrained.offxml", "force-field.md"}
    assert names == events | checkpoints | finals | tables | for_users


def test_the_final_force_field_is_the_one_of_the_last_step(finished, inputs):
    """The saved .pt gives the loss of the summary when it is evaluated conformer by conformer."""
    folder, summary = find_run(finished), read_summary(finished)
    fitted = load_parameters(folder / "force-field.pt")
    splits = json.loads((folder / "splits.json").read_text())
    from common.data.dataset import open_dataset, read_entries

    losses = []
    for source in ("gen2-opt", "spice-pubchem"):
        for entry in read_entries(open_dataset(inputs / "data" / source)):
            if splits[entry.smiles] != "train":
                continue
            topology, coords = fitted.topologies[entry.smiles], torch.tensor(entry.coords)
            residual = compute_energy(topology, fitted.force_field, coords) - torch.tensor(entry.energy)
            energy = (residual - residual.mean()).pow(2).mean()
            forces = (compute_forces(topology, fitted.force_field, coords) - torch.tensor(entry.forces)).pow(2).mean()
            losses.append((energy + forces).item())
    assert numpy.mean(losses) == pytest.approx(summary["loss_final"], rel=1e-9)


def test_the_written_offxml_holds_the_same_values(finished):
    folder = find_run(finished)
    fitted = load_parameters(folder / "force-field.pt").force_field.potentials_by_type
    text = (folder / "force-field.offxml").read_text()
    assert folder.name in text
    for potential in build_potentials(parse_force_field(text, "fitted")):
        if potential.type != "Electrostatics":
            assert torch.equal(potential.parameters, fitted[potential.type].parameters), potential.type


def test_limits_and_untrained_columns(finished, inputs):
    initial = load_parameters(inputs / "starter.pt").force_field.potentials_by_type
    fitted = load_parameters(find_run(finished) / "force-field.pt").force_field.potentials_by_type
    assert (fitted["Bonds"].column("k") >= 0.0).all()
    assert (fitted["Angles"].column("angle") <= numpy.pi).all()
    for type_ in ("ImproperTorsions", "vdW", "Electrostatics"):
        assert torch.equal(fitted[type_].parameters, initial[type_].parameters)
    for name in ("periodicity", "phase", "idivf"):
        assert torch.equal(fitted["ProperTorsions"].column(name), initial["ProperTorsions"].column(name))


def test_tensorboard_has_the_curves(finished):
    events = EventAccumulator(str(find_run(finished)), size_guidance={"scalars": 0})
    events.Reload()
    tags = events.Tags()["scalars"]
    for name in ("loss", "loss_energy", "loss_forces", "rmse_energy", "rmse_forces"):
        for split in ("train", "validation"):
            assert f"{name}/{split}" in tags
    curve = events.Scalars("loss/train")
    assert [event.step for event in curve] == LOGGED
    summary = read_summary(finished)
    assert curve[0].value == pytest.approx(summary["loss_initial"], rel=1e-6)
    assert curve[-1].value == pytest.approx(summary["loss_final"], rel=1e-6)


def test_the_parameter_table(finished, inputs):
    with (find_run(finished) / "parameters.csv").open() as file:
        rows = list(csv.DictReader(file))
    potentials = load_parameters(inputs / "starter.pt").force_field.potentials_by_type
    assert len(rows) == sum(
        n * len(potentials[t].parameters) for t, n in (("Bonds", 2), ("Angles", 2), ("ProperTorsions", 1))
    )
    assert all(row["id"] for row in rows)
    used = [row for row in rows if int(row["n_conformers"])]
    assert used
    assert all(row["determined"] == "no" and row["initial"] == row["fitted"] for row in rows if row not in used)
    assert any(row["determined"] == "yes" and float(row["standard_error"]) > 0.0 for row in used)


def test_exact_reaches_the_floor_and_reuses_the_pass(finished, inputs):
    result = run(inputs, finished, "--method", "exact", "--prior-strength", "0")
    assert result.returncode == 0, result.stderr
    assert "reused" in result.stdout
    assert "pass over the data in" not in result.stdout
    summary = read_summary(finished)
    assert summary["statistics_reused"]
    assert summary["seconds_pass"] == 0.0
    assert summary["loss_final"] == pytest.approx(summary["loss_optimum"], rel=1e-9)
    optimality = float(re.search(r"conditions hold to (\S+)", result.stdout)[1])
    assert optimality < 1e-6


def test_another_learning_rate_needs_no_pass(finished, inputs):
    result = run(inputs, finished, "--n-epochs", "5", "--learning-rate", "0.003")
    assert result.returncode == 0, result.stderr
    assert "no pass over the data" in result.stdout


def test_parameters_made_again_need_no_pass(inputs, tmp_path):
    """002 run twice writes two files that differ in when they were made, and in nothing that matters."""
    smiles = "\n".join(load_parameters(inputs / "starter.pt").topologies)
    (tmp_path / "molecules.smi").write_text(smiles)
    (tmp_path / "data").symlink_to(inputs / "data")
    options = ["--force-field", ROOT / "example" / "starter.offxml", "--smiles", tmp_path / "molecules.smi"]
    script = [ROOT / "002-parameterize.py", *map(str, options), "--n-workers", "1"]
    script += ["--output", str(tmp_path / "starter.pt")]
    contents, consoles = [], []
    for _ in range(2):
        made = complete_here(*script)
        assert made.returncode == 0, made.stderr
        contents.append((tmp_path / "starter.pt").read_bytes())
        result = run(tmp_path, tmp_path, "--n-epochs", "2")
        assert result.returncode == 0, result.stderr
        consoles.append(result.stdout)
    assert contents[0] != contents[1]
    assert "one pass over the data in" in consoles[0]
    assert "no pass over the data" in consoles[1]
    assert len(list((tmp_path / "statistics").glob("*.pt"))) == 1


def test_the_epoch_that_validates_best_is_kept(finished, inputs, tmp_path):
    """It is that of the curve, interrupted or not; as a force field it has that loss, by 005's own evaluation."""
    folder = min((finished / "runs").iterdir())
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    losses = {event.step: event.value for event in events.Scalars("loss/validation")}
    head = (folder / "best.offxml").read_text()[:4000]
    found = re.search(r"after epoch (\d+), where the loss on the validation molecules was least", head)
    assert found is not None
    epoch = int(found[1])
    least = min(losses, key=losses.__getitem__)
    assert epoch == least if epoch in losses else abs(epoch - least) < 10  # it need not be one of those that are logged
    assert run(inputs, tmp_path, "--n-epochs", str(max(epoch, 1))).returncode == 0
    assert resume(find_run(tmp_path), "--n-epochs", "200").returncode == 0
    again = load_parameters(find_run(tmp_path) / "best.pt").force_field
    for one, other in zip(load_parameters(folder / "best.pt").force_field.potentials, again.potentials, strict=True):
        assert torch.equal(one.parameters, other.parameters)


def test_priors_chosen_by_validation(finished, inputs):
    result = run(inputs, finished, "--method", "exact", "--prior-strength", "validation")
    assert result.returncode == 0, result.stderr
    summary = read_summary(finished)
    strengths = summary["prior"]["strengths"]
    assert len(set(strengths.values())) == 1
    assert summary["prior_strengths"] == strengths
    assert summary["splits"]["validation"]["n_molecules"] > 0
    assert summary["loss_final"] >= summary["loss_optimum"]


def test_the_exact_fit_chooses_its_priors_by_cross_validation_and_trains_on_all_but_the_test(finished, inputs):
    """It needs no pass of its own, and its losses are those of 005's direct evaluation."""
    result = run(inputs, finished, "--method", "exact")
    assert result.returncode == 0, result.stderr
    assert "no pass over the data" in result.stdout
    assert "priors by cross-validation" in result.stdout
    folder = find_run(finished)
    summary = read_summary(finished)
    first = json.loads((min((finished / "runs").iterdir()) / "summary.json").read_text())
    n_entries = [first["splits"][split]["n_entries"] for split in ("train", "validation")]
    assert summary["splits"]["train"]["n_entries"] == sum(n_entries)
    assert summary["splits"]["test"]["n_entries"] == first["splits"]["test"]["n_entries"] > 0
    assert "validation" not in json.loads((folder / "splits.json").read_text()).values()
    prior = summary["prior"]
    assert prior["criterion"] == "cross-validation"
    assert set(prior["strengths"]) == {"Bonds.k", "Bonds.length", "Angles.k", "Angles.angle", "ProperTorsions.k"}
    assert (
        prior["value"]
        <= prior["value_shared"]
        == min(trial["value"] for trial in prior["trials"] if len(set(trial["strengths"].values())) == 1)
    )
    study = study_runs([read_run(folder)], inputs / "data", None)
    candidates = load_candidates(study.candidates)
    rows = index_data(study.data, candidates, study.choose_split).rows
    errors = sum_errors(predict_here(study.data, rows, candidates, study.conformers))
    lines = check_run(read_run(folder), study.ends[0], study, errors, molecules_are_missing=False)
    assert [line.split(": ", 1)[1] for line in lines] == summary["warnings"]
    assert any(line.startswith("no test molecule is of") for line in summary["warnings"])


def test_evidence_chooses_too(finished, inputs):
    result = run(inputs, finished, "--method", "exact", "--prior-strength", "evidence")
    assert result.returncode == 0, result.stderr
    assert read_summary(finished)["prior"]["criterion"] == "evidence"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--learning-rate", "0.5"), "was made with --learning-rate 0.01, and now 0.5 is asked for"),
        (("--method", "exact"), "was made with --method adam, and now exact is asked for"),
        (("--n-epochs", "100"), "has --n-epochs 200; it may be given more, not 100"),
        (("--data", "OTHER", "--n-epochs", "300"), "was made with other contents of --data than"),
        (("--trained.Bonds.k.prior", "9", "--n-epochs", "300"), "was made with --trained "),
    ],
)
def test_resuming_with_other_settings_is_refused_and_leaves_the_run_as_it_is(
    finished, inputs, tmp_path, options, message
):
    first = min((finished / "runs").iterdir())
    before = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    shutil.copytree(inputs / "data" / "gen2-opt", tmp_path / "other" / "gen2-opt")
    options = [str(tmp_path / "other") if word == "OTHER" else word for word in options]
    result = resume(first, *options)
    assert result.returncode == 1
    assert f"{first}: {message}" in result.stderr
    assert {path: path.read_bytes() for path in first.rglob("*") if path.is_file()} == before


def test_resuming_what_is_no_run_is_refused_and_makes_none(finished):
    folder = finished / "runs" / "mistyped"
    result = resume(folder)
    assert result.returncode == 1
    assert "mistyped/config.json: no such file" in result.stderr
    assert not folder.exists()


def test_a_finished_run_has_nothing_to_go_on_with(finished):
    result = resume(min((finished / "runs").iterdir()))
    assert result.returncode == 0
    assert "this run has ended; more epochs may be given" in result.stdout


def test_more_epochs_give_the_force_field_of_as_many_in_one_go(finished, inputs, tmp_path):
    """To the last bit, from elsewhere, and with the files moved."""
    result = run(inputs, tmp_path, "--n-epochs", "120")
    assert result.returncode == 0, result.stderr
    shutil.copytree(inputs, tmp_path / "moved")
    folder = find_run(tmp_path)
    moved = ("--data", str(tmp_path / "moved" / "data"), "--parameters", str(tmp_path / "moved" / "starter.pt"))
    result = resume(folder, "--n-epochs", "200", *moved)
    assert result.returncode == 0, result.stderr
    assert "going on after epoch 120" in result.stdout
    expected = load_parameters(min((finished / "runs").iterdir()) / "force-field.pt").force_field
    found = load_parameters(folder / "force-field.pt").force_field
    for one, other in zip(found.potentials, expected.potentials, strict=True):
        assert torch.equal(one.parameters, other.parameters)
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    assert [event.step for event in events.Scalars("loss/train")] == LOGGED
    assert json.loads((folder / "config.json").read_text())["n_epochs"] == 200


def test_the_contents_of_the_priors_centre_count(inputs, tmp_path):
    centre = tmp_path / "centre.pt"
    shutil.copy(inputs / "starter.pt", centre)
    options = ("--prior-strength", "0.1", "--prior-centre", str(centre), "--n-epochs", "20")
    assert run(inputs, tmp_path, *options).returncode == 0
    molecules = load_parameters(centre)
    other = change_parameters(molecules.force_field, ("Bonds",), seed=3)
    save_parameters(centre, dataclasses.replace(molecules, force_field=other))
    result = resume(find_run(tmp_path), "--n-epochs", "30")
    assert result.returncode == 1
    assert f"was made with other contents of --prior-centre than {centre} has now" in result.stderr


def test_a_preset_and_options_over_it(finished, inputs):
    result = run(inputs, finished, "--preset", "exact", "--prior-strength", "0.01")
    assert result.returncode == 0, result.stderr
    config = json.loads((find_run(finished) / "config.json").read_text())
    assert (config["preset"], config["method"], config["prior_strength"]) == ("exact", "exact", 0.01)


def test_torchrun_with_two_agents_gives_the_same(finished, inputs, tmp_path):
    """Two agents on this machine, one rank each, as two nodes would be."""
    agents = []
    port = 29400 + os.getpid() % 1000
    for node in range(2):
        launcher = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
        launcher += ["--node-rank", str(node), "--master-addr", "127.0.0.1", "--master-port", str(port)]
        command = make_command(inputs, tmp_path, "--n-epochs", "200")
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        agents.append(
            subprocess.Popen(
                [*launcher, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
            )
        )
    outputs = [agent.communicate(timeout=300) for agent in agents]
    assert all(agent.returncode == 0 for agent in agents), outputs
    assert len(list((tmp_path / "runs").iterdir())) == 1
    summary, expected = (
        read_summary(tmp_path),
        json.loads((min((finished / "runs").iterdir()) / "summary.json").read_text()),
    )
    assert summary["n_ranks"] == 2
    assert summary["loss_initial"] == pytest.approx(expected["loss_initial"], rel=1e-10)
    assert summary["loss_optimum"] == pytest.approx(expected["loss_optimum"], rel=1e-10)


def test_a_killed_rank_ends_the_run(inputs, tmp_path):
    command = make_command(inputs, tmp_path, "--n-processes", "2")
    process = subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 120.0
    victim = None
    while victim is None and time.monotonic() < deadline:
        children = subprocess.run(
            ["pgrep", "-P", str(process.pid), "-f", "spawn_main"], capture_output=True, text=True, check=False
        )
        victim = next(iter(children.stdout.split()), None)
        time.sleep(0.02)
    os.kill(int(victim), signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert re.search(r"rank \d died", errors)
    assert not list(tmp_path.glob("runs/*"))
    assert not list(tmp_path.glob("statistics/*.pt"))


@pytest.mark.parametrize(
    ("remove", "message"),
    [("data", "no data sets here"), ("starter.pt", "run 002-parameterize.py")],
)
def test_missing_inputs_are_named(inputs, tmp_path, remove, message):
    copy = tmp_path / "inputs"
    copy.mkdir()
    for name in {"data", "starter.pt"} - {remove}:
        (copy / name).symlink_to(inputs / name)
    result = run(copy, tmp_path)
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_molecules_without_parameters_are_refused(inputs, tmp_path):
    molecules = load_parameters(inputs / "starter.pt")
    smiles = next(iter(molecules.topologies))
    topologies = {one: topology for one, topology in molecules.topologies.items() if one != smiles}
    other = dataclasses.replace(molecules, topologies=topologies, failures={smiles: "no Bonds pattern"})
    save_parameters(tmp_path / "starter.pt", other)
    (tmp_path / "data").symlink_to(inputs / "data")
    result = run(tmp_path, tmp_path)
    assert result.returncode == 1
    assert f"no parameters for {smiles} (no Bonds pattern)" in result.stderr


def test_one_molecule_is_fitted_without_folds(inputs, tmp_path):
    entry = next(iter(read_entries(open_dataset(inputs / "data" / "gen2-opt"))))
    write_dataset(tmp_path / "data" / "gen2-opt", [entry])
    (tmp_path / "starter.pt").symlink_to(inputs / "starter.pt")
    result = run(tmp_path, tmp_path, "--method", "exact")
    assert result.returncode == 0, result.stderr
    assert "nothing can be left out of so few molecules" in result.stdout
    assert "prior" not in read_summary(tmp_path)
    result = run(tmp_path, tmp_path, "--method", "exact", "--prior-strength", "cross-validation")
    assert result.returncode == 1
    assert "cross-validation needs two molecules" in result.stderr
