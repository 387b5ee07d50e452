"""The gradient of a rollout: the adjoint equals backpropagation and differences, and torchdiffeq's in the limit."""

import collections.abc
import itertools

import pytest
import torch

from common.coarse_graining.gradients import GRADIENTS
from common.coarse_graining.losses import compute_window_losses, measure_spreads
from common.coarse_graining.windows import list_windows
from common.dynamics.rigid_bodies import Motion
from common.geometry.quaternions import multiply_quaternions
from tests.coarse_graining.samples import make_learned, make_trajectories

BACKPROPAGATION = 1e-12
DIFFERENCES = 1e-6
ORDER_TWO = (3.2, 4.8)
"""Halving the step divides what is left to the limit by four."""


class Rollouts:
    """Gradients of the loss of some windows with respect to all weights, flat."""

    def __init__(self, n_frames: int, loss: str = "all", n_windows: int = 6):
        self.data, self.learned = make_trajectories(), make_learned()
        self.windows = list_windows(self.data, n_frames, 1, "n_frames")
        chosen = torch.randperm(len(self.windows.starts), generator=torch.Generator().manual_seed(0))[:n_windows]
        self.start, self.true = self.windows.take(chosen, torch.float64, "cpu")
        self.field = self.learned.build_total().compute_field
        self.inertia = self.data.system.build_inertia()
        spreads = measure_spreads(self.data.motion)
        self.loss: collections.abc.Callable[[Motion], torch.Tensor] = lambda frames: compute_window_losses(
            loss, frames, self.true, spreads
        ).mean()

    def differentiate(self, gradient: str, n_steps: int) -> tuple[float, torch.Tensor]:
        self.learned.zero_grad()
        step = self.data.interval / n_steps
        value = GRADIENTS[gradient](self.start, self.field, self.inertia, step, self.windows.length, n_steps, self.loss)
        return value, torch.cat([values.grad.flatten() for values in self.learned.parameters()])


@pytest.mark.parametrize("loss", ["all", "final", "all-mse", "final-mse", "all-pos"])
@pytest.mark.parametrize(("n_frames", "n_steps"), [(1, 1), (4, 1), (3, 2)])
def test_the_adjoint_equals_backpropagation(loss, n_frames, n_steps):
    rollouts = Rollouts(n_frames, loss)
    direct, adjoint = (rollouts.differentiate(gradient, n_steps) for gradient in ("direct", "adjoint"))
    assert adjoint[0] == pytest.approx(direct[0], rel=BACKPROPAGATION)
    scale = direct[1].abs().max()
    assert scale > 0.0
    assert (adjoint[1] - direct[1]).abs().max() < BACKPROPAGATION * scale


@pytest.mark.parametrize("loss", ["all-mse", "final-mse"])
def test_gradients_equal_central_differences(loss):
    """Along random directions; squared losses, as absolute ones have kinks."""
    rollouts = Rollouts(4, loss)
    _, gradient = rollouts.differentiate("adjoint", 1)
    weights = torch.nn.utils.parameters_to_vector(rollouts.learned.parameters()).detach()
    generator = torch.Generator().manual_seed(3)
    for _ in range(3):
        direction = torch.randn(len(weights), generator=generator, dtype=torch.float64)
        h, values = 1e-5, []
        for sign in (1.0, -1.0):
            torch.nn.utils.vector_to_parameters(weights + sign * h * direction, rollouts.learned.parameters())
            values.append(rollouts.differentiate("adjoint", 1)[0])
        expected = (values[0] - values[1]) / (2.0 * h)
        torch.nn.utils.vector_to_parameters(weights, rollouts.learned.parameters())
        assert float(gradient @ direction) == pytest.approx(expected, rel=DIFFERENCES, abs=1e-9)


def solve_by_torchdiffeq(rollouts: Rollouts) -> torch.Tensor:
    """The gradient of the equations themselves, by an integrator of high order and backpropagation through it."""
    torchdiffeq = pytest.importorskip("torchdiffeq")
    inertia, field = rollouts.inertia, rollouts.field

    def move(_, state):
        positions, q, velocities, momenta = state
        forces, torques = field(positions, q)
        rates = inertia.inverse_moments * momenta
        spin = torch.cat((torch.zeros_like(rates[..., :1]), rates), -1)
        return (
            velocities,
            0.5 * multiply_quaternions(q, spin),
            forces / inertia.masses,
            torques - torch.linalg.cross(rates, momenta),
        )

    rollouts.learned.zero_grad()
    times = rollouts.data.interval * torch.arange(rollouts.windows.length + 1, dtype=torch.float64)
    states = torchdiffeq.odeint(move, tuple(rollouts.start), times, rtol=1e-9, atol=1e-10, method="dopri5")
    rollouts.loss(Motion(*(values[1:].transpose(0, 1) for values in states))).backward()
    return torch.cat([values.grad.flatten() for values in rollouts.learned.parameters()])


def test_gradients_converge_to_those_of_the_equations():
    rollouts = Rollouts(2, "all-mse", n_windows=3)
    expected = solve_by_torchdiffeq(rollouts)
    errors = [
        float((rollouts.differentiate("adjoint", n_steps)[1] - expected).norm() / expected.norm())
        for n_steps in (2, 4, 8)
    ]
    assert errors[-1] < 1e-3
    for coarse, fine in itertools.pairwise(errors):
        assert ORDER_TWO[0] < coarse / fine < ORDER_TWO[1]
