"""Full-batch optimisation of the trained parameters: Adam and L-BFGS on the loss, whatever is trained."""

import collections.abc
import dataclasses
import typing

import numpy
import scipy.optimize
import torch

from common.fitting.objective import Objective
from common.forcefields.trainable import Trainable
from common.processes.progress import make_bar


class Epoch(typing.NamedTuple):
    """One epoch of a fit.

    Attributes:
        number: 1 for the first.
        loss: what is minimised, priors included, at the values BEFORE the step.
        values: the trained values after the step, within their limits, ``shape=(n_values,)``.
        optimizer_state: what the optimiser needs to go on from here.
    """

    number: int
    loss: float
    values: torch.Tensor
    optimizer_state: dict[str, typing.Any]


def iterate_adam(
    objective: Objective,
    trainable: Trainable,
    values: torch.Tensor,
    learning_rate: float,
    n_epochs: int,
    start_epoch: int = 0,
    optimizer_state: dict[str, typing.Any] | None = None,
) -> collections.abc.Iterator[Epoch]:
    """Adam with the amsgrad correction (Kingma and Ba 2015; Reddi, Kale and Kumar 2018), clamped after every step.

    Args:
        objective: the training loss.
        trainable: what the values mean, and their limits.
        values: where to start, ``shape=(n_values,)``.
        learning_rate: in units of the scaled values.
        n_epochs: number of the last epoch.
        start_epoch, optimizer_state: where an interrupted fit goes on: with the values of that epoch the trajectory
            is the one that it would have had.

    Raises:
        ValueError: the loss is not finite any more.
    """
    values = values.detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([values], lr=learning_rate, amsgrad=True)
    if optimizer_state is not None:
        optimizer.load_state_dict(optimizer_state)
    for number in range(start_epoch + 1, n_epochs + 1):
        optimizer.zero_grad()
        loss = objective.compute_loss(trainable.to_force_field(values))
        if not torch.isfinite(loss):
            raise ValueError(f"the loss is {loss.item()} in epoch {number}; lower LEARNING_RATE, or check the data")
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            values.copy_(trainable.clamp(values))
        yield Epoch(number, loss.item(), values.detach().clone(), optimizer.state_dict())


CONVERGENCE = 1e-6
"""A minimum has been found where no component of the gradient is larger, see ``Minimum.gradient``."""

SMALLEST_ROOTED = 1e-7
"""Values that are searched as their square roots stay above it: at zero a root has no slope."""


class Minimum(typing.NamedTuple):
    """Where a quasi-Newton method ended.

    Attributes:
        values: the trained values, ``shape=(n_values,)``.
        loss: there.
        gradient: the largest component of the loss's gradient that the limits do not block, relative to the square
            root of the loss; in variables scaled to unit curvature, so that its square is about twice the share of
            the loss that is left to gain along that variable.
        n_iterations: that it took.
        has_converged: whether ``gradient`` is below ``CONVERGENCE``, and ``message`` why the search ended.
    """

    values: torch.Tensor
    loss: float
    gradient: float
    n_iterations: int
    has_converged: bool
    message: str


def describe_end(minimum: Minimum) -> str:
    """How a search ended, in words."""
    if minimum.has_converged:
        return f"converged to a local optimum in {minimum.n_iterations} iterations"
    return (
        f"did NOT converge in {minimum.n_iterations} iterations ({minimum.message}): what it found is no optimum; "
        "parameters that the data do not determine need a prior"
    )


def minimise_lbfgs(
    compute_loss: collections.abc.Callable[[torch.Tensor], torch.Tensor],
    values: torch.Tensor,
    lower: torch.Tensor,
    upper: torch.Tensor,
    is_root: torch.Tensor,
    max_iterations: int,
) -> Minimum:
    """L-BFGS-B (Byrd, Lu, Nocedal and Zhu 1995) as SciPy has it, with gradients by autograd.

    Args:
        compute_loss: twice differentiable, of a vector like ``values``.
        values: where to start, ``shape=(n_values,)``.
        lower, upper: limits, ``shape=(n_values,)``.
        is_root: ``shape=(n_values,)``, True where the loss is smooth in the square root of the value alone.
        max_iterations: at most.

    Raises:
        ValueError: the loss is not finite at the start.
    """
    problem = _ScaledProblem(compute_loss, is_root, torch.ones_like(values))
    start = problem.to_variables(values.detach())
    if not numpy.isfinite(problem.evaluate(start)[0]):
        raise ValueError("the loss is not finite at the start; check the data and the starting force field")
    problem = dataclasses.replace(problem, scales=_find_scales(problem.compute_loss, torch.from_numpy(start)))
    start = problem.to_variables(values.detach())
    bounds = scipy.optimize.Bounds(problem.to_variables(lower), problem.to_variables(upper))
    options = {"maxiter": max_iterations, "maxfun": 2 * max_iterations, "maxcor": 50, "ftol": 0.0, "gtol": 1e-9}
    with make_bar(total=max_iterations, desc="L-BFGS", unit="iteration", delay=2.0, leave=False) as bar:
        result = scipy.optimize.minimize(
            problem.evaluate,
            start,
            method="L-BFGS-B",
            jac=True,
            bounds=bounds,
            callback=lambda _: bar.update(),
            options=options,
        )
    loss, gradient = problem.evaluate(result.x)
    step = numpy.clip(result.x - gradient, bounds.lb, bounds.ub) - result.x
    largest = float(numpy.abs(step).max(initial=0.0) / max(abs(loss), 1e-300) ** 0.5)
    has_moved = torch.from_numpy(result.x != start)
    return Minimum(
        values=torch.where(has_moved, problem.to_values(torch.from_numpy(result.x)), values.detach()),
        loss=loss,
        gradient=largest,
        n_iterations=int(result.nit),
        has_converged=largest < CONVERGENCE,
        message=str(result.message),
    )


@dataclasses.dataclass(frozen=True)
class _ScaledProblem:
    """A loss as a function of variables x that suit a quasi-Newton method: values, or their roots, are x * scales."""

    compute_loss_of_values: collections.abc.Callable[[torch.Tensor], torch.Tensor]
    is_root: torch.Tensor
    scales: torch.Tensor

    def to_variables(self, values: torch.Tensor) -> numpy.ndarray:
        smooth = torch.where(self.is_root, values.clamp(min=SMALLEST_ROOTED).sqrt(), values)
        return (smooth / self.scales).numpy()

    def to_values(self, x: torch.Tensor) -> torch.Tensor:
        smooth = x * self.scales
        return torch.where(self.is_root, smooth * smooth, smooth)

    def compute_loss(self, x: torch.Tensor) -> torch.Tensor:
        return self.compute_loss_of_values(self.to_values(x))

    def evaluate(self, x: numpy.ndarray) -> tuple[float, numpy.ndarray]:
        """The loss and its gradient."""
        trial = torch.from_numpy(x.copy()).requires_grad_()
        loss = self.compute_loss(trial)
        (gradient,) = torch.autograd.grad(loss, trial)
        return loss.item(), gradient.numpy()


def _find_scales(compute_loss: collections.abc.Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """What makes the curvature along every variable 1 at ``x``; force constants and lengths differ by 10^4."""
    curvature = torch.autograd.functional.hessian(compute_loss, x).diagonal().abs()
    largest = curvature.max()
    return 1.0 / curvature.clamp(min=1e-8 * largest if largest > 0.0 else 1.0).sqrt()
