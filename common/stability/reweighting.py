"""Means of observables under changed parameters, from frames that were made before: the Boltzmann estimator.

A frame x made under the potential U₀ with base weight m counts under U_θ as

    w ∝ m exp(-β (U_θ(x) - U₀(x))),    ḡ = Σ w g(x),

and automatic differentiation of a loss of ḡ gives its gradient. At U_θ = U₀ that is the known estimator

    dL/dθ = -β <((g - ḡ)·dL/dḡ) dU/dθ>

but this one goes on to hold after steps have been made, as long as enough frames still count: Kish's effective number
N = (Σw)²/Σw². Frames of several epochs are weighted each among their own, so that nothing depends on the zero of a
potential, and the epochs by their effective numbers, which is what their variances ask for.

In a *localized* estimator a sample is one molecule of a frame, with the sum of its atoms' energies for U and its own
observables for g: it takes the molecules for independent, which is not exact, but sees a rare local event that the
energy of a whole box drowns. With one molecule in the system it is the same.
"""

import dataclasses

import torch

from common.units import GAS_CONSTANT


@dataclasses.dataclass(frozen=True)
class Samples:
    """What is reweighted: frames, or molecules of frames.

    Attributes:
        log_weights: logarithms of the base weights, ``shape=(n_samples,)`` float64.
        energies: [kcal/mol] under the potential that made each, of the same shape.
        epochs: which epoch each belongs to, int64 from 0.
        values: by the name of an observable, ``shape=(n_samples, n_values)`` float64.
    """

    log_weights: torch.Tensor
    energies: torch.Tensor
    epochs: torch.Tensor
    values: dict[str, torch.Tensor]

    @property
    def n_epochs(self) -> int:
        return int(self.epochs.max()) + 1


@dataclasses.dataclass(frozen=True)
class Weights:
    """The weights of samples under other parameters.

    Attributes:
        values: they add up to 1, ``shape=(n_samples,)`` float64; differentiable.
        n_effective: how many equal samples they are worth, of each epoch.
    """

    values: torch.Tensor
    n_effective: torch.Tensor


def reweight(samples: Samples, energies: torch.Tensor, temperature: float) -> Weights:
    """The weights of samples.

    Args:
        samples: see there.
        energies: [kcal/mol] under the parameters asked for, ``shape=(n_samples,)``; they may require gradients.
        temperature: [K].
    """
    exponents = samples.log_weights - (energies.to(torch.float64) - samples.energies) / (GAS_CONSTANT * temperature)
    n_epochs = samples.n_epochs
    largest = exponents.detach().new_full((n_epochs,), -torch.inf)
    largest = largest.scatter_reduce(0, samples.epochs, exponents.detach(), "amax")
    shifted = torch.exp(exponents - largest[samples.epochs])
    sums = shifted.new_zeros(n_epochs).index_add(0, samples.epochs, shifted)
    within = shifted / sums[samples.epochs]
    squares = within.detach().new_zeros(n_epochs).index_add(0, samples.epochs, within.detach().square())
    n_effective = 1.0 / squares
    shares = n_effective / n_effective.sum()
    return Weights(within * shares[samples.epochs], n_effective)


def compute_means(samples: Samples, weights: Weights) -> dict[str, torch.Tensor]:
    """The mean of each observable, ``shape=(n_values,)``; differentiable."""
    return {name: weights.values @ values for name, values in samples.values.items()}
