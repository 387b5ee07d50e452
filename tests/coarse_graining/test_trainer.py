"""The Trainer: the original's keys suffice, each has its effect, and a resumed run ends where a whole one does."""

import csv
import dataclasses
import json
import math
import pathlib

import numpy
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from common.body_trajectories.simulation import simulate, split_trajectories
from common.body_trajectories.systems import BodySystem
from common.body_trajectories.trajectories import save_trajectories
from common.coarse_graining.configuration import Further
from common.coarse_graining.objectives import Objective
from common.coarse_graining.trainer import Trainer
from common.geometry.bodies import build_body
from common.pair_networks.potential import load_learned_potential
from common.potentials.body_pairs import Spring
from tests.bodies import LENNARD_JONES, make_ring
from tests.coarse_graining.samples import PROTOCOL, make_config, make_trajectories, write_data


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> pathlib.Path:
    return write_data(tmp_path_factory.mktemp("data") / "pairs")


def run(data: pathlib.Path, folder: pathlib.Path, further: Further | None = None, **changes) -> Trainer:
    folder.mkdir(exist_ok=True)
    trainer = Trainer(make_config(data, **changes), further, folder)
    trainer.train()
    return trainer


def read_weights(folder: pathlib.Path, name: str = "potential.pt") -> torch.Tensor:
    learned, _ = load_learned_potential(folder / name)
    return torch.nn.utils.parameters_to_vector(learned.parameters()).detach()


@pytest.fixture(scope="module")
def plain(data, tmp_path_factory) -> pathlib.Path:
    """A run with the keys as they are."""
    folder = tmp_path_factory.mktemp("plain")
    run(data, folder)
    return folder


def test_the_originals_keys_alone_suffice(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    summary = Trainer(make_config(data)).train()
    [folder] = (tmp_path / "outputs" / "coarse-graining").iterdir()
    assert json.loads((folder / "summary.json").read_text()) == json.loads(json.dumps(summary))
    assert {path.name for path in folder.iterdir()} >= {"config.json", "log.csv", "potential.pt", "checkpoints"}
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["1.pt", "2.pt", "last.pt"]


def test_training_lowers_the_loss_on_test(data, tmp_path):
    untrained = Trainer(make_config(data)).evaluate("test")
    trainer = run(data, tmp_path, epochs=10, learning_rate=0.03)
    assert trainer.evaluate("test") < 0.9 * untrained  # of three trajectories, with one collision or another


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 1},
        {"start_epoch": 1},
        {"nn_depth": 1},
        {"nn_width": 9},
        {"batch_length": 2},
        {"batch_size": 50},
        {"shuffle": False},
        {"optimizer": "SGD"},
        {"learning_rate": 0.02},
        {"scheduling_factor": 0.5},
        {"scheduler": "CyclicLR", "scheduling_factor": 0.5},
        {"scheduler": None},
        {"scheduling_freq": 2},
        {"loss_func": "final"},
        {"loss_func": "all-mse"},
        {"loss_func": "all-pos"},
        {"dtype": "float32"},
    ],
    ids=str,
)
def test_keys_that_change_the_weights(changes, plain, data, tmp_path):
    run(data, tmp_path, **changes)
    before, after = read_weights(plain), read_weights(tmp_path)
    assert before.shape != after.shape or not torch.equal(before, after.double())


@pytest.mark.parametrize(
    "further",
    [
        Further(inputs="body-frame"),
        Further(gradient="direct"),
        Further(method="forces"),
        Further(method="finite-differences"),
        Further(steps_per_frame=2),
        Further(frame_stride=2),
        Further(batch_length_step=1),
        Further(batches_per_epoch=1),
        Further(balance=0.0),
        Further(asymptote=0.0),
        Further(max_gradient_norm=1e-3),
        Further(activation="tanh"),
        Further(seed=1),
        Further(n_radial=5),
    ],
    ids=lambda one: str({k: v for k, v in dataclasses.asdict(one).items() if v != getattr(Further(), k)}),
)
def test_further_settings(further, plain, data, tmp_path):
    """They change the weights, all but the way to the same gradient."""
    run(data, tmp_path, further)
    before, after = read_weights(plain), read_weights(tmp_path)
    if further.gradient == "direct":
        torch.testing.assert_close(after, before, atol=1e-10, rtol=0)
    else:
        assert before.shape != after.shape or not torch.equal(before, after)


def test_the_number_of_anchor_points(tmp_path):
    """Two rings of three are two groups of points, or one that stands for both."""
    coords = numpy.concatenate((make_ring(3), make_ring(3, 1.4)))
    body, _ = build_body("rings", coords, numpy.ones(6), ["A"] * 3 + ["B"] * 3)
    system = BodySystem((body, body), (LENNARD_JONES,), Spring(1.0, 3.0), units="reduced")
    own = simulate(system, 12, dataclasses.replace(PROTOCOL, equilibration_time=0.2), "rings")
    save_trajectories(tmp_path / "data", split_trajectories(own, (0.2, 0.2)), {})
    numbers = [
        Trainer(make_config(tmp_path / "data"), Further(n_points=n_points)).learned.state_dict() for n_points in (3, 6)
    ]
    assert len(numbers[0]) < len(numbers[1])


