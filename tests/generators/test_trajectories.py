"""Trajectories place every atom once, from the centre outwards, each beside a neighbour."""

import numpy
import pytest

from common.generators.trajectories import (
    ORIGIN,
    STOP,
    draw_trajectory,
    find_neighbors,
    label_fragments,
    sort_atoms,
)
from tests.generators.made_up import make_geometry

SMILES = ["C", "CCO", "C1CC1C#N", "FC(F)(F)C(=O)N", "c1ccccc1"]


def prepare(smiles):
    """Sorted coordinates of a molecule, and its neighbours."""
    molecule = make_geometry(smiles)
    order, coords = sort_atoms(molecule.numbers, molecule.coords)
    return coords, find_neighbors(molecule.numbers[order], coords, 1.7, 1.1)


@pytest.mark.parametrize("smiles", SMILES)
@pytest.mark.parametrize("seed", range(3))
def test_every_atom_is_placed_once_and_stops_once_and_comes_from_the_nearest(smiles, seed):
    coords, neighbors = prepare(smiles)
    radii = numpy.linalg.norm(coords, axis=1)
    trajectory = draw_trajectory(neighbors, numpy.random.default_rng(seed))
    placements = trajectory.atom != STOP
    n_atoms = len(coords)
    assert sorted(trajectory.atom[placements]) == list(range(n_atoms))
    assert sorted(trajectory.focus[~placements]) == list(range(n_atoms))
    assert (trajectory.focus[0], trajectory.atom[0]) == (ORIGIN, 0)
    assert radii[0] == radii.min()
    placed, stopped = {0}, set()
    for step in range(1, 2 * n_atoms):
        focus, atom = int(trajectory.focus[step]), int(trajectory.atom[step])
        assert focus in placed - stopped
        open_neighbors = [i for i in numpy.flatnonzero(neighbors[focus]) if i not in placed]
        if atom == STOP:
            assert not open_neighbors
            stopped.add(focus)
        else:
            assert atom in open_neighbors
            assert radii[atom] == min(radii[i] for i in open_neighbors)
            assert trajectory.placed_at[atom] == step
            placed.add(atom)


def test_the_focus_is_drawn_uniformly_among_the_available():
    _, neighbors = prepare("C")
    random = numpy.random.default_rng(0)
    second_focus = [int(draw_trajectory(neighbors, random).focus[2]) for _ in range(4000)]
    share = numpy.mean(numpy.array(second_focus) == 0)  # of the carbon and one hydrogen
    assert share == pytest.approx(0.5, abs=4.0 * numpy.sqrt(0.25 / 4000))


def test_atoms_are_sorted_by_their_distance_to_the_centre_of_mass():
    molecule = make_geometry("OCC=O")
    order, coords = sort_atoms(molecule.numbers, molecule.coords + 17.0)
    masses = numpy.array([{1: 1.008, 6: 12.011, 8: 15.999}[int(n)] for n in molecule.numbers[order]])
    assert numpy.abs(masses @ coords).max() < 1e-9
    assert (numpy.diff(numpy.linalg.norm(coords, axis=1)) >= 0.0).all()


def test_atoms_at_one_distance_keep_their_order():
    order, _ = sort_atoms(numpy.array([1, 1, 6]), numpy.array([[1.0, 0, 0], [-1.0, 0, 0], [0, 0, 0]]))
    assert order.tolist() == [2, 0, 1]


def test_neighbours_lie_within_both_limits():
    numbers, coords = numpy.array([6, 6, 1]), numpy.array([[0.0, 0, 0], [1.65, 0, 0], [0.0, 1.2, 0]])
    assert find_neighbors(numbers, coords, 1.7, None)[0].tolist() == [False, True, True]
    assert find_neighbors(numbers, coords, 1.7, 1.1)[0].tolist() == [False, True, False]  # C-H: 1.1 (0.76 + 0.31)
    assert find_neighbors(numbers, coords, 1.6, None)[0].tolist() == [False, False, True]


def test_parts_that_do_not_hang_together_are_told_apart_and_refused():
    neighbors = numpy.zeros((5, 5), dtype=bool)
    for i, j in ((0, 3), (1, 4)):
        neighbors[i, j] = neighbors[j, i] = True
    assert label_fragments(neighbors).tolist() == [0, 1, 2, 0, 1]
    with pytest.raises(ValueError, match="not connected"):
        draw_trajectory(neighbors, numpy.random.default_rng(0))
