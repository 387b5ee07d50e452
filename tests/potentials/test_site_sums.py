"""Sums over the sites of two bodies equal loops over them."""

import pytest
import torch

from common.geometry.quaternions import compute_rotation_matrices
from common.potentials.body_pairs import Orientations
from common.potentials.site_functions import build_site_function
from common.potentials.site_sums import build_site_sum
from tests.bodies import COULOMB, LENNARD_JONES, draw_places, make_asymmetric_body, make_rod


def orient(quaternions: torch.Tensor) -> tuple[Orientations, Orientations]:
    """Of the first and the second bodies, from ``shape=(n_pairs, 2, 4)``."""
    return tuple(Orientations(q, compute_rotation_matrices(q)) for q in quaternions.unbind(1))


def test_the_energy_is_that_of_a_loop_over_all_pairs_of_sites():
    clump, rod = make_asymmetric_body(), make_rod()
    positions, quaternions = draw_places(3, 2, 2.0, seed=0)
    rotations = compute_rotation_matrices(quaternions)
    term = build_site_sum(clump, rod, [LENNARD_JONES, COULOMB])
    found = term.compute_energies(positions[:, 1] - positions[:, 0], *orient(quaternions))
    for k in range(3):
        total = 0.0
        for site, label in zip(clump.sites, clump.labels, strict=True):
            for other, other_label in zip(rod.sites, rod.labels, strict=True):
                a = positions[k, 0] + rotations[k, 0] @ torch.from_numpy(site)
                b = positions[k, 1] + rotations[k, 1] @ torch.from_numpy(other)
                square = (b - a).square().sum().reshape(1, 1, 1)
                for kind in (LENNARD_JONES, COULOMB):
                    total += float(build_site_function(kind, [label], [other_label], torch.float64)(square)[0])
        assert float(found[k]) == pytest.approx(total, rel=1e-12)


def test_exchanging_the_bodies_exchanges_what_they_feel():
    clump, rod = make_asymmetric_body(), make_rod()
    positions, quaternions = draw_places(3, 2, 2.0, seed=1)
    first, second = orient(quaternions)
    d = positions[:, 1] - positions[:, 0]
    one = build_site_sum(clump, rod, [LENNARD_JONES]).compute_gradient(d, first, second)
    other = build_site_sum(rod, clump, [LENNARD_JONES]).compute_gradient(-d, second, first)
    torch.testing.assert_close(one.energies, other.energies, atol=1e-12, rtol=0)
    torch.testing.assert_close(one.forces, -other.forces, atol=1e-10, rtol=0)
    torch.testing.assert_close(one.first_torques, other.second_torques, atol=1e-10, rtol=0)


def test_bodies_that_do_not_interact_are_refused():
    with pytest.raises(ValueError, match="clump and rod: no interaction"):
        build_site_sum(make_asymmetric_body(), make_rod(), [])
