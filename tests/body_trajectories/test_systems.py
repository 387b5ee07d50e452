"""A system is the same after it has been written down, and pairs are in the order of their kinds."""

import json

import torch

from common.body_trajectories.systems import BodySystem, read_system
from common.potentials.body_pairs import Spring
from tests.bodies import COULOMB, LENNARD_JONES, draw_places, make_asymmetric_body, make_rod


def make_system() -> BodySystem:
    clump, rod = make_asymmetric_body(), make_rod()
    return BodySystem((clump, rod, clump), (LENNARD_JONES, COULOMB), Spring(0.5, 2.0), 20.0, 9.0)


def test_a_system_read_back_gives_the_same_numbers():
    system = make_system()
    again = read_system(json.loads(json.dumps(system.to_plain())))
    places = draw_places(4, 3, 2.0, seed=0)
    for add in (lambda one: one.build_site_potential(), lambda one: one.add_spring(one.build_site_potential())):
        for first, second in zip(add(system).compute_all(*places), add(again).compute_all(*places), strict=True):
            assert torch.equal(first, second)
    assert again.to_plain() == system.to_plain()
    assert torch.equal(again.build_inertia().moments, system.build_inertia().moments)


def test_pairs_have_the_kind_that_comes_first_in_front():
    groups = {names: (a.tolist(), b.tolist()) for names, (a, b) in make_system().group_pairs().items()}
    assert groups == {("clump", "rod"): ([0, 2], [1, 1]), ("clump", "clump"): ([0], [2])}


def test_the_spring_is_apart():
    system = make_system()
    places = draw_places(4, 3, 2.0, seed=1)
    sites = system.build_site_potential()
    difference = system.add_spring(sites).compute_energy(*places) - sites.compute_energy(*places)
    x = places[0]
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = sum(0.25 * ((x[:, j] - x[:, i]).norm(dim=-1) - 2.0) ** 2 for i, j in pairs)
    torch.testing.assert_close(difference, expected, atol=1e-10, rtol=0)
