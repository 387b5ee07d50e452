"""Full-batch optimisation of the trained parameters on the quadratic loss."""

import typing

import torch

from common.losses import Objective
from common.trainable import Trainable


class Epoch(typing.NamedTuple):
    """One epoch of a fit.

    Attributes:
        number: 1 for the first.
        loss_energy, loss_forces: the parts of the training loss at the values BEFORE the step.
        values: the trained values after the step, within their limits, ``shape=(n_values,)``.
        optimizer_state: what the optimiser needs to go on from here.
    """

    number: int
    loss_energy: float
    loss_forces: float
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
        parts = objective.compute_parts(trainable.to_force_field(values))
        loss = objective.combine(parts)
        if not torch.isfinite(loss):
            raise ValueError(f"the loss is {loss.item()} in epoch {number}; lower LEARNING_RATE, or check the data")
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            values.copy_(trainable.clamp(values))
        yield Epoch(number, parts[0].item(), parts[1].item(), values.detach().clone(), optimizer.state_dict())
