"""References: what may be known and what is held out."""

import numpy
import pytest
import torch

from common.data.dataset import Entry
from common.data.trajectories import Trajectory, write_trajectories
from common.replicas.reference import load_reference
from tests.observables.systems import ETHANOL_SMILES


def make_run(n_frames, seed, smiles=ETHANOL_SMILES, cell=None):
    random = numpy.random.default_rng(seed)
    energy = random.normal(size=n_frames)
    shape = (n_frames, 9, 3)
    entry = Entry(smiles, random.normal(size=shape), energy - energy.mean(), random.normal(size=shape))
    return Trajectory(entry, numpy.ones(9), random.normal(size=shape), cell, 5.0, 0.5, 500.0)


def test_each_run_is_cut_in_two(tmp_path):
    runs = [make_run(10, 1), make_run(6, 2)]
    write_trajectories(tmp_path / "ethanol", runs, {})
    reference = load_reference(tmp_path / "ethanol", 0.3)
    assert [part.n_frames for part in reference.known] == [7, 4]
    assert [part.n_frames for part in reference.held_out] == [3, 2]
    assert reference.temperature == 500.0
    assert reference.coords.shape == (16, 9, 3)
    expected = torch.from_numpy(
        numpy.concatenate([run.entry.coords[cut:] for run, cut in zip(runs, (7, 4), strict=True)])
    )
    assert torch.equal(reference.get_coords(is_held_out=True), expected)
    assert reference.compute_bond_means().shape == (8,)


@pytest.mark.parametrize("share", [0.0, 0.999])
def test_neither_part_is_empty(tmp_path, share):
    write_trajectories(tmp_path / "ethanol", [make_run(10, 1)], {})
    reference = load_reference(tmp_path / "ethanol", share)
    assert reference.known[0].n_frames >= 1
    assert reference.held_out[0].n_frames >= 1


def test_a_single_frame_is_too_few(tmp_path):
    write_trajectories(tmp_path / "ethanol", [make_run(1, 1)], {})
    with pytest.raises(ValueError, match="single frame"):
        load_reference(tmp_path / "ethanol", 0.5)


def test_different_molecules_are_no_reference(tmp_path):
    other = make_run(4, 2, ETHANOL_SMILES.replace("O:3", "S:3"))
    write_trajectories(tmp_path / "both", [make_run(4, 1), other], {})
    with pytest.raises(ValueError, match="different systems"):
        load_reference(tmp_path / "both", 0.5)


def test_a_missing_reference_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="none"):
        load_reference(tmp_path / "none", 0.5)
