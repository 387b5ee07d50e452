"""A force field as what is learnt: its energies, its anchor, its gradient."""

import numpy
import pytest
import torch

from common.data.dataset import Entry
from common.forcefields.energy import compute_energy, compute_forces
from common.forcefields.trainable import Column, build_trainable
from common.stability.force_field_model import STIFFNESS, ForceFieldModel, Limits, collect_widths
from tests.helpers import change_parameters

TRAINED = {
    "Bonds": {"k": Column(scale=0.01, lower=0.0, prior=100.0), "length": Column(lower=0.0, upper=5.0, prior=0.05)},
    "Angles": {"k": Column(scale=0.01, lower=0.0, prior=50.0), "angle": Column(lower=0.0, upper=numpy.pi, prior=0.1)},
    "ProperTorsions": {"k": Column(prior=1.0)},
}


NO_LIMITS = Limits()


@pytest.fixture
def system(parity_molecules, parity_energies):
    """A molecule, a force field, and quantum data that another force field made."""
    record = parity_energies[20]
    topology = parity_molecules.topologies[record["smiles"]]
    random = numpy.random.default_rng(1)
    coords = numpy.array(record["coords"])[numpy.arange(12) % 3]
    coords = torch.from_numpy(coords + 0.03 * random.normal(size=coords.shape))
    truth = change_parameters(parity_molecules.force_field, ("Bonds", "Angles", "ProperTorsions"), seed=2)
    energy = compute_energy(topology, truth, coords).numpy()
    entry = Entry(
        record["smiles"], coords.numpy(), energy - energy.mean(), compute_forces(topology, truth, coords).numpy()
    )
    return build(parity_molecules, entry), topology, coords, entry


def build(molecules, entry, limits=NO_LIMITS):
    trainable = build_trainable(molecules.force_field, TRAINED)
    widths = collect_widths(trainable, TRAINED)
    return ForceFieldModel(molecules, entry.smiles, trainable, widths, entry, (0.3, 0.7), 0.0, limits)


def compute_errors(model, topology, coords, entry):
    """Root mean squares of energies and of force components, frame by frame."""
    field = model.make_force_field()
    energy = compute_energy(topology, field, coords).detach().numpy()
    forces = compute_forces(topology, field, coords).detach().numpy()
    return ((energy - energy.mean() - entry.energy) ** 2).mean() ** 0.5, ((forces - entry.forces) ** 2).mean() ** 0.5


def move(model, seed=3, width=0.1):
    generator = torch.Generator().manual_seed(seed)
    model.values.data += width * torch.randn(len(model.values), generator=generator, dtype=torch.float64)


def test_energies_change_as_those_of_the_force_field(system):
    model, topology, coords, _ = system
    prepared = model.prepare(coords)
    before, start = model.compute(prepared)[:, 0].detach(), compute_energy(topology, model.make_force_field(), coords)
    move(model)
    found = model.compute(prepared)[:, 0].detach() - before
    expected = (compute_energy(topology, model.make_force_field(), coords) - start).detach()
    torch.testing.assert_close(found - found.mean(), expected - expected.mean(), atol=1e-8, rtol=0)


def test_the_quantum_loss_is_that_of_frame_by_frame(system):
    model, topology, coords, entry = system
    move(model)
    energy_error, force_error = compute_errors(model, topology, coords, entry)
    expected = 0.3 * energy_error**2 + 0.7 * force_error**2
    (part,) = model.compute_quantum_losses(())
    assert part().item() == pytest.approx(expected, rel=1e-9)


def test_the_start_is_the_force_field_itself(system, parity_molecules):
    model, _, coords, _ = system
    for potential in model.make_force_field().potentials:
        expected = parity_molecules.force_field.potentials_by_type[potential.type].parameters
        assert torch.equal(potential.parameters, expected)
    frozen = model.freeze()
    move(model)
    energies, forces = frozen(coords)
    assert not energies.requires_grad
    assert forces.shape == coords.shape


def test_the_gradient_is_that_of_finite_differences(system):
    model, _, coords, _ = system
    move(model)
    prepared = model.prepare(coords)
    weights = torch.randn(len(coords), generator=torch.Generator().manual_seed(4), dtype=torch.float64)

    def evaluate():
        return (model.compute(prepared)[:, 0] * weights).sum() + model.compute_quantum_losses(())[0]()

    (gradient,) = torch.autograd.grad(evaluate(), model.values)
    exercised = torch.nonzero(gradient)[:, 0]
    assert len(exercised) > 5
    for place in exercised[:: max(1, len(exercised) // 6)].tolist():
        ends = []
        for sign in (1.0, -1.0):
            model.values.data[place] += sign * 1e-6
            ends.append(evaluate().item())
            model.values.data[place] -= sign * 1e-6
        assert gradient[place].item() == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-4, abs=1e-4)


def test_beyond_a_limit_the_quantum_loss_rises_and_within_it_does_not(system, parity_molecules):
    model, topology, coords, entry = system
    start = compute_errors(model, topology, coords, entry)
    move(model, width=0.3)
    moved = compute_errors(model, topology, coords, entry)
    assert moved[0] > 1.01 * start[0]
    plain = model.compute_quantum_losses(())[0]().item()

    def evaluate(limits):
        limited = build(parity_molecules, entry, limits)
        limited.values.data.copy_(model.values.data)
        return limited.compute_quantum_losses(())[0]().item()

    ratio = moved[0] / start[0]
    assert evaluate(Limits(1.001 * ratio, None)) == pytest.approx(plain, rel=1e-9)
    expected = plain + STIFFNESS * ((ratio / 0.99) ** 2 - 1.0) ** 2
    assert evaluate(Limits(0.99, None)) == pytest.approx(expected, rel=1e-6)


def test_no_limited_error_ends_worse_than_it_began(system, parity_molecules):
    model, topology, coords, entry = system
    start = compute_errors(model, topology, coords, entry)
    limited = build(parity_molecules, entry, Limits(0.9, 1.0))
    for seed in range(4):
        move(limited, seed, width=0.3)
        assert max(compute_errors(limited, topology, coords, entry)) > max(start)
        before = limited.values.detach().clone()
        limited.restrain()
        found = compute_errors(limited, topology, coords, entry)
        assert found[0] <= start[0] * (1.0 + 1e-9)
        assert found[1] <= start[1] * (1.0 + 1e-9)
        assert (limited.values.detach() - before).norm() < 2.0 * before.norm()  # brought back, not begun anew
    kept = limited.values.detach().clone()
    limited.restrain()
    assert torch.equal(limited.values.detach(), kept)
    model.restrain()  # without limits nothing moves
    assert not model.values.detach().any()


def test_a_column_without_width_is_refused(parity_molecules):
    trained = {"Bonds": {"k": Column()}}
    with pytest.raises(ValueError, match="Bonds k has no prior"):
        collect_widths(build_trainable(parity_molecules.force_field, trained), trained)
