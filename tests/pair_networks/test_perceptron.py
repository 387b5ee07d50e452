"""Networks give their own gradients, which autograd confirms and may differentiate once more."""

import pytest
import torch

from common.pair_networks.perceptron import ACTIVATIONS, Perceptron

EXACT = 1e-13


def make(activation: str, depth: int = 2) -> tuple[Perceptron, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    network = Perceptron(5, depth, 7, activation, generator, torch.float64)
    with torch.no_grad():
        for values in network.parameters():
            values.copy_(torch.randn(values.shape, generator=generator, dtype=torch.float64))
    return network, torch.randn(4, 3, 5, generator=generator, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_gradient_is_that_of_autograd(activation, depth):
    network, z = make(activation, depth)
    values, gradient = network.differentiate(z)
    [expected] = torch.autograd.grad(network.evaluate(z).sum(), z)
    torch.testing.assert_close(values, network.evaluate(z), atol=EXACT, rtol=0)
    torch.testing.assert_close(gradient, expected, atol=EXACT, rtol=EXACT)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_gradient_may_be_differentiated_once_more(activation):
    network, z = make(activation)
    assert torch.autograd.gradcheck(lambda x: network.differentiate(x)[1], (z[:1, :1].detach().requires_grad_(),))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_are_smooth(activation):
    """The second derivative has no jump: a symplectic integrator would feel it."""
    h = torch.linspace(-3.0, 3.0, 6001, dtype=torch.float64)
    slope = ACTIVATIONS[activation](h)[1]
    curvature = torch.diff(slope) / torch.diff(h)
    assert torch.diff(curvature).abs().max() < 0.01


def test_an_untrained_network_gives_nothing():
    network = Perceptron(5, 2, 7, "silu", torch.Generator().manual_seed(0), torch.float64)
    assert (network.evaluate(torch.ones(3, 5, dtype=torch.float64)) == 0.0).all()
