"""Folders of ours and of LAMMPS are read alike."""

import torch

from common.coarse_graining.data import load_splits
from tests.coarse_graining.samples import write_data
from tests.helpers import DATA


def test_files_of_lammps_come_with_forces():
    splits, notices = load_splits(DATA / "hexagons" / "fifteen-digits", 0)
    assert notices == []
    own = splits["test"]
    potential = own.system.build_site_potential()
    expected = potential.compute_all(own.motion.positions, own.motion.quaternions)
    assert torch.equal(own.forces, expected[1])
    assert own.energies.shape == (1, 11)


def test_our_own_folders_are_read(tmp_path):
    splits, notices = load_splits(write_data(tmp_path / "data"), 0)
    assert {split: own.n_trajectories for split, own in splits.items()} == {"train": 10, "validation": 3, "test": 3}
    assert notices == []
