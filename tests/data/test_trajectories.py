"""Trajectories survive a round trip, and are data sets like any other."""

import numpy
import pytest

from common.data.dataset import Entry, open_dataset, read_entries
from common.data.trajectories import Trajectory, join_frames, read_trajectories, write_trajectories
from tests.helpers import make_entries, write_dataset

WATER = "[O:1]([H:2])[H:3]"


def make_trajectory(n_frames, seed, **extras):
    random = numpy.random.default_rng(seed)
    energy = random.normal(size=n_frames)
    mean = float(energy.mean())
    shape = (n_frames, 3, 3)
    entry = Entry(WATER, random.normal(size=shape), energy - mean, random.normal(size=shape), mean - 47_000.0)
    return Trajectory(entry, numpy.array([15.999, 1.008, 1.008]), **extras)


def test_everything_survives_a_round_trip(tmp_path):
    random = numpy.random.default_rng(0)
    written = [
        make_trajectory(
            5, 1, velocities=random.normal(size=(5, 3, 3)), frame_interval=5.0, time_step=0.5, temperature=500.0
        ),
        make_trajectory(3, 2, cell=numpy.array([9.0, 9.0, 9.0])),
    ]
    write_trajectories(tmp_path / "water", written, {"stage": "test"})
    for before, after in zip(written, read_trajectories(tmp_path / "water"), strict=True):
        assert after.entry.smiles == WATER
        for name in ("coords", "energy", "forces"):
            numpy.testing.assert_array_equal(getattr(after.entry, name), getattr(before.entry, name))
        for name in ("masses", "velocities", "cell"):
            numpy.testing.assert_array_equal(getattr(after, name), getattr(before, name))
        assert after.frame_interval == before.frame_interval
        assert after.temperature == before.temperature
    assert not list(tmp_path.glob(".*"))


def test_a_trajectory_is_a_data_set_of_the_house(tmp_path):
    write_trajectories(tmp_path / "water", [make_trajectory(5, 1)], {"stage": "test"})
    (entry,) = read_entries(open_dataset(tmp_path / "water"))
    numpy.testing.assert_array_equal(entry.coords, make_trajectory(5, 1).entry.coords)


def test_a_data_set_of_the_house_is_read_as_frames_without_order(tmp_path, parity_energies):
    entries = make_entries(parity_energies[:3], n_confs=4)
    write_dataset(tmp_path / "some", entries)
    for entry, trajectory in zip(entries, read_trajectories(tmp_path / "some"), strict=True):
        assert trajectory.frame_interval is None
        assert trajectory.velocities is None
        assert len(trajectory.masses) == entry.n_atoms


def test_joined_frames_keep_their_total_energies():
    first, second = make_trajectory(4, 1), make_trajectory(6, 2)
    joined = join_frames([first, second])
    assert joined.n_confs == 10
    assert abs(joined.energy.mean()) < 1e-12
    totals = numpy.concatenate([t.entry.energy + t.entry.energy_offset for t in (first, second)])
    numpy.testing.assert_allclose(joined.energy + joined.energy_offset, totals, rtol=0, atol=1e-9)


def test_frames_of_different_systems_are_not_joined():
    other = make_trajectory(3, 1)
    methane = Trajectory(Entry("[H:1][H:2]", *(numpy.zeros(s) for s in ((1, 2, 3), 1, (1, 2, 3)))), numpy.ones(2))
    with pytest.raises(ValueError, match="different systems"):
        join_frames([other, methane])


def test_a_slice_knows_its_interval():
    random = numpy.random.default_rng(0)
    whole = make_trajectory(10, 1, velocities=random.normal(size=(10, 3, 3)), frame_interval=5.0)
    part = whole.select(slice(2, None, 4))
    assert part.frame_interval == 20.0
    numpy.testing.assert_array_equal(part.velocities, whole.velocities[[2, 6]])
    assert abs(part.entry.energy.mean()) < 1e-12


def test_numbers_that_do_not_belong_together_are_refused(tmp_path):
    trajectory = make_trajectory(4, 1, velocities=numpy.zeros((3, 3, 3)))
    write_trajectories(tmp_path / "water", [trajectory], {"stage": "test"})
    with pytest.raises(ValueError, match="velocities, expected 36"):
        read_trajectories(tmp_path / "water")
