"""Folders of trajectories: whole or not there, read back as they were, and never with numbers that cannot be."""

import dataclasses
import json

import pytest
import torch

from common.body_trajectories.trajectories import SPLITS, Trajectories, load_trajectories, save_trajectories
from common.dynamics.rigid_bodies import Motion
from tests.bodies import draw_places
from tests.body_trajectories.test_systems import make_system


def make_trajectories(seed: int = 0) -> Trajectories:
    positions, quaternions = (values.reshape(2, 5, 3, -1) for values in draw_places(10, 3, 2.0, seed))
    motion = Motion(positions, quaternions, 0.1 * positions, torch.zeros_like(positions))
    energies, forces = torch.arange(10.0, dtype=torch.float64).reshape(2, 5), torch.ones_like(positions)
    return Trajectories(make_system(), 0.5, motion, ("a", "b"), energies, forces, 2.0 * forces, 0.6)


@pytest.fixture
def folder(tmp_path):
    save_trajectories(
        tmp_path / "data", {split: make_trajectories(i) for i, split in enumerate(SPLITS)}, {"by": "test"}
    )
    return tmp_path / "data"


def test_what_is_saved_is_read_back(folder):
    for i, split in enumerate(SPLITS):
        again, expected = load_trajectories(folder, split), make_trajectories(i)
        for one, other in zip(again.motion, expected.motion, strict=True):
            assert torch.equal(one, other)
        for name in ("energies", "forces", "torques"):
            assert torch.equal(getattr(again, name), getattr(expected, name))
        assert (again.names, again.interval, again.kt) == (("a", "b"), 0.5, 0.6)
        assert again.system.to_plain() == expected.system.to_plain()
    assert json.loads((folder / "system.json").read_text())["provenance"] == {"by": "test"}


def test_a_new_folder_takes_the_place_of_the_old_one(folder):
    save_trajectories(folder, {"train": make_trajectories(7)}, {})
    assert sorted(path.name for path in folder.iterdir()) == ["system.json", "train"]
    assert [path.name for path in folder.parent.iterdir()] == ["data"]


def test_some_frames_are_farther_apart():
    some = make_trajectories().select(slice(1, 2), slice(0, None, 2))
    assert (some.n_trajectories, some.n_frames, some.interval, some.names) == (1, 3, 1.0, ("b",))
    assert some.energies.tolist() == [[5.0, 7.0, 9.0]]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("positions", float("nan"), "b, frame 3, has positions that are not finite"),
        ("quaternions", 0.7, "b, frame 3, has a quaternion of length"),
        ("angular_momenta", 0.1, "b, frame 3, has an angular momentum about an axis without inertia"),
    ],
)
def test_numbers_that_cannot_be_are_refused(field, value, message):
    trajectories = make_trajectories()
    values = getattr(trajectories.motion, field).clone()
    values[1, 3, 1, 2] = value
    wrong = dataclasses.replace(trajectories, motion=trajectories.motion._replace(**{field: values}))
    with pytest.raises(ValueError, match=f"here: {message}"):
        wrong.check("here")


def test_damage_is_named(folder):
    path = folder / "train" / "trajectories.pt"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"trajectories\.pt: damaged"):
        load_trajectories(folder, "train")
    (folder / "system.json").write_text('{"format": 99}')
    with pytest.raises(ValueError, match=r"system\.json: not of format 1"):
        load_trajectories(folder, "test")


def test_nothing_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no trajectories here"):
        load_trajectories(tmp_path, "train")
