"""Optimisers by name, and learning rates as torch's schedulers have them."""

import itertools

import pytest
import torch

from common.coarse_graining.optimizers import CYCLE, OPTIMIZERS, build_optimizer, compute_learning_rate


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_goes_downhill(name):
    x = torch.nn.Parameter(torch.tensor([3.0, -2.0], dtype=torch.float64))
    optimizer = build_optimizer(name.lower(), [x], 0.05)

    def closure():
        optimizer.zero_grad()
        loss = (x * x).sum()
        loss.backward()
        return loss

    for _ in range(60):
        optimizer.step(closure)
    assert float((x.detach() ** 2).sum()) < 13.0


def list_torch_rates(make, n: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = make(optimizer)
    rates = []
    for _ in range(n):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("LambdaLR", lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: 0.9**k)),
        ("ExponentialLR", lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)),
        (
            "CyclicLR",
            lambda optimizer: torch.optim.lr_scheduler.CyclicLR(
                optimizer, 0.09, 0.1, step_size_up=CYCLE, cycle_momentum=False
            ),
        ),
        ("CosineAnnealingLR", lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50, 0.09)),
    ],
)
def test_rates_are_torchs(name, make):
    ours = [compute_learning_rate(name, 0.1, 0.9, k, 50) for k in range(50)]
    assert ours == pytest.approx(list_torch_rates(make, 50), rel=1e-9)


def test_without_a_scheduler_the_rate_stays():
    assert {compute_learning_rate(None, 0.1, 0.5, k, 10) for k in range(10)} == {0.1}
    assert all(a > b for a, b in itertools.pairwise(compute_learning_rate("LambdaLR", 1, 0.5, k, 9) for k in range(9)))
