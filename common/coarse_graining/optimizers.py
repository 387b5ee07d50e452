"""Optimisers by their names in torch, and learning rates by the names of torch's schedulers."""

import collections.abc
import math
import typing

import torch

OPTIMIZERS: dict[str, typing.Any] = {
    kind.__name__: kind
    for kind in (
        torch.optim.Adadelta,
        torch.optim.Adagrad,
        torch.optim.Adam,
        torch.optim.AdamW,
        torch.optim.NAdam,
        torch.optim.RAdam,
        torch.optim.Adamax,
        torch.optim.SGD,
        torch.optim.ASGD,
        torch.optim.RMSprop,
        torch.optim.Rprop,
        torch.optim.LBFGS,
    )
}

SCHEDULERS = ("LambdaLR", "ExponentialLR", "CyclicLR", "CosineAnnealingLR")

CYCLE = 20
"""Steps of the scheduler from the lowest rate of CyclicLR to the highest, and back."""


def build_optimizer(
    name: str, parameters: collections.abc.Iterable[torch.nn.Parameter], learning_rate: float
) -> torch.optim.Optimizer:
    """An optimiser of ``OPTIMIZERS``; capitals do not matter."""
    kind = {known.lower(): kind for known, kind in OPTIMIZERS.items()}[name.lower()]
    return kind(parameters, lr=learning_rate)


def compute_learning_rate(
    scheduler: str | None, learning_rate: float, factor: float, n_steps: int, n_total: int
) -> float:
    """The rate after so many steps of a scheduler: a function of their number, so that a run goes on as it was.

    ``LambdaLR`` and ``ExponentialLR`` multiply by the factor at each step; ``CyclicLR`` goes up and down on straight
    lines between the factor times the rate and the rate; ``CosineAnnealingLR`` falls to the factor times the rate.

    Args:
        scheduler: a name of ``SCHEDULERS``, or None for a constant rate.
        learning_rate: the first, of ``CyclicLR`` the highest.
        factor: of the scheduler.
        n_steps: done so far.
        n_total: of the whole run.
    """
    if scheduler in ("LambdaLR", "ExponentialLR"):
        return learning_rate * factor**n_steps
    low = factor * learning_rate
    if scheduler == "CyclicLR":
        phase = abs((n_steps / CYCLE) % 2.0 - 1.0)
        return low + (learning_rate - low) * (1.0 - phase)
    if scheduler == "CosineAnnealingLR":
        part = min(1.0, n_steps / max(1, n_total))
        return low + 0.5 * (learning_rate - low) * (1.0 + math.cos(math.pi * part))
    return learning_rate
