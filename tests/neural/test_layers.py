"""Softplus and its derivatives; starting weights."""

import math

import pytest
import torch

from common.neural.layers import make_embedding, make_linear, shifted_softplus

EXACT = 1e-12


def test_weights_are_xaviers_and_biases_zero():
    layer = make_linear(300, 200, generator=torch.Generator().manual_seed(0))
    limit = math.sqrt(6.0 / 500.0)
    assert layer.weight.abs().max().item() == pytest.approx(limit, rel=1e-3)
    assert layer.weight.std().item() == pytest.approx(limit / math.sqrt(3.0), rel=0.02)
    assert layer.bias.abs().max() == 0.0


def test_drawing_leaves_torchs_own_generator_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    make_linear(4, 4, generator=torch.Generator().manual_seed(0))
    make_embedding(4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(torch.rand(1), expected)


def test_softplus_is_softplus_everywhere_twice_over():
    x = torch.tensor([-800.0, -40.0, -1.0, 0.0, 1.0, 29.9, 30.1, 800.0], dtype=torch.float64, requires_grad=True)
    expected = torch.nn.functional.softplus(x) - math.log(2.0)
    torch.testing.assert_close(shifted_softplus(x), expected, atol=EXACT, rtol=EXACT)
    (first,) = torch.autograd.grad(shifted_softplus(x).sum(), x, create_graph=True)
    torch.testing.assert_close(first, torch.sigmoid(x), atol=EXACT, rtol=0)
    (second,) = torch.autograd.grad(first.sum(), x)
    torch.testing.assert_close(second, torch.sigmoid(x) * (1.0 - torch.sigmoid(x)), atol=EXACT, rtol=0)
    assert torch.autograd.gradcheck(shifted_softplus, x.detach()[1:6].requires_grad_())
