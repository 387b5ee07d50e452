"""Stage 013 as a user runs it: to the end, killed in either phase, under torchrun, on a force field, refused."""

import json
import os
import signal
import subprocess
import sys

import pytest
import torch

from common.forcefields.energy import compute_energy
from common.forcefields.parameter_file import load_parameters, save_parameters
from common.potentials.file import load_network
from common.smirnoff.offxml import read_force_field
from common.smirnoff.parameterize import parameterize
from tests.commands import STARTER, find_run, run_here
from tests.helpers import ROOT, raises_with_advice
from tests.observables.systems import ETHANOL_SMILES
from tests.stability.systems import COORDS, write_potential, write_reference

SCRIPT = "013-stabilize.py"
MOTION = ("--time-step", 0.5, "--check-interval", 5, "--bond-tolerance", 0.6, "--epoch-duration", 0.02)
PHASES = ("--n-cycles", 2, "--max-simulation-epochs", 2, "--max-learning-epochs", 2, "--unstable-share-to-learn", 1)
LEARNING = ("--n-replicas", 8, "--frames-per-epoch", 24, "--n-inner-steps", 3, "--n-blocks", 4)
OBSERVABLES = ("--observables", "instability", 2, "adf", 100)
SMALL = (*MOTION, *PHASES, *LEARNING, *OBSERVABLES, "--learning-rate", 1e-3)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return write_reference(tmp_path_factory.mktemp("reference"))


@pytest.fixture(scope="module")
def potential(tmp_path_factory, reference):
    return write_potential(tmp_path_factory.mktemp("potential"), reference)


@pytest.fixture(scope="module")
def options(reference, potential):
    return ("--reference", reference, "--potential", potential, *SMALL)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, options):
    output = tmp_path_factory.mktemp("stable")
    run_here(SCRIPT, *options, "--output", output)
    return find_run(output)


def read_state(run) -> dict:
    """The last checkpoint without what names the moment of its writing."""
    return torch.load(run / "checkpoints" / "last.pt", weights_only=True)["state"]


