"""Ensembles: members on frames of one molecule, frames of several molecules, and where members disagree."""

import numpy
import pytest
import torch

from common.neural.atom_energies import AtomEnergyNetwork
from common.potentials.ensemble import Frames, compute_energies_and_forces, compute_reference, predict
from common.potentials.file import NetworkFile
from common.potentials.neural import NeuralPotential
from tests.helpers import rotate_randomly
from tests.tasks.made_up import COORDS, NUMBERS, PAINN, SCHNET, draw_coords

EXACT = 1e-9  # [kcal/mol, kcal/mol/Angstrom] float64

OXYGEN = numpy.array([8, 8])


def make_network(settings=PAINN, seed=0):
    return AtomEnergyNetwork(settings, torch.Generator().manual_seed(seed)).double()


def make_frames():
    """A molecule of three atoms, one of two, and the first again, moved."""
    coords = numpy.concatenate([COORDS, [[0.0, 0.0, 0.0], [0.0, 0.0, 1.2]], COORDS + 0.05 * COORDS**2])
    numbers = numpy.concatenate([NUMBERS, OXYGEN, NUMBERS])
    return Frames(torch.from_numpy(numbers), torch.from_numpy(coords), torch.tensor([3, 2, 3]))


@pytest.mark.parametrize("settings", [PAINN, SCHNET], ids=["painn", "schnet"])
def test_frames_of_several_molecules_do_not_see_each_other(settings):
    network, frames = make_network(settings), make_frames()
    energies, forces = compute_energies_and_forces(network, frames)
    start = 0
    for i, n in enumerate(frames.n_atoms.tolist()):
        part = slice(start, start + n)
        potential = NeuralPotential(network, frames.numbers[part])
        energy, force = potential.compute_energies_and_forces(frames.coords[part][None])
        torch.testing.assert_close(energies[i], energy[0], atol=EXACT, rtol=0.0)
        torch.testing.assert_close(forces[part], force[0], atol=EXACT, rtol=0.0)
        start += n


def test_selected_frames_come_in_the_order_asked_for():
    frames = make_frames()
    some = frames.select(torch.tensor([2, 1]))
    assert some.n_atoms.tolist() == [3, 2]
    assert torch.equal(some.coords, torch.cat([frames.coords[5:], frames.coords[3:5]]))
    assert torch.equal(some.numbers, torch.cat([frames.numbers[5:], frames.numbers[3:5]]))
    assert some.places.tolist() == [0, 0, 0, 1, 1]


@pytest.mark.parametrize("settings", [PAINN, SCHNET], ids=["painn", "schnet"])
def test_energies_are_invariant_and_forces_turn_with_the_molecule(settings):
    network, coords = make_network(settings), torch.from_numpy(draw_coords(1, 0)[0])
    both = torch.cat([coords, torch.eye(3, dtype=torch.float64)])  # the second frame turns with the first
    turned = rotate_randomly(both, 1)
    origin = rotate_randomly(torch.zeros(1, 3, dtype=torch.float64), 1)
    rotation = turned[3:] - origin
    z, n = torch.from_numpy(NUMBERS), torch.tensor([3])
    energy, forces = compute_energies_and_forces(network, Frames(z, both[:3], n))
    energy_turned, forces_turned = compute_energies_and_forces(network, Frames(z, turned[:3], n))
    torch.testing.assert_close(energy, energy_turned, atol=EXACT, rtol=0.0)
    torch.testing.assert_close(forces @ rotation, forces_turned, atol=EXACT, rtol=0.0)


def test_members_are_predicted_one_by_one_with_their_references():
    members = [NetworkFile(make_network(seed=seed), {1: 0.5, 8: -3.0}, {}) for seed in (0, 1, 2)]
    coords = draw_coords(70, 0)  # more than are evaluated at once
    found = predict(members, NUMBERS, coords)
    assert found.energies.shape == (3, 70)
    assert found.forces.shape == (3, 70, 3, 3)
    potential = NeuralPotential(members[1].network, torch.from_numpy(NUMBERS))
    energies, forces = potential.compute_energies_and_forces(torch.from_numpy(coords))
    numpy.testing.assert_allclose(found.energies[1], energies.numpy() - 2.0, atol=EXACT)
    numpy.testing.assert_allclose(found.forces[1], forces.numpy(), atol=EXACT)


def test_no_frames():
    found = predict([NetworkFile(make_network(), {1: 0.0, 8: 0.0}, {})], NUMBERS, numpy.zeros((0, 3, 3)))
    assert found.energies.shape == (1, 0)
    assert found.forces.shape == (1, 0, 3, 3)


def test_elements():
    member = NetworkFile(make_network(), {1: 0.5, 8: -3.0}, {})
    assert compute_reference(member, NUMBERS) == -2.0
    with pytest.raises(ValueError, match=r"knows the elements \[1, 8\], not 6"):
        compute_reference(member, [6])
    frames = make_frames()
    with pytest.raises(ValueError, match="atomic numbers from 1 to 99"):
        compute_energies_and_forces(member.network, Frames(frames.numbers * 0, frames.coords, frames.n_atoms))
