"""What workers do with networks, in files: the same when asked twice."""

import dataclasses
import pathlib

import numpy
import pytest
import torch

from common.neural.atom_energies import AtomEnergyNetwork
from common.potentials.ensemble import predict
from common.potentials.file import NetworkFile, load_network, save_network
from common.tasks.labels import make_labels, save_labels
from common.tasks.networks import (
    EvaluateTask,
    PredictTask,
    SampleTask,
    TrainTask,
    evaluate_ensemble,
    predict_frames,
    sample,
    train,
)
from common.tasks.sampling import DynamicsSettings, load_run
from common.tasks.training import TrainingSettings
from tests.tasks.made_up import COORDS, NUMBERS, PAINN, draw_labels

EXACT = 1e-3  # [kcal/mol] of total energies of 5000 kcal/mol, which networks add to in float32


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two networks of random weights."""
    folder = tmp_path_factory.mktemp("models")
    paths = []
    for seed in (0, 1):
        network = AtomEnergyNetwork(PAINN, torch.Generator().manual_seed(seed))
        save_network(folder / f"{seed}.pt", NetworkFile(network, {1: -1.0, 8: -10.0}, {}))
        paths.append(str(folder / f"{seed}.pt"))
    return tuple(paths)


@pytest.fixture
def train_task(tmp_path):
    save_labels(tmp_path / "labels.npz", draw_labels(12, 0))
    settings = TrainingSettings(batch_size=6, evaluation_interval=5, max_steps=10)
    return TrainTask(str(tmp_path / "a.pt"), str(tmp_path / "labels.npz"), None, PAINN, 3, settings, 8)


def make_sample_task(tmp_path, models, **changes):
    settings = DynamicsSettings(frame_interval=5)
    task = SampleTask(
        str(tmp_path / "first.npz"), models[0], None, NUMBERS, COORDS, None, 100.0, 20, settings, 4, "cpu"
    )
    return dataclasses.replace(task, **changes)


def test_a_training_leaves_a_network_and_its_notes(train_task):
    progress = train(train_task)
    contents = load_network(train_task.output)
    assert contents.provenance["progress"] == progress
    assert contents.provenance["seed"] == 8
    assert set(contents.reference_energies) == {1, 8}


def test_a_training_that_was_done_is_not_done_again(train_task):
    first = train(train_task)
    time = pathlib.Path(train_task.output).stat().st_mtime_ns
    assert train(train_task) == first
    assert pathlib.Path(train_task.output).stat().st_mtime_ns == time
    train(dataclasses.replace(train_task, seed=9))
    assert pathlib.Path(train_task.output).stat().st_mtime_ns != time


def test_a_network_that_another_campaign_has_trained_is_taken_from_the_cache(train_task, tmp_path):
    cached = dataclasses.replace(train_task, cache=str(tmp_path / "cache"))
    progress = train(cached)
    (kept,) = (tmp_path / "cache").iterdir()
    elsewhere = dataclasses.replace(cached, output=str(tmp_path / "elsewhere.pt"))
    kept_time = kept.stat().st_mtime_ns
    assert train(elsewhere) == progress
    weights = [load_network(path).network.state_dict() for path in (cached.output, elsewhere.output)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert kept.stat().st_mtime_ns == kept_time
    for k, change in enumerate([{"seed": 9}, {"start_seed": 4}, {"settings": TrainingSettings(max_steps=5)}]):
        train(dataclasses.replace(cached, output=str(tmp_path / f"{k}.pt"), **change))
        assert len(list((tmp_path / "cache").iterdir())) == 2 + k


def test_members_start_from_the_same_weights(train_task, models, tmp_path):
    started = dataclasses.replace(
        train_task, start=models[0], settings=TrainingSettings(max_steps=1, learning_rate=1e-9)
    )
    weights = []
    for seed in (1, 2):
        output = str(tmp_path / f"{seed}.pt")
        train(dataclasses.replace(started, output=output, seed=seed))
        weights.append(load_network(output).network.embedding.weight)
    torch.testing.assert_close(weights[0], load_network(models[0]).network.embedding.weight)
    torch.testing.assert_close(weights[0], weights[1])


def test_a_run_says_how_it_ended(tmp_path, models):
    task = make_sample_task(tmp_path, models)
    result = sample(task)
    run = load_run(task.output)
    energy = predict([load_network(models[0])], NUMBERS, run.coords[-1:]).energies[0, 0]
    assert result == {"n_steps": 20, "n_frames": 4, "energy": energy, "reason": ""}
    assert energy == pytest.approx(run.energies[-1] - 12.0, abs=EXACT)  # the references
    assert sample(dataclasses.replace(task, n_steps=5)) == result  # it was done


def test_a_run_goes_on_exactly_where_another_ended(tmp_path, models):
    first = make_sample_task(tmp_path, models)
    sample(first)
    second = make_sample_task(tmp_path, models, output=str(tmp_path / "second.npz"), origin=first.output, seed=5)
    sample(second)
    one, two = load_run(first.output), load_run(second.output)
    assert two.start_coords.tobytes() == one.coords[-1].tobytes()
    assert two.start_velocities.tobytes() == one.end_velocities.tobytes()


def test_a_start_has_its_velocities_or_is_given_some(tmp_path, models):
    velocities = 0.01 * numpy.ones((3, 3))
    sample(make_sample_task(tmp_path, models, velocities=velocities))
    assert load_run(tmp_path / "first.npz").start_velocities.tobytes() == velocities.tobytes()
    sample(make_sample_task(tmp_path, models, output=str(tmp_path / "other.npz")))
    assert numpy.abs(load_run(tmp_path / "other.npz").start_velocities).max() > 0.0


def test_an_element_that_the_network_does_not_know_is_named(tmp_path, models):
    with pytest.raises(ValueError, match=r"knows the elements \[1, 8\], not 7"):
        sample(make_sample_task(tmp_path, models, numbers=numpy.array([7, 1, 1])))


@pytest.mark.parametrize("by_forces", [False, True])
def test_frames_are_predicted_in_the_order_asked_for(tmp_path, models, by_forces):
    paths = []
    for i in range(2):
        task = make_sample_task(tmp_path, models, output=str(tmp_path / f"{i}.npz"), seed=i)
        sample(task)
        paths.append(task.output)
    frames = ((paths[1], 2), (paths[0], 0), (paths[1], 1))
    result = predict_frames(PredictTask(models, frames, by_forces, "cpu"))
    members = [load_network(path) for path in models]
    for (path, place), energies, disagreement in zip(frames, result["energies"], result["disagreement"], strict=True):
        found = predict(members, NUMBERS, load_run(path).coords[place : place + 1])
        numpy.testing.assert_allclose(energies, found.energies[:, 0], atol=EXACT)
        spread = found.forces[:, 0].std(axis=0)
        expected = numpy.sqrt((spread**2).sum(axis=-1)).max() if by_forces else found.energies[:, 0].std() / 3
        assert disagreement == pytest.approx(expected, abs=EXACT)


def test_errors_on_tests(tmp_path, models):
    members = [load_network(path) for path in models]
    coords = draw_labels(5, 0).coords.reshape(-1, 3, 3)
    found = predict(members, NUMBERS, coords)
    shifted = make_labels(
        [0] * 5, [NUMBERS] * 5, list(coords), found.energies.mean(axis=0) + 7.0, list(found.forces.mean(axis=0) + 0.5)
    )
    save_labels(tmp_path / "test.npz", shifted)
    errors = evaluate_ensemble(EvaluateTask(models, {"near": str(tmp_path / "test.npz")}, "cpu"))["near"]
    assert errors["force"] == pytest.approx(0.5, abs=1e-6)
    assert errors["energy"] == pytest.approx(0.0, abs=EXACT)  # a shift of all energies is no error
    half = 0.5 * (found.forces[0] - found.forces[1])
    assert errors["member_force"] == pytest.approx(float(numpy.sqrt(0.25 + (half**2).mean())), abs=1e-5)