def assert_same(one, other, place="state"):
    """Equal to the last bit, whatever is nested in what."""
    assert type(one) is type(other), place
    if isinstance(one, torch.Tensor):
        assert torch.equal(one.nan_to_num(), other.nan_to_num()), place
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), place
        for key in one:
            assert_same(one[key], other[key], f"{place}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), place
        for k, (mine, yours) in enumerate(zip(one, other, strict=True)):
            assert_same(mine, yours, f"{place}.{k}")
    else:
        assert one == other, place


def read_history(run) -> list[dict]:
    return json.loads((run / "history.json").read_text())


def test_it_writes_a_run(finished):
    history = read_history(finished)
    assert [row["phase"] for row in history[:2]] == ["simulation", "simulation"]
    assert {row["cycle"] for row in history} == {1, 2}
    names = {path.name for path in finished.iterdir()}
    assert names >= {"config.json", "history.json", "history.csv", "summary.json", "potential.pt", "potentials"}
    points = {path.stem for path in (finished / "potentials").iterdir()}
    assert points >= {"cycle1-epoch1", "cycle1", "cycle2"}


KILLED = """
import os, signal, sys
import common.stability.stabilization as stabilization
from common.processes.stage import run_stage
from tests.commands import load_stage, ROOT
save, n_left = stabilization.save_checkpoint, [int(sys.argv.pop(1))]
def save_or_die(*arguments):
    n_left[0] -= 1
    if n_left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    save(*arguments)
stabilization.save_checkpoint = save_or_die
load_stage(ROOT / "013-stabilize.py").main()
"""
"""Dies when everything of an epoch but its checkpoint is written, after so many epochs."""


def run_killed(n_epochs: int, *options: object) -> None:
    command = [sys.executable, "-c", KILLED, n_epochs, *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, env=environment, timeout=120
    )
    assert result.returncode == -signal.SIGKILL, result.stderr


def test_killed_in_either_phase_it_goes_on_to_the_same_bits(finished, options, tmp_path):
    run_killed(1, *options, "--output", tmp_path)  # in the second epoch of simulation
    run = find_run(tmp_path)
    run_killed(2, "--resume", run)  # in an epoch of learning, two epochs on
    assert read_history(run)[-1]["phase"] == "learning"
    assert not (run / "potential.pt").exists()
    run_here(SCRIPT, "--resume", run)
    assert_same(read_state(run), read_state(finished))
    one, other = (load_network(path / "potential.pt").network.state_dict() for path in (run, finished))
    assert_same(dict(one), dict(other))


def test_an_ended_run_says_so_and_may_be_given_more_cycles(finished, capsys):
    run_here(SCRIPT, "--resume", finished)
    assert "this run has ended" in capsys.readouterr().out


def test_under_torchrun_every_decision_is_the_same(finished, options, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", ROOT / SCRIPT]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [str(word) for word in (*command, *options, "--output", tmp_path)]
    subprocess.run(command, check=True, capture_output=True, timeout=300, env=environment)
    assert read_history(find_run(tmp_path)) == read_history(finished)
    assert_same(read_state(find_run(tmp_path)), read_state(finished))


def test_a_control_takes_the_settings_of_its_run(finished, tmp_path):
    run_here(SCRIPT, "--control", finished.parent, "--output", tmp_path)
    control = find_run(tmp_path)
    summary = json.loads((control / "summary.json").read_text())
    assert summary["n_steps"] == json.loads((finished / "summary.json").read_text())["n_steps"] > 0
    assert json.loads((control / "config.json").read_text())["learning_rate"] == 1e-3


def test_where_nothing_fails_nothing_changes(reference, potential, tmp_path, capsys):
    """A simulation of one step, in which no bond breaks."""
    short = ("--epoch-duration", 0.002, "--time-step", 0.5, "--check-interval", 2, "--max-simulation-epochs", 1)
    wide = ("--bond-tolerance", 0.9, "--n-replicas", 8)
    run_here(SCRIPT, "--reference", reference, "--potential", potential, *short, *wide, "--output", tmp_path)
    assert "nothing to repair" in capsys.readouterr().out
    before, after = (load_network(p).network.state_dict() for p in (potential, find_run(tmp_path) / "potential.pt"))
    assert_same(dict(before), dict(after))


def test_a_force_field_is_refined(reference, tmp_path):
    molecules = parameterize(read_force_field(STARTER), [ETHANOL_SMILES], 1)
    save_parameters(tmp_path / "starter.pt", molecules)
    never = ("--unstable-share-to-stop", "never", "--max-simulation-epochs", 0, "--max-learning-epochs", 2)
    observables = ("--observables", "moments", 20, "--n-cycles", 1, "--learning-rate", 0.03, "--epoch-duration", 0.1)
    options = (*SMALL, *never, *observables, "--output", tmp_path / "runs")
    run_here(SCRIPT, "--reference", reference, "--potential", tmp_path / "starter.pt", *options)
    run = find_run(tmp_path / "runs")
    steps = [row for row in read_history(run) if row["n_steps"]]
    assert steps[-1]["last_quantum_loss"] < steps[0]["quantum_loss"]
    refined = load_parameters(run / "potential.pt")
    reread = parameterize(read_force_field(run / "potential.offxml"), [ETHANOL_SMILES], 1)
    coords = COORDS[None] + 0.05 * torch.randn((5, 9, 3), generator=torch.Generator().manual_seed(0)).double()
    energies = [compute_energy(one.topologies[ETHANOL_SMILES], one.force_field, coords) for one in (refined, reread)]
    assert torch.allclose(*energies, rtol=0.0, atol=1e-8)
    start = compute_energy(molecules.topologies[ETHANOL_SMILES], molecules.force_field, coords)
    assert not torch.allclose(energies[0], start, atol=1e-2)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (("--bond-tolerance", 0.01), "the reference itself fails"),
        (("--observables", "rdf-8-1", 1), "need a periodic box"),
        (("--observables", "rdfs", 1), "there is no observable 'rdfs'"),
        (("--observables", "rdf", 0, "adf", 0), "none has a weight"),
        (("--bond-tolerance", "None"), "nothing would ever fail"),
        (("--epoch-duration", 0.001), "shorter than check_interval"),
        (("--held-out-share", 0.9), "held-out-share"),
    ],
)
def test_what_cannot_be_done_is_named_before_any_work(options, tmp_path, changes, words):
    with pytest.raises(ValueError, match=words):
        run_here(SCRIPT, *options, *changes, "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_potential_of_another_molecule_is_refused(options, potential, tmp_path):
    other = write_reference(tmp_path, n_runs=1, n_frames=20)
    with pytest.raises(ValueError, match=r"was not trained on .*: pretrain a potential on this reference"):
        run_here(SCRIPT, *options, "--reference", other, "--output", tmp_path / "out")
    molecules = parameterize(read_force_field(STARTER), ["[C:1]([H:2])([H:3])([H:4])[H:5]"], 1)
    save_parameters(tmp_path / "methane.pt", molecules)
    with pytest.raises(ValueError, match="holds no parameters for"):
        run_here(SCRIPT, *options, "--potential", tmp_path / "methane.pt", "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_missing_is_named_with_what_makes_it(reference, potential, tmp_path):
    with raises_with_advice(FileNotFoundError, r"no reference here; run 011-sample-reference.py"):
        run_here(SCRIPT, "--reference", tmp_path, "--potential", potential)
    with raises_with_advice(FileNotFoundError, r"no such run or file; run 012-pretrain.py"):
        run_here(SCRIPT, "--reference", reference, "--potential", tmp_path / "nothing")
    with pytest.raises(ValueError, match="no --potential is given"):
        run_here(SCRIPT, "--reference", reference)


def test_all_fail_at_once(options, tmp_path):
    with pytest.raises(ValueError, match="all 8 replicas failed in the first epoch of 2 ps: pretrain longer"):
        run_here(SCRIPT, *options, "--epoch-duration", 2, "--output", tmp_path)
