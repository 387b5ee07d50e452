"""One step of learning: blocks, ranks, optimisers."""

import dataclasses

import pytest
import torch

from common.processes.ranks import Ranks
from common.stability.learning import Optimizer, PoolGradient
from common.stability.pool import collect_samples
from common.stability.reweighting import compute_means, reweight
from tests.stability.systems import make_plan


@pytest.fixture
def prepared(tmp_path, reference_path, potential_path):
    """A model, a pool of one epoch and targets, all in float64."""
    plan = make_plan(tmp_path / "run", reference_path, potential_path)
    plan = dataclasses.replace(plan, cycle=dataclasses.replace(plan.cycle, max_simulation_epochs=0))
    cycle, _, reference = plan.build(Ranks(0, 1))
    coords = reference.get_coords(False)[:12].float()
    state = cycle.begin(coords[:8], 0.0 * coords[:8])
    epoch = cycle._run_replicas(state, torch.arange(8))
    pool = [cycle._make_pool_epoch(state, epoch.frames)]
    cycle.model.potential.network.double()
    cycle.model.parameters = cycle.model.potential.get_parameters()
    cycle.model._frames = tuple(values.double() for values in cycle.model._frames)
    pool = [dataclasses.replace(pool[0], coords=pool[0].coords.double())]
    return cycle.model, pool, cycle.targets


def compute(prepared, ranks, n_blocks=4, quantum_weight=1.0):
    model, pool, targets = prepared
    return PoolGradient(model, pool, targets, 300.0, n_blocks, quantum_weight, ranks).compute((0, 0, 0))


def test_the_gradient_is_that_of_the_whole_loss_at_once(prepared):
    """Without blocks, by one backward pass through weights, means and losses."""
    model, pool, targets = prepared
    samples = collect_samples(pool)
    energies = model.compute(pool[0].coords).reshape(-1)
    means = compute_means(samples, reweight(samples, energies, 300.0))
    loss = sum(t.weight * t.observable.compute_loss(means[name], t.values) for name, t in targets.items())
    loss = loss + 0.7 * sum(part() for part in model.compute_quantum_losses((0, 0, 0)))
    expected = torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, model.parameters)])
    found = compute(prepared, Ranks(0, 1), quantum_weight=0.7).gradient
    assert (found - expected).norm() < 1e-10 * expected.norm()


def test_rows_of_two_ranks_are_those_of_one(prepared):
    """Each rank differentiates its own blocks and leaves the others 0; together they are one process."""
    energies, rows = [], {}

    class Spy(Ranks):
        def sum_in_place(self, tensor):
            if tensor.ndim == 1 and len(tensor) == len(prepared[1][0].coords):
                energies.append(tensor.clone())
                tensor.copy_(torch.stack(energies[:2]).sum(0) if len(energies) > 2 else tensor)
            elif tensor.ndim == 2:
                rows[self] = tensor.clone()
            return tensor

    whole = compute(prepared, Ranks(0, 1))
    for rank in (0, 1, 0, 1):  # the first round says the energies, the second hears them
        compute(prepared, Spy(rank, 2))
    together = rows[Spy(0, 2)] + rows[Spy(1, 2)]
    assert (together.sum(0) - whole.gradient).norm() < 1e-10 * whole.gradient.norm()
    assert ((rows[Spy(0, 2)] != 0.0).any(1) & (rows[Spy(1, 2)] != 0.0).any(1)).sum() == 0


def test_the_number_of_blocks_does_not_matter(prepared):
    model, pool, targets = prepared
    fewer = [dataclasses.replace(pool[0], blocks=pool[0].blocks // 2)]
    first, second = compute(prepared, Ranks(0, 1), 4), compute((model, fewer, targets), Ranks(0, 1), 2)
    assert (first.gradient - second.gradient).norm() < 1e-10 * first.gradient.norm()
    assert first.significance > 0.0
    assert second.observable_loss == first.observable_loss


def test_without_targets_only_quantum_data_count(prepared):
    model, pool, _ = prepared
    step = PoolGradient(model, pool, {}, 300.0, 4, 2.0, Ranks(0, 1)).compute((0, 0, 0))
    assert step.observable_norm == 0.0
    assert step.cosine == 0.0
    expected = torch.autograd.grad(sum(part() for part in model.compute_quantum_losses((0, 0, 0))), model.parameters)
    flat = torch.cat([g.reshape(-1) for g in expected])
    torch.testing.assert_close(step.gradient, 2.0 * flat, atol=1e-12, rtol=1e-10)


class _Two:
    parameters: list

    def __init__(self):
        self.parameters = [torch.ones(2, requires_grad=True), torch.zeros(1, 1, requires_grad=True)]


def test_optimisers_move_against_the_gradient_and_remember():
    model = _Two()
    optimizer = Optimizer(model, "sgd", 0.1, clipping=1.0)
    optimizer.move(torch.tensor([3.0, 0.0, 4.0], dtype=torch.float64))
    torch.testing.assert_close(model.parameters[0].detach(), torch.tensor([0.94, 1.0]))
    torch.testing.assert_close(model.parameters[1].detach(), torch.tensor([[-0.08]]))
    whole, resumed = _Two(), _Two()
    first, gradients = Optimizer(whole, "adam", 0.1, None), torch.randn(4, 3, dtype=torch.float64)
    for gradient in gradients:
        first.move(gradient)
    second = Optimizer(resumed, "adam", 0.1, None)
    for gradient in gradients[:2]:
        second.move(gradient)
    third = Optimizer(resumed, "adam", 0.1, None)
    third.set_state(second.get_state())
    for gradient in gradients[2:]:
        third.move(gradient)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters, resumed.parameters, strict=True))
