"""Bonds, angles and molecules from a mapped SMILES, and measurements on them."""

import numpy
import pytest
import torch

from common.geometry.internal_coordinates import compute_angles
from common.observables.system import list_pairs_between_molecules, measure_angles, measure_distances
from tests.neural.systems import displace
from tests.observables.systems import make_ethanol, make_system, make_water_box

EXACT = 1e-10


def test_ethanol_has_8_bonds_and_13_angles():
    system = make_ethanol()
    assert len(system.bonds) == 8
    assert len(system.angles) == 13
    assert system.n_molecules == 1
    assert system.atomic_nums.tolist() == [6, 6, 8, 1, 1, 1, 1, 1, 1]


def test_a_box_of_water_is_told_apart():
    system, _ = make_water_box(4, 9.0)
    assert system.n_molecules == 4
    assert system.molecule_idxs.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert len(system.bonds) == 8
    assert len(system.angles) == 4
    assert len(list_pairs_between_molecules(system)) == 6 * 9


def test_atoms_of_molecules_may_be_mixed():
    system = make_system("[O:1]([H:3])[H:5].[O:2]([H:4])[H:6]", 6)
    assert system.molecule_idxs.tolist() == [0, 1, 0, 1, 0, 1]


def test_distances_and_angles_are_those_of_geometry():
    system, coords = make_ethanol(), displace(3)
    distances = measure_distances(system, coords, system.bonds)
    expected = (coords[:, system.bonds[:, 0]] - coords[:, system.bonds[:, 1]]).norm(dim=-1)
    torch.testing.assert_close(distances, expected, atol=EXACT, rtol=0)
    x = coords.permute(2, 0, 1)
    expected = torch.rad2deg(compute_angles(*(x[..., column] for column in system.angles.unbind(-1))))
    torch.testing.assert_close(measure_angles(system, coords), expected, atol=EXACT, rtol=0)


def test_molecules_that_reach_over_the_edge_of_the_box_are_whole():
    system, coords = make_water_box(5, 9.0)
    folded = coords - 9.0 * torch.floor(coords / 9.0)
    for measure in (lambda x: measure_distances(system, x, system.bonds), lambda x: measure_angles(system, x)):
        torch.testing.assert_close(measure(folded), measure(coords), atol=1e-8, rtol=0)
    torch.testing.assert_close(
        measure_distances(system, folded, system.bonds),
        torch.full((3, 10), 0.96, dtype=torch.float64),
        atol=1e-3,
        rtol=0,
    )


def test_an_oblique_box_is_refused():
    with pytest.raises(ValueError, match="oblique"):
        make_system("[O:1]([H:2])[H:3]", 3, numpy.array([[9.0, 1.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 9.0]]))


def test_a_straight_angle_is_180_degrees():
    system = make_system("[O:1]=[C:2]=[O:3]", 3)
    coords = torch.tensor([[[-1.16, 0.0, 0.0], [0.0, 0.0, 0.0], [1.16, 0.0, 0.0]]], dtype=torch.float64)
    assert measure_angles(system, coords).item() == pytest.approx(180.0, abs=EXACT)
