"""Candidates: runs are found, potentials of other bodies refused, the same sites give the same numbers."""

import dataclasses

import pytest
import torch

from common.pair_networks.potential import save_learned_potential
from common.rollouts.candidates import load_candidate, make_exact_candidate, measure_window
from tests.bodies import draw_places, make_asymmetric_body
from tests.coarse_graining.samples import make_learned, make_trajectories
from tests.rollouts.samples import make_exact, make_learned_candidate


def test_a_run_is_a_candidate(tmp_path):
    save_learned_potential(tmp_path / "potential.pt", make_learned(), {"config": {}})
    data = make_trajectories()
    places = draw_places(5, 2, 2.0, 0)
    expected = make_learned().build_potential().compute_energy(*places)
    for path in (tmp_path, tmp_path / "potential.pt"):
        candidate = load_candidate(path, "one", data)
        assert torch.equal(candidate.build(data.system).compute_energy(*places), expected)
    clump = make_asymmetric_body()
    others = dataclasses.replace(data, system=dataclasses.replace(data.system, bodies=(clump, clump)))
    with pytest.raises(ValueError, match="is a potential of hexagon, not of these"):
        load_candidate(tmp_path, "one", others)


def test_the_exact_potential_is_known_where_the_sites_are():
    data = make_trajectories()
    motion = data.motion
    energies = make_exact().build(data.system).compute_energy(motion.positions, motion.quaternions)
    torch.testing.assert_close(energies, data.energies, atol=1e-12, rtol=0)
    assert make_exact_candidate(dataclasses.replace(data.system, site_terms=())) is None


def test_the_training_window_is_that_of_trajectories():
    assert measure_window([make_exact(), make_learned_candidate()], 0.1) == pytest.approx(0.6)
