"""Objectives: the loss of windows is that of rollouts, the loss of frames that of forces; both with their gradients."""

import pathlib

import pytest
import torch

from common.coarse_graining.configuration import Further, read_config
from common.coarse_graining.objectives import build_machinery, build_objective, compute_windows_loss
from common.coarse_graining.windows import list_windows
from tests.coarse_graining.samples import make_config, make_learned, make_trajectories

CHOSEN = torch.tensor([3, 50, 77, 200])


def build(further: Further, **changes):
    data, learned, config = make_trajectories(), make_learned(), read_config(make_config(pathlib.Path(), **changes))
    machinery = build_machinery(data, config, further)
    return build_objective(data, learned, config, further, machinery, config.batch_length), learned, machinery, config


def compute_slope(objective, learned) -> tuple[float, float]:
    """Along the gradient's direction: its length, and central differences of the loss."""
    learned.zero_grad()
    objective.evaluate(CHOSEN)
    parameters = list(learned.parameters())
    gradient = torch.cat([values.grad.flatten() for values in parameters])
    direction, weights = gradient / gradient.norm(), torch.nn.utils.parameters_to_vector(parameters).detach()
    values = []
    for sign in (1.0, -1.0):
        torch.nn.utils.vector_to_parameters(weights + 1e-5 * sign * direction, parameters)
        values.append(objective.evaluate(CHOSEN))
    return float(gradient.norm()), (values[0] - values[1]) / 2e-5


@pytest.mark.parametrize("method", ["trajectory", "forces", "finite-differences"])
def test_gradients_are_of_the_loss(method):
    objective, learned, *_ = build(Further(method=method), loss_func="all-mse")
    length, slope = compute_slope(objective, learned)
    assert length == pytest.approx(slope, rel=1e-5)


def test_the_loss_of_windows_is_that_of_rollouts():
    objective, learned, machinery, config = build(Further(balance=0.0))
    windows = list_windows(make_trajectories(), config.batch_length, 1, "batch_length")
    assert objective.n_samples == len(windows.starts) == 16 * 18
    expected = compute_windows_loss("all", windows, CHOSEN, learned.build_total().compute_field, machinery)
    assert objective.evaluate(CHOSEN) == pytest.approx(float(expected.mean()), rel=1e-12)


@pytest.mark.parametrize("loss", ["all", "all-mse"])
def test_the_loss_of_frames_is_of_forces_and_torques_over_their_spreads(loss):
    objective, learned, *_ = build(Further(method="forces", balance=0.0), loss_func=loss)
    data = make_trajectories()
    assert objective.n_samples == 16 * 21
    positions, quaternions = (values.flatten(0, 1)[CHOSEN] for values in data.motion[:2])
    errors = []
    with torch.no_grad():
        found = learned.build_potential().compute_field(positions, quaternions)
    for own, true in zip(found, (data.forces, data.torques), strict=True):
        error = (own - true.flatten(0, 1)[CHOSEN]) / true.std()
        errors.append(error.square().mean() if loss == "all-mse" else error.abs().mean())
    assert objective.evaluate(CHOSEN) == pytest.approx(float(sum(errors) / 2), rel=1e-9)


def test_balance_weighs_frames_without_changing_their_number():
    equal, balanced = (build(Further(method="forces", balance=balance))[0] for balance in (0.0, 1.0))
    everything = torch.arange(equal.n_samples)
    assert balanced.n_samples == equal.n_samples
    assert balanced.evaluate(everything) != pytest.approx(equal.evaluate(everything), rel=1e-3)


def test_a_step_is_a_part_of_the_interval():
    config, data = read_config(make_config(pathlib.Path(), dtype="float32")), make_trajectories()
    machinery = build_machinery(data, config, Further(steps_per_frame=4))
    assert machinery.step == pytest.approx(data.interval / 4)
    assert machinery.inertia.masses.dtype == torch.float32
    rolled = machinery.roll_out(
        type(data.motion)(*(values[:3, 0].float() for values in data.motion)),
        make_learned(dtype=torch.float32).build_total().compute_field,
        5,
    )
    assert rolled.positions.shape == (3, 5, 2, 3)
    assert rolled.positions.dtype == torch.float32
