"""Pretraining as a run: what it writes, and that processes and interruptions leave no trace."""

import dataclasses
import json

import pytest
import torch

from common.data.trajectories import read_trajectories
from common.neural.atom_energies import NetworkSettings
from common.neural.frame_splits import split_frames
from common.neural.schnet import SchNetSettings
from common.neural.training import TrainingSettings
from common.potentials.file import load_network
from common.potentials.pretraining import Pretraining, number_frames, run_pretraining
from common.processes.ranks import Ranks, run_ranks
from common.runs.checkpoints import load_checkpoint
from tests.stability.systems import write_reference


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return write_reference(tmp_path_factory.mktemp("reference"))


def make_plan(folder, reference, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    split = split_frames([60, 60], 40, 10, 20, 0.5, False, 0)
    plan = Pretraining(
        folder=folder,
        data=reference,
        split=split,
        network=NetworkSettings("schnet", SchNetSettings(8, 8, 1, 8, 4.0), 20.0),
        training=TrainingSettings(max_epochs=6, batch_size=30, learning_rate=3e-3, averaging=0.9),
        start=None,
        fingerprint="test",
        checkpoint=None,
        checkpoint_interval=3,
        log_interval=1,
        device="cpu",
        provenance={"reference": "test"},
    )
    return dataclasses.replace(plan, **changes)


def read_weights(folder):
    return load_network(folder / "potential.pt").network.state_dict()


@pytest.fixture(scope="module")
def finished(tmp_path_factory, reference):
    folder = tmp_path_factory.mktemp("runs") / "one"
    run_pretraining(Ranks(0, 1), make_plan(folder, reference))
    return folder


def test_it_writes_a_potential_that_knows_its_frames(finished):
    contents = load_network(finished / "potential.pt")
    assert len(contents.provenance["split"]["train"]) == 40
    assert set(contents.reference_energies) == {1, 6, 8}
    summary = json.loads((finished / "summary.json").read_text())
    assert summary["n_epochs"] == 6
    assert set(summary["errors"]) == {"train", "validation", "test"}
    assert list(finished.glob("events.*"))


def test_two_processes_give_the_bits_of_one(finished, tmp_path, reference):
    run_ranks(run_pretraining, (make_plan(tmp_path / "two", reference),), 2)
    for name, value in read_weights(finished).items():
        assert torch.equal(value, read_weights(tmp_path / "two")[name])


def test_it_goes_on_to_the_same_bits(finished, tmp_path, reference):
    plan = make_plan(tmp_path / "half", reference)
    run_pretraining(Ranks(0, 1), dataclasses.replace(plan, training=dataclasses.replace(plan.training, max_epochs=3)))
    resumed = dataclasses.replace(plan, checkpoint=load_checkpoint(plan.folder, "test"))
    run_pretraining(Ranks(0, 1), resumed)
    for name, value in read_weights(finished).items():
        assert torch.equal(value, read_weights(plan.folder)[name])


def test_it_may_start_from_another_potential(finished, tmp_path, reference):
    training = TrainingSettings(max_epochs=1, learning_rate=1e-12)
    plan = make_plan(tmp_path / "next", reference, start=finished / "potential.pt", training=training)
    run_pretraining(Ranks(0, 1), plan)
    for name, value in read_weights(finished).items():
        torch.testing.assert_close(value, read_weights(plan.folder)[name], atol=1e-6, rtol=0)


def test_frames_are_numbered_run_after_run(reference):
    trajectories = read_trajectories(reference)
    assert number_frames(trajectories, {"train": [[0, 3], [1, 0], [1, 59]]}) == {"train": [3, 60, 119]}
