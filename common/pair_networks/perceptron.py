"""Networks of dense layers whose gradient with respect to their inputs is in closed form.

Forces are such gradients, and the training of forces and trajectories differentiates them once more: with the first
derivative written out, autograd goes through once where it would have to go through its own graph again.
"""

import collections.abc
import itertools
import math

import torch

Activation = collections.abc.Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""From h to the activation and its derivative."""


def _silu(h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    gate = torch.sigmoid(h)
    value = h * gate
    return value, torch.addcmul(gate + value, value, gate, value=-1.0)


def _tanh(h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    value = torch.tanh(h)
    return value, 1.0 - value * value


def _softplus(h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.nn.functional.softplus(h), torch.sigmoid(h)


def _sigmoid(h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    value = torch.sigmoid(h)
    return value, value * (1.0 - value)


ACTIVATIONS: dict[str, Activation] = {"silu": _silu, "tanh": _tanh, "softplus": _softplus, "sigmoid": _sigmoid}
"""Smooth ones only: a symplectic integrator needs forces with a derivative, which relu and elu do not give."""


class Perceptron(torch.nn.Module):
    """Dense layers to one number, with a linear path beside them.

    Args:
        n_inputs: how many.
        depth, width: of the hidden layers.
        activation: a name of ``ACTIVATIONS``.
        generator: of the first weights.
        dtype: of all numbers.
    """

    def __init__(
        self, n_inputs: int, depth: int, width: int, activation: str, generator: torch.Generator, dtype: torch.dtype
    ):
        super().__init__()
        sizes = [n_inputs, *[width] * depth]
        self.weights = torch.nn.ParameterList()
        self.biases = torch.nn.ParameterList()
        for n_in, n_out in itertools.pairwise(sizes):
            self.weights.append(draw_weights(n_out, n_in, generator, dtype))
            self.biases.append(torch.nn.Parameter(torch.zeros(n_out, dtype=dtype)))
        self.last = torch.nn.Parameter(torch.zeros(sizes[-1], dtype=dtype))
        self.linear = torch.nn.Parameter(torch.zeros(n_inputs, dtype=dtype))
        self.activate = ACTIVATIONS[activation]

    def evaluate(self, z: torch.Tensor) -> torch.Tensor:
        """From inputs ``(..., n_inputs)`` to numbers ``(...)``."""
        hidden = z
        for weight, bias in zip(self.weights, self.biases, strict=True):
            hidden, _ = self.activate(torch.nn.functional.linear(hidden, weight, bias))
        return hidden @ self.last + z @ self.linear

    def differentiate(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The numbers ``(...)`` and their gradients ``(..., n_inputs)``."""
        hidden, slopes = z, []
        for weight, bias in zip(self.weights, self.biases, strict=True):
            hidden, slope = self.activate(torch.nn.functional.linear(hidden, weight, bias))
            slopes.append(slope)
        gradient = self.last.expand_as(hidden)
        for weight, slope in zip(reversed(self.weights), reversed(slopes), strict=True):
            gradient = (gradient * slope) @ weight
        return hidden @ self.last + z @ self.linear, gradient + self.linear


def draw_weights(n_out: int, n_in: int, generator: torch.Generator, dtype: torch.dtype) -> torch.nn.Parameter:
    """Gaussian weights, of variance 1 / n_in, so that hidden values are as large as inputs."""
    values = torch.randn(n_out, n_in, generator=generator, dtype=torch.float64) / math.sqrt(n_in)
    return torch.nn.Parameter(values.to(dtype))
