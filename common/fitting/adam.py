"""Epochs of Adam, many at a time: in closed form where there is one, else by autograd.

Adam has the amsgrad correction (Kingma and Ba 2015; Reddi, Kale and Kumar 2018), and values are clamped after each
step.
"""

import collections.abc
import math
import typing

import numpy
import torch

from common.fitting.closed_form import (
    build_closed_form,
    compile_epochs,
    compute_delta,
    evaluate,
    has_closed_form,
    pull_back,
)
from common.fitting.objective import Objective
from common.fitting.optimizers import iterate_adam
from common.forcefields.trainable import Trainable

BETAS = (0.9, 0.999)
"""Decay of the means of gradients and of their squares."""

EPSILON = 1e-8
"""Added to the root of the squares."""


class Best(typing.NamedTuple):
    """The epoch with the least validation loss so far; a loss of infinity where nothing validates."""

    epoch: int
    loss: float
    values: torch.Tensor


class Epochs(typing.NamedTuple):
    """Where some epochs have led.

    Attributes:
        number: of the last, 1 for the first of a fit.
        loss: what is minimised, priors included, at the values BEFORE the last step.
        values: the trained values, within their limits, ``shape=(n_values,)``.
        optimizer_state: what the optimiser needs to go on from here.
        best: of all epochs so far.
    """

    number: int
    loss: float
    values: torch.Tensor
    optimizer_state: dict[str, typing.Any]
    best: Best


def begin(values: torch.Tensor) -> Epochs:
    """Where a new fit starts, ``shape=(n_values,)``."""
    return Epochs(0, math.nan, values, {}, Best(0, math.inf, values))


def run_epochs(
    objectives: collections.abc.Mapping[str, Objective],
    trainable: Trainable,
    learning_rate: float,
    stops: collections.abc.Iterable[int],
    start: Epochs,
) -> collections.abc.Iterator[Epochs]:
    """Full-batch epochs; tells where they have led after each number in ``stops``.

    Args:
        objectives: the loss on each split; that of "train" is minimised, that of "validation", if any, says which epoch
            is the best.
        trainable: what the values mean, and their limits.
        learning_rate: in units of the scaled values.
        stops: ascending.
        start: where to begin (:func:`begin`), or to go on after an interruption: the trajectory is the one that it
            would have had.

    Raises:
        ValueError: the loss is not finite any more.
    """
    run = _run_compiled if has_closed_form(objectives["train"], trainable) else _run_by_autograd
    return run(objectives, trainable, learning_rate, stops, start)


def build_delta(objective: Objective, trainable: Trainable) -> collections.abc.Callable[[torch.Tensor], torch.Tensor]:
    """A function that gives δ, ``shape=(n_used,)``, of values."""
    if not has_closed_form(objective, trainable):
        return lambda values: objective.compute_delta(trainable.to_force_field(values)).detach()
    form = build_closed_form(objective, trainable)

    def measure(values: torch.Tensor) -> torch.Tensor:
        parameters, delta = numpy.empty(len(form.start) + len(form.fixed)), numpy.empty(len(form.constants))
        compute_delta(form, values.numpy(), parameters, delta)
        return torch.from_numpy(delta)

    return measure


def _run_by_autograd(
    objectives: collections.abc.Mapping[str, Objective],
    trainable: Trainable,
    learning_rate: float,
    stops: collections.abc.Iterable[int],
    start: Epochs,
) -> collections.abc.Iterator[Epochs]:
    wanted = set(stops)
    validation, best = objectives.get("validation"), start.best
    epochs = iterate_adam(
        objectives["train"],
        trainable,
        start.values,
        learning_rate,
        max(wanted, default=start.number),
        start.number,
        start.optimizer_state or None,
    )
    for epoch in epochs:
        if validation is not None:
            with torch.no_grad():
                loss = validation.compute_loss(trainable.to_force_field(epoch.values)).item()
            best = Best(epoch.number, loss, epoch.values) if loss < best.loss else best
        if epoch.number in wanted:
            yield Epochs(*epoch, best)


def _run_compiled(
    objectives: collections.abc.Mapping[str, Objective],
    trainable: Trainable,
    learning_rate: float,
    stops: collections.abc.Iterable[int],
    start: Epochs,
) -> collections.abc.Iterator[Epochs]:
    form = build_closed_form(objectives["train"], trainable)
    train = numpy.ascontiguousarray(objectives["train"].combine_forms().matrix.numpy())
    validation = numpy.zeros((0, 0))
    if "validation" in objectives:
        validation = numpy.ascontiguousarray(objectives["validation"].combine_forms().matrix.numpy())
    moments = start.optimizer_state.get("state", {}).get(0, {})
    zeros = torch.zeros_like(start.values)
    tensors = (start.values, *(moments.get(name, zeros) for name in _MOMENTS), start.best.values)
    arrays = [tensor.detach().clone().numpy() for tensor in tensors]  # which the epochs change
    number, best_epoch, best_loss = start.number, start.best.epoch, start.best.loss
    for stop in stops:
        loss, number, best_epoch, best_loss = _advance(
            form, train, validation, learning_rate, number, stop, best_epoch, best_loss, *arrays
        )
        if not math.isfinite(loss):
            raise ValueError(f"the loss is {loss} in epoch {number}; lower LEARNING_RATE, or check the data")
        values, *now, best = (torch.from_numpy(array.copy()) for array in arrays)
        state = {"step": torch.tensor(float(number)), **dict(zip(_MOMENTS, now, strict=True))}
        yield Epochs(number, loss, values, {"state": {0: state}}, Best(best_epoch, best_loss, best))


_MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
"""Names of PyTorch, so that checkpoints are alike."""


@compile_epochs
def _advance(
    form, train, validation, learning_rate, number, stop, best_epoch, best_loss, values, mean, square, largest, best
):
    """Epochs ``number`` + 1 to ``stop``, or to the first whose loss is not finite; changes the last five arrays."""
    n, n_used = len(values), len(form.constants)
    parameters, gradient = numpy.empty(n + len(form.fixed)), numpy.empty(n)
    delta, product = numpy.empty(n_used), numpy.empty(n_used)
    beta1, beta2 = BETAS
    compute_delta(form, values, parameters, delta)
    loss = numpy.nan
    for epoch in range(number + 1, stop + 1):
        loss = evaluate(train, delta, product)
        if not numpy.isfinite(loss):
            return loss, epoch, best_epoch, best_loss
        pull_back(form, parameters, product, gradient)
        step = learning_rate / (1.0 - beta1**epoch)
        correction = numpy.sqrt(1.0 - beta2**epoch)
        for i in range(n):
            mean[i] += (1.0 - beta1) * (gradient[i] - mean[i])
            square[i] = beta2 * square[i] + (1.0 - beta2) * gradient[i] * gradient[i]
            largest[i] = max(largest[i], square[i])
            value = values[i] - step * mean[i] / (numpy.sqrt(largest[i]) / correction + EPSILON)
            values[i] = min(max(value, form.lower[i]), form.upper[i])
        compute_delta(form, values, parameters, delta)
        if len(validation):
            validated = evaluate(validation, delta, product)
            if validated < best_loss:
                best_epoch, best_loss = epoch, validated
                best[:] = values
    return loss, stop, best_epoch, best_loss
