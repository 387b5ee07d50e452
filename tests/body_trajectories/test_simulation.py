"""Reference trajectories: at their temperature, at constant energy, with the forces of the sites alone."""

import dataclasses

import pytest
import torch

from common.body_trajectories.simulation import (
    Protocol,
    draw_places,
    equilibrate,
    label_trajectories,
    simulate,
    split_trajectories,
)
from common.body_trajectories.systems import BodySystem
from common.dynamics.rigid_bodies import compute_kinetic_energy, compute_momentum
from common.potentials.body_pairs import Spring
from tests.bodies import COULOMB, LENNARD_JONES, make_asymmetric_body, make_rod

PROTOCOL = Protocol(
    kt=0.3,
    friction=2.0,
    equilibration_step=0.02,
    equilibration_time=4.0,
    step=0.004,
    interval=0.02,
    n_frames=11,
    seed=0,
)  # fmt: skip
SYSTEM = BodySystem((make_asymmetric_body(), make_rod()), (LENNARD_JONES, COULOMB), Spring(1.0, 2.5), units="reduced")


@pytest.fixture(scope="module")
def made():
    told = []
    trajectories = simulate(SYSTEM, 10, PROTOCOL, "pair", told.append)
    assert told == list(range(2, 12))
    return trajectories


def test_energy_is_constant(made):
    potential = SYSTEM.add_spring(SYSTEM.build_site_potential())
    inertia = SYSTEM.build_inertia()
    total = potential.compute_energy(*made.motion[:2]) + compute_kinetic_energy(made.motion, inertia)
    assert (total - total[:, :1]).abs().max() < 2e-3  # of the step squared
    assert compute_momentum(made.motion, inertia).abs().max() < 1e-10
    half = simulate(SYSTEM, 10, dataclasses.replace(PROTOCOL, step=0.002), "pair")
    finer = potential.compute_energy(*half.motion[:2]) + compute_kinetic_energy(half.motion, inertia)
    ratio = (total - total[:, :1]).square().mean() / (finer - finer[:, :1]).square().mean()
    assert 3.0 < float(ratio.sqrt()) < 5.0


def test_what_is_stored_is_of_the_sites_without_the_spring(made):
    assert made.names[0] == "pair-0001"
    assert (made.n_trajectories, made.n_frames, made.interval, made.kt) == (10, 11, 0.02, 0.3)
    sites = SYSTEM.build_site_potential()
    positions, quaternions = made.motion[:2]
    energies, forces, torques = sites.compute_all(positions, quaternions)
    for own, expected in ((made.energies, energies), (made.forces, forces), (made.torques, torques)):
        torch.testing.assert_close(own, expected, atol=1e-12, rtol=0)
    bare = dataclasses.replace(made, energies=None, forces=None, torques=None)
    torch.testing.assert_close(label_trajectories(bare).forces, made.forces, atol=1e-12, rtol=0)
    unknown = dataclasses.replace(bare, system=dataclasses.replace(SYSTEM, site_terms=()))
    assert label_trajectories(unknown) is unknown


def test_the_thermostat_gives_the_temperature():
    """Kinetic energy, 3 + 3 and 3 + 2 degrees of freedom less three of the momentum; half a percent of 600 systems."""
    motion = equilibrate(SYSTEM, 600, PROTOCOL, torch.Generator().manual_seed(0))
    kinetic = compute_kinetic_energy(motion, SYSTEM.build_inertia()).mean()
    assert float(kinetic) == pytest.approx(0.5 * 8 * 0.3, rel=0.08)
    assert compute_momentum(motion, SYSTEM.build_inertia()).abs().max() < 1e-10


def test_a_seed_gives_the_same_trajectories(made):
    again = simulate(SYSTEM, 10, PROTOCOL, "pair")
    other = simulate(SYSTEM, 10, dataclasses.replace(PROTOCOL, seed=1), "pair")
    assert torch.equal(again.motion.positions, made.motion.positions)
    assert not torch.equal(other.motion.positions, made.motion.positions)


def test_many_bodies_start_without_overlap():
    body = make_asymmetric_body()
    many = BodySystem((body,) * 9, (LENNARD_JONES,), None, units="reduced")
    potential = many.build_site_potential()
    places = draw_places(many, potential, 3, 0.3, torch.Generator().manual_seed(0))
    assert (potential.compute_energy(*places) < 10.0 * 0.3 * 36).all()
    tight = dataclasses.replace(many, box=2.0, cutoff=1.0)
    with pytest.raises(ValueError, match="the box is too small"):
        draw_places(tight, tight.build_site_potential(), 1, 1e-6, torch.Generator().manual_seed(0))


def test_splits_are_of_whole_trajectories(made):
    splits = split_trajectories(made, (0.2, 0.1))
    assert {name: own.n_trajectories for name, own in splits.items()} == {"train": 7, "validation": 2, "test": 1}
    assert sum((own.names for own in splits.values()), ()) == made.names
    with pytest.raises(ValueError, match="n_trajectories = 2: too few"):
        split_trajectories(made.select(slice(0, 2)), (0.1, 0.1))
