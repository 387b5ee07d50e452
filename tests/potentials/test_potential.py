"""Every potential through the one interface: forces, sums over atoms, frozen copies."""

import pytest
import torch

from common.potentials.neural import NeuralPotential
from common.potentials.smirnoff import SmirnoffPotential
from tests.helpers import rotate_randomly
from tests.neural.systems import ETHANOL, displace, make_network

DIFFERENCE_TOLERANCE = 1e-6  # [kcal/mol/Angstrom] of the issue, for central differences of 1e-5 Angstrom
SUM_TOLERANCE = 1e-9  # [kcal/mol] roundings of energies of a hundred kcal/mol in float64
FLOAT32_TOLERANCE = 2e-4  # [kcal/mol/Angstrom] of forces of some ten


@pytest.fixture(params=["schnet", "painn", "smirnoff"])
def system(request, parity_molecules, parity_energies):
    """A potential in float64 and some frames of its molecule."""
    if request.param != "smirnoff":
        return NeuralPotential(make_network(request.param).double(), ETHANOL), displace(4)
    record = parity_energies[20]
    coords = torch.tensor(record["coords"], dtype=torch.float64)
    return SmirnoffPotential(parity_molecules.topologies[record["smiles"]], parity_molecules.force_field), coords


def test_forces_are_minus_the_gradient(system):
    potential, coords = system
    _, forces = potential.compute_energies_and_forces(coords)
    step = 1e-5
    for atom, axis in ((0, 0), (1, 2), (potential.n_atoms - 1, 1)):
        moved = coords.clone()
        moved[:, atom, axis] += step
        above = potential.compute_energies(moved).detach()
        moved[:, atom, axis] -= 2.0 * step
        numeric = (potential.compute_energies(moved).detach() - above) / (2.0 * step)
        torch.testing.assert_close(forces[:, atom, axis], numeric, atol=DIFFERENCE_TOLERANCE, rtol=1e-8)


def test_atoms_add_up_to_the_energy(system):
    potential, coords = system
    atoms = potential.compute_atom_energies(coords)
    assert atoms.shape == coords.shape[:2]
    torch.testing.assert_close(atoms.sum(1), potential.compute_energies(coords), atol=SUM_TOLERANCE, rtol=0)
    torch.testing.assert_close(
        atoms.sum(1), potential.compute_energies_and_forces(coords)[0], atol=SUM_TOLERANCE, rtol=0
    )


def test_the_gradient_of_the_atoms_sum_is_that_of_the_energy(system):
    potential, coords = system
    leaf = coords.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(potential.compute_atom_energies(leaf).sum(), leaf)
    torch.testing.assert_close(-gradient, potential.compute_energies_and_forces(coords)[1], atol=1e-8, rtol=1e-10)


def test_turning_the_molecule_turns_the_forces(system):
    potential, coords = system
    turned = rotate_randomly(coords, 5)
    energies, forces = potential.compute_energies_and_forces(coords)
    turned_energies, turned_forces = potential.compute_energies_and_forces(turned)
    torch.testing.assert_close(turned_energies, energies, atol=SUM_TOLERANCE, rtol=1e-11)
    torch.testing.assert_close(turned_forces.norm(dim=-1), forces.norm(dim=-1), atol=1e-7, rtol=1e-9)
    assert turned_forces.sum(1).abs().max() < 1e-8  # nothing pulls the molecule as a whole


def test_a_frozen_copy_gives_the_same_and_learns_nothing(system):
    potential, coords = system
    frozen = potential.freeze()
    energies, forces = frozen(coords)
    expected_energies, expected_forces = potential.compute_energies_and_forces(coords)
    torch.testing.assert_close(energies, expected_energies.detach(), atol=SUM_TOLERANCE, rtol=0)
    torch.testing.assert_close(forces, expected_forces.detach(), atol=1e-8, rtol=0)
    assert not energies.requires_grad
    assert not forces.requires_grad


def test_forces_may_be_differentiated_by_the_parameters(system):
    potential, coords = system
    energies, forces = potential.compute_energies_and_forces(coords, differentiable=True)
    gradients = torch.autograd.grad(
        forces.square().mean() + energies.mean(), potential.get_parameters(), allow_unused=True
    )
    assert sum(float(gradient.abs().sum()) for gradient in gradients if gradient is not None) > 0.0


def test_a_schnet_in_float32_is_compiled():
    network = make_network("schnet")
    frozen = NeuralPotential(network, ETHANOL).freeze()
    assert type(frozen).__name__ == "CompiledSchNet"
    coords = displace(4)
    double = make_network("schnet").double()
    expected = NeuralPotential(double, ETHANOL).compute_energies_and_forces(coords)[1]
    torch.testing.assert_close(frozen(coords.float())[1].double(), expected, atol=FLOAT32_TOLERANCE, rtol=0)


def test_a_frozen_force_field_does_not_follow_its_parameters(parity_molecules, parity_energies):
    record = parity_energies[20]
    potential = SmirnoffPotential(parity_molecules.topologies[record["smiles"]], parity_molecules.force_field)
    coords = torch.tensor(record["coords"], dtype=torch.float64)
    frozen = potential.freeze()
    before = frozen(coords)[0]
    with torch.no_grad():
        for leaf in potential.get_parameters():
            leaf.mul_(1.1)
    assert torch.equal(frozen(coords)[0], before)
    assert not torch.allclose(potential.compute_energies(coords), before)


def test_a_network_that_sees_beyond_half_the_box_is_refused():
    with pytest.raises(ValueError, match="at most half"):
        NeuralPotential(make_network("schnet"), ETHANOL, torch.tensor([7.0, 7.0, 7.0]))


def test_an_unknown_element_is_refused():
    with pytest.raises(ValueError, match="atomic numbers"):
        NeuralPotential(make_network("schnet"), torch.tensor([6, 118]))
