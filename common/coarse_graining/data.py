"""Trajectories for a training: a folder of ours, or of LAMMPS's files as the original has them."""

import pathlib

from common.body_trajectories.lammps_files import Notice, has_lammps_files, read_lammps_folder
from common.body_trajectories.simulation import label_trajectories
from common.body_trajectories.trajectories import SPLITS, Trajectories, load_trajectories


def load_splits(folder: pathlib.Path, n_workers: int) -> tuple[dict[str, Trajectories], list[Notice]]:
    """Train, validation and test, and what was left out of them.

    Args:
        folder: of the trajectories.
        n_workers: processes that read files of LAMMPS; 0 for this one.

    Raises:
        FileNotFoundError: there is nothing to read.
        ValueError: it cannot be understood.
    """
    if has_lammps_files(folder):
        splits, notices = read_lammps_folder(folder, n_workers)
        return {split: label_trajectories(own) for split, own in splits.items()}, notices
    return {split: load_trajectories(folder, split) for split in SPLITS}, []
