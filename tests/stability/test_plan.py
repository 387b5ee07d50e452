"""Whole runs: any number of processes and any interruption give the same bits; what does not fit is named."""

import dataclasses
import json

import numpy
import pytest
import torch

from common.data.dataset import Entry
from common.data.trajectories import read_trajectories, write_trajectories
from common.files.tensor_file import read_tensors
from common.potentials.file import load_network
from common.processes.ranks import Ranks, run_ranks
from common.replicas.setup import DeviationSettings
from common.runs.checkpoints import load_checkpoint
from common.stability.cycle import Cycle
from common.stability.plan import choose_evenly, run_plan
from tests.stability.systems import make_plan, write_potential, write_reference


def read_weights(folder):
    return load_network(folder / "potential.pt").network.state_dict()


@pytest.fixture(scope="module")
def finished(tmp_path_factory, reference_path, potential_path):
    folder = tmp_path_factory.mktemp("runs") / "one"
    run_plan(Ranks(0, 1), make_plan(folder, reference_path, potential_path))
    return folder


def test_it_writes_what_is_learnt(finished, potential_path):
    names = {path.name for path in (finished / "potentials").iterdir()}
    assert names == {
        "cycle1-epoch1.pt",
        "cycle1-epoch2.pt",
        "cycle1.pt",
        "cycle2-epoch1.pt",
        "cycle2-epoch2.pt",
        "cycle2.pt",
    }
    history = json.loads((finished / "history.json").read_text())
    assert [row["phase"] for row in history if row["cycle"] == 2][-2:] == ["learning", "learning"]
    assert json.loads((finished / "summary.json").read_text())["n_steps"] == sum(row["n_steps"] for row in history)
    before, after = load_network(potential_path), load_network(finished / "potential.pt")
    assert after.provenance == before.provenance
    assert not torch.equal(before.network.head.weight, after.network.head.weight)


def test_two_processes_give_the_bits_of_one(finished, tmp_path, reference_path, potential_path):
    folder = tmp_path / "two"
    run_ranks(run_plan, (make_plan(folder, reference_path, potential_path),), 2)
    for name, value in read_weights(finished).items():
        assert torch.equal(value, read_weights(folder)[name])
    histories = [json.loads((one / "history.json").read_text()) for one in (finished, folder)]
    assert histories[0] == histories[1]


@pytest.mark.parametrize("n_epochs", [1, 3, 4])
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(
    finished, tmp_path, reference_path, potential_path, n_epochs, monkeypatch
):
    """Killed in simulation or in learning, after any checkpoint."""
    folder = tmp_path / "stopped"
    plan = make_plan(folder, reference_path, potential_path)
    run_epoch, done = Cycle.run_epoch, []

    class KilledError(Exception):
        pass

    def run_some(cycle, state):
        if len(done) == n_epochs:
            raise KilledError
        done.append(state)
        return run_epoch(cycle, state)

    monkeypatch.setattr(Cycle, "run_epoch", run_some)
    with pytest.raises(KilledError):
        run_plan(Ranks(0, 1), plan)
    monkeypatch.setattr(Cycle, "run_epoch", run_epoch)
    run_plan(Ranks(0, 1), dataclasses.replace(plan, checkpoint=load_checkpoint(folder, "test")))
    for name, value in read_weights(finished).items():
        assert torch.equal(value, read_weights(folder)[name])
    checkpoints = [read_tensors(one / "checkpoints" / "last.pt")["state"]["run"] for one in (finished, folder)]
    assert torch.equal(checkpoints[0]["coords"], checkpoints[1]["coords"])


def test_a_control_makes_the_same_steps_without_observables(finished, tmp_path, reference_path, potential_path):
    rows = json.loads((finished / "history.json").read_text())
    plan = make_plan(tmp_path / "control", reference_path, potential_path, control=rows, weights={})
    run_plan(Ranks(0, 1), plan)
    summary = json.loads((tmp_path / "control" / "summary.json").read_text())
    assert summary["n_steps"] == sum(row["n_steps"] for row in rows)
    assert any(
        not torch.equal(value, read_weights(tmp_path / "control")[name])
        for name, value in read_weights(finished).items()
    )


def test_all_fail_at_once(tmp_path, reference_path, potential_path):
    plan = make_plan(tmp_path / "run", reference_path, potential_path)
    plan = dataclasses.replace(plan, epoch=dataclasses.replace(plan.epoch, n_steps=400))
    with pytest.raises(ValueError, match=r"all 8 replicas failed in the first epoch of 0\.2 ps: pretrain longer"):
        run_plan(Ranks(0, 1), plan)


def test_a_tolerance_that_the_reference_exceeds_is_refused(tmp_path, reference_path, potential_path):
    plan = make_plan(tmp_path / "run", reference_path, potential_path, deviations=DeviationSettings(0.05))
    with pytest.raises(ValueError, match="the reference itself fails: its own bond reaches"):
        plan.check()


def test_a_potential_of_another_reference_is_refused(tmp_path, reference_path, potential_path):
    other = write_reference(tmp_path, n_frames=40)
    plan = make_plan(tmp_path / "run", other, potential_path)
    with pytest.raises(ValueError, match="was not trained on"):
        plan.check()


def test_a_potential_that_lacks_an_element_is_refused(tmp_path, potential_path, reference_path):
    (trajectory, *_) = read_trajectories(reference_path)
    smiles = trajectory.entry.smiles.replace("[O:3]", "[S:3]")
    entry = dataclasses.replace(trajectory.entry, smiles=smiles)
    write_trajectories(tmp_path / "thiol", [dataclasses.replace(trajectory, entry=entry)], {})
    with pytest.raises(ValueError, match="knows no element 16"):
        make_plan(tmp_path / "run", tmp_path / "thiol", potential_path).check()


def test_frames_that_are_held_out_now_are_refused(tmp_path, reference_path):
    potential = write_potential(tmp_path, reference_path)
    plan = make_plan(tmp_path / "run", reference_path, potential, held_out_share=0.9)
    with pytest.raises(ValueError, match=r"give the share that it was pretrained with, 0\.5"):
        plan.check()


def test_frames_are_chosen_evenly():
    entry = Entry("[H:1][H:2]", numpy.zeros((10, 2, 3)), numpy.arange(10.0), numpy.zeros((10, 2, 3)))
    assert len(choose_evenly(entry, 4).energy) == 4
    assert choose_evenly(entry, 20) is entry
