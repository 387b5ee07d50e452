"""Networks of atom energies: what must not change them, and forces by finite differences."""

import dataclasses
import itertools

import pytest
import torch

from common.neural.atom_energies import AtomEnergyNetwork, NetworkSettings, read_settings
from common.neural.pairs import compute_pair_vectors, drop_far_pairs, join_pairs, list_pairs
from tests.helpers import rotate_randomly
from tests.neural.systems import COORDS, ETHANOL, SETTINGS, displace, make_network

INVARIANCE_TOLERANCE = 1e-10  # [kcal/mol] roundings of energies of some ten kcal/mol in float64
DIFFERENCE_TOLERANCE = 1e-6  # [kcal/mol/Angstrom] of the issue, for central differences of 1e-5 Angstrom


@pytest.fixture(params=list(SETTINGS))
def network(request) -> AtomEnergyNetwork:
    return make_network(request.param).double()


def compute(network, atomic_nums, coords, cell=None):
    pairs = drop_far_pairs(coords, list_pairs(len(atomic_nums)), network.settings.cutoff, cell)
    return network(atomic_nums, compute_pair_vectors(coords, pairs, cell), pairs)


def test_turning_and_moving_the_molecule_changes_no_atom(network):
    expected = compute(network, ETHANOL, COORDS)
    found = compute(network, ETHANOL, rotate_randomly(COORDS, 3))
    torch.testing.assert_close(found, expected, atol=INVARIANCE_TOLERANCE, rtol=0)
    mirrored = compute(network, ETHANOL, COORDS * torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64))
    torch.testing.assert_close(mirrored, expected, atol=INVARIANCE_TOLERANCE, rtol=0)


def test_like_atoms_may_be_exchanged(network):
    order = torch.tensor([0, 1, 2, 5, 3, 4, 7, 6, 8])
    expected = compute(network, ETHANOL, COORDS)
    found = compute(network, ETHANOL[order], COORDS[order])
    torch.testing.assert_close(found, expected[order], atol=INVARIANCE_TOLERANCE, rtol=0)


def test_another_element_is_another_energy(network):
    other = ETHANOL.clone()
    other[2] = 16
    difference = compute(network, other, COORDS) - compute(network, ETHANOL, COORDS)
    assert difference.abs().max() > 1e-3


def test_the_gradient_is_that_of_finite_differences(network):
    coords = COORDS.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(compute(network, ETHANOL, coords).sum(), coords)
    step = 1e-5
    for atom, axis in ((0, 0), (2, 1), (8, 2)):
        ends = []
        for sign in (1.0, -1.0):
            moved = COORDS.clone()
            moved[atom, axis] += sign * step
            ends.append(compute(network, ETHANOL, moved).sum().item())
        numeric = (ends[0] - ends[1]) / (2.0 * step)
        assert gradient[atom, axis].item() == pytest.approx(numeric, abs=DIFFERENCE_TOLERANCE)


def test_an_atom_that_comes_into_reach_is_felt_smoothly(network):
    """At the cutoff energy and force are continuous."""
    pair = torch.tensor([8, 1])
    cutoff = network.settings.cutoff

    def evaluate(distance):
        coords = torch.tensor([[0.0, 0.0, 0.0], [distance, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
        energy = compute(network, pair, coords).sum()
        return energy.item(), torch.autograd.grad(energy, coords)[0][1, 0].item()

    inside, outside = evaluate(cutoff - 1e-5), evaluate(cutoff + 1e-5)
    assert inside[0] == pytest.approx(outside[0], abs=1e-7)
    assert inside[1] == pytest.approx(outside[1], abs=1e-3)
    assert outside[1] == 0.0


def test_frames_of_different_molecules_are_computed_together(network):
    water = torch.tensor([8, 1, 1])
    water_coords = COORDS[[2, 1, 8]]
    both = network(
        torch.cat((ETHANOL, water)),
        compute_pair_vectors(torch.cat((COORDS, water_coords)), join_pairs([9, 3])),
        join_pairs([9, 3]),
    )
    torch.testing.assert_close(both[:9], compute(network, ETHANOL, COORDS), atol=INVARIANCE_TOLERANCE, rtol=0)
    torch.testing.assert_close(both[9:], compute(network, water, water_coords), atol=INVARIANCE_TOLERANCE, rtol=0)


def test_a_box_equals_the_middle_of_many_boxes(network):
    """Minimum image against 125 replicated boxes without one: through neighbours an atom feels two boxes far."""
    generator = torch.Generator().manual_seed(4)
    edges = torch.tensor([8.5, 9.0, 8.2], dtype=torch.float64)
    atomic_nums = torch.tensor([8, 1, 1, 6, 1, 7, 1])
    coords = torch.rand(7, 3, generator=generator, dtype=torch.float64) * edges
    shifts = list(itertools.product(range(-2, 3), repeat=3))
    many = torch.cat([coords + torch.tensor(shift, dtype=torch.float64) * edges for shift in shifts])
    middle = 7 * shifts.index((0, 0, 0))
    replicated = compute(network, atomic_nums.repeat(len(shifts)), many)[middle : middle + 7]
    periodic = compute(network, atomic_nums, coords, edges)
    assert (periodic - compute(network, atomic_nums, coords)).abs().max() > 1e-3  # the box is felt
    torch.testing.assert_close(periodic, replicated, atol=INVARIANCE_TOLERANCE, rtol=0)


def test_energies_of_atoms_follow_the_scale(network):
    doubled = AtomEnergyNetwork(dataclasses.replace(network.settings, scale=2.0 * network.settings.scale)).double()
    doubled.load_state_dict(network.state_dict())
    torch.testing.assert_close(
        compute(doubled, ETHANOL, COORDS), 2.0 * compute(network, ETHANOL, COORDS), atol=INVARIANCE_TOLERANCE, rtol=0
    )


def test_settings_survive_a_round_trip(network):
    assert read_settings(dataclasses.asdict(network.settings)) == network.settings


@pytest.mark.parametrize("change", [{"architecture": "mace"}, {"trunk": {"depth": 3}}, {"colour": "blue"}])
def test_settings_of_another_kind_are_refused(change):
    plain = dataclasses.asdict(NetworkSettings())
    with pytest.raises(ValueError, match="no settings of a network"):
        read_settings({**plain, **change})


def test_displaced_frames_differ(network):
    energies = torch.stack([compute(network, ETHANOL, frame).sum() for frame in displace(4)])
    assert energies.std() > 1e-3
