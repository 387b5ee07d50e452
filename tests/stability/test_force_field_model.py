"""A force field as what is learnt: its energies, its anchor, its gradient."""

import numpy
import pytest
import torch

from common.data.dataset import Entry
from common.forcefields.energy import compute_energy, compute_forces
from common.forcefields.trainable import Column, build_trainable
from common.stability.force_field_model import ForceFieldModel, collect_widths
from tests.helpers import change_parameters

TRAINED = {
    "Bonds": {"k": Column(scale=0.01, lower=0.0, prior=100.0), "length": Column(lower=0.0, upper=5.0, prior=0.05)},
    "Angles": {"k": Column(scale=0.01, lower=0.0, prior=50.0), "angle": Column(lower=0.0, upper=numpy.pi, prior=0.1)},
    "ProperTorsions": {"k": Column(prior=1.0)},
}


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
    trainable = build_trainable(parity_molecules.force_field, TRAINED)
    widths = collect_widths(trainable, TRAINED)
    model = ForceFieldModel(parity_molecules, record["smiles"], trainable, widths, entry, (0.3, 0.7), 0.0)
    return model, topology, coords, entry


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
    field = model.make_force_field()
    energy = compute_energy(topology, field, coords).detach().numpy()
    forces = compute_forces(topology, field, coords).detach().numpy()
    expected = 0.3 * ((energy - energy.mean() - entry.energy) ** 2).mean() + 0.7 * ((forces - entry.forces) ** 2).mean()
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


def test_a_column_without_width_is_refused(parity_molecules):
    trained = {"Bonds": {"k": Column()}}
    with pytest.raises(ValueError, match="Bonds k has no prior"):
        collect_widths(build_trainable(parity_molecules.force_field, trained), trained)