def test_keys_that_say_what_is_told(data, tmp_path, capsys):
    run(data, tmp_path / "a", printing_freq=1, itr_printing_freq=1, plotting_freq=2, checkpoint_freq=2)
    told = capsys.readouterr().out.splitlines()
    assert [line for line in told if line.startswith("epoch 1, step 1: loss")]
    assert [line for line in told if line.startswith("epoch 2: loss") and "validation" in line]
    assert sorted(path.name for path in (tmp_path / "a" / "checkpoints").iterdir()) == ["2.pt", "last.pt"]
    events = EventAccumulator(str(tmp_path / "a"), size_guidance={"images": 0, "scalars": 0})
    events.Reload()
    assert sorted(events.Tags()["images"]) == sorted(
        f"rollout/{name}" for name in ("positions", "velocities", "angular momenta", "quaternions", "separation")
    )
    assert {"loss/train", "loss/validation", "learning rate", "batch length"} <= set(events.Tags()["scalars"])
    run(data, tmp_path / "b", evaluation_freq=0, eval_batch_length=4)
    assert "validation" not in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "b" / "log.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert rows[0]["loss/validation"] == ""
    assert float(rows[1]["learning rate"]) == pytest.approx(0.009)
    losses = [json.loads((tmp_path / name / "summary.json").read_text())["loss_test"] for name in "ab"]
    assert losses[0] != losses[1]  # windows of another length


def test_a_run_starts_from_the_potential_of_another(plain, data, tmp_path):
    run(data, tmp_path, load_folder=str(plain), epochs=0)
    assert torch.equal(read_weights(tmp_path), read_weights(plain))
    with pytest.raises(ValueError, match=r"load_folder = .* is asked for"):
        Trainer(make_config(data, load_folder=str(plain), nn_width=9))


def test_windows_grow(data):
    trainer = Trainer(make_config(data, epochs=7), Further(batch_length_step=2, batch_length_freq=3))
    assert [trainer.get_batch_length(epoch) for epoch in range(1, 8)] == [3, 3, 3, 5, 5, 5, 7]


@pytest.mark.parametrize("optimizer", ["Adam", "LBFGS"])
def test_a_resumed_run_has_the_weights_of_a_whole_one(optimizer, data, tmp_path):
    further = Further(batches_per_epoch=1)
    run(data, tmp_path / "whole", further, optimizer=optimizer, batch_size=10)
    run(data, tmp_path / "parted", further, optimizer=optimizer, batch_size=10, epochs=1)
    again = Trainer(make_config(data, optimizer=optimizer, batch_size=10), further, tmp_path / "parted")
    again.train(resume=True)
    for name in ("potential.pt", "checkpoints/2.pt"):
        assert torch.equal(read_weights(tmp_path / "parted", name), read_weights(tmp_path / "whole", name))


def test_a_run_of_other_settings_is_not_gone_on_with(data, tmp_path):
    run(data, tmp_path, epochs=1)
    with pytest.raises(ValueError, match="start a new run"):
        Trainer(make_config(data, learning_rate=0.02), None, tmp_path).train(resume=True)


def test_a_loss_that_stops_falling_ends_the_run(data, tmp_path, capsys, monkeypatch):
    """Losses that rise, whatever is learned."""
    values = iter(range(1000))
    monkeypatch.setattr(
        Trainer, "_get_objective", lambda self, length: Objective(160, lambda chosen: float(next(values)))
    )
    run(data, tmp_path, Further(asymptote=0.0), epochs=50, stopping_freq=2, optimizer="SGD")
    assert json.loads((tmp_path / "summary.json").read_text())["epoch"] == 4
    assert "the loss has stopped falling" in capsys.readouterr().out


def test_a_loss_that_is_not_finite_is_told_and_the_checkpoint_kept(data, tmp_path, monkeypatch):
    values = iter([0.5] * 2 + [math.nan] * 9)
    monkeypatch.setattr(Trainer, "_get_objective", lambda self, length: Objective(160, lambda chosen: next(values)))
    with pytest.raises(
        RuntimeError, match=r"the loss is nan in epoch 2 at a learning rate of 0\.009: .*last\.pt is kept"
    ):
        run(data, tmp_path, Further(asymptote=0.0), epochs=5, optimizer="SGD")
    assert (tmp_path / "checkpoints" / "last.pt").is_file()
    assert not (tmp_path / "summary.json").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_length": 21}, r"batch_length = 21: a window of 21 frames .* there are 1 to 20"),
        ({"eval_batch_length": 30}, r"eval_batch_length = 30"),
        ({"batch_size": 5000}, r"batch_size = 5000: more than the 180 windows"),
    ],
)
def test_what_does_not_fit_the_data_is_named_before_any_work(changes, message, data):
    with pytest.raises(ValueError, match=message):
        Trainer(make_config(data, **changes))


def test_states_alone_teach_the_potential(data, tmp_path):
    """From trajectories without forces, the error of U falls well below its spread."""
    trainer = run(data, tmp_path, epochs=25, learning_rate=0.02, scheduler="CosineAnnealingLR", loss_func="all-mse")
    own = make_trajectories()
    with torch.no_grad():
        energies = trainer.learned.build_potential().compute_energy(own.motion.positions, own.motion.quaternions)
    error = energies - own.energies
    assert float((error - error.mean()).square().mean().sqrt()) < 0.6 * float(own.energies.std())
