"""Full-batch optimisation of the trained parameters: Adam and L-BFGS on the loss, whatever is trained."""

import typing

import numpy
import scipy.optimize
import torch

from common.losses import Objective
from common.trainable import Trainable


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
) -> typing.Iterator[Epoch]:
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


class Minimum(typing.NamedTuple):
    """Where a second-order method ended.

    Attributes:
        values: the trained values, ``shape=(n_values,)``.
        loss: there.
        gradient: the largest component of the loss's gradient that the limits do not block, relative to the loss.
        n_iterations: that it took.
        has_converged: whether the method says so, and ``message`` what it says.
    """

    values: torch.Tensor
    loss: float
    gradient: float
    n_iterations: int
    has_converged: bool
    message: str


def minimise_lbfgs(
    compute_loss: typing.Callable[[torch.Tensor], torch.Tensor],
    values: torch.Tensor,
    lower: torch.Tensor,
    upper: torch.Tensor,
    max_iterations: int,
) -> Minimum:
    """L-BFGS-B (Byrd, Lu, Nocedal and Zhu 1995) as SciPy has it, with gradients by autograd.

    Args:
        compute_loss: differentiable, of a vector like ``values``.
        values: where to start, ``shape=(n_values,)``.
        lower, upper: limits, ``shape=(n_values,)``.
        max_iterations: at most.

    Raises:
        ValueError: the loss is not finite at the start.
    """
    last: dict[str, numpy.ndarray] = {}

    def evaluate(x: numpy.ndarray) -> tuple[float, numpy.ndarray]:
        trial = torch.from_numpy(x.copy()).requires_grad_()
        loss = compute_loss(trial)
        (gradient,) = torch.autograd.grad(loss, trial)
        last["gradient"] = gradient.numpy()
        return loss.item(), last["gradient"]

    start = values.detach().numpy()
    if not numpy.isfinite(evaluate(start)[0]):
        raise ValueError("the loss is not finite at the start; check the data and the starting force field")
    result = scipy.optimize.minimize(
        evaluate,
        start,
        method="L-BFGS-B",
        jac=True,
        bounds=scipy.optimize.Bounds(lower.numpy(), upper.numpy()),
        options={"maxiter": max_iterations, "maxfun": 2 * max_iterations, "maxcor": 30, "ftol": 1e-15, "gtol": 1e-10},
    )
    loss, gradient = evaluate(result.x)
    step = numpy.clip(result.x - gradient, lower.numpy(), upper.numpy()) - result.x
    return Minimum(
        values=torch.from_numpy(result.x.copy()),
        loss=loss,
        gradient=float(numpy.abs(step).max(initial=0.0) / max(abs(loss), 1e-300)),
        n_iterations=int(result.nit),
        has_converged=bool(result.success),
        message=str(result.message),
    )
