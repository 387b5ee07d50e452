"""Frames of one molecule and of many: references, batches, boxes."""

import dataclasses

import numpy
import pytest
import torch

from common.data.dataset import Entry
from common.data.trajectories import Trajectory
from common.neural.frames import FrameSet, fit_reference_energies, read_atomic_nums

WATER, METHANE, HYDROGEN = "[O:1]([H:2])[H:3]", "[C:1]([H:2])([H:3])([H:4])[H:5]", "[H:1][H:2]"


def make_trajectory(smiles, n_frames, total, seed=0, cell=None):
    random = numpy.random.default_rng(seed)
    n_atoms = len(read_atomic_nums(smiles))
    energy = random.normal(size=n_frames)
    energy -= energy.mean()
    entry = Entry(
        smiles, random.normal(size=(n_frames, n_atoms, 3)), energy, random.normal(size=(n_frames, n_atoms, 3)), total
    )
    return Trajectory(entry, numpy.ones(n_atoms), cell=cell)


def test_references_of_elements_are_found_where_molecules_determine_them():
    own = {1: -300.0, 8: -47_000.0, 6: -24_000.0}
    totals = {smiles: sum(own[number] for number in read_atomic_nums(smiles)) for smiles in (WATER, METHANE, HYDROGEN)}
    found = fit_reference_energies([make_trajectory(smiles, 4, total) for smiles, total in totals.items()])
    assert found == pytest.approx(own, rel=1e-9)


def test_one_molecule_is_met_exactly_though_its_elements_are_not_determined():
    found = fit_reference_energies([make_trajectory(WATER, 4, -47_600.0)])
    assert found[8] + 2.0 * found[1] == pytest.approx(-47_600.0, rel=1e-12)


def test_energies_are_subtracted_before_they_are_rounded():
    """A total of -500,000 kcal/mol leaves float32 digits of 0.03; differences keep theirs."""
    trajectory = make_trajectory(WATER, 5, -500_000.0)
    frames = FrameSet([trajectory], fit_reference_energies([trajectory]))
    batch = frames.select(range(5))
    numpy.testing.assert_allclose(batch.energies.numpy(), trajectory.entry.energy, atol=1e-6)
    assert batch.energies.dtype == torch.float32


def test_batches_lay_molecules_end_to_end():
    trajectories = [make_trajectory(WATER, 3, 0.0, 1), make_trajectory(METHANE, 2, 0.0, 2)]
    frames = FrameSet(trajectories, dict.fromkeys((1, 6, 8), 0.0), torch.float64)
    assert len(frames) == 5
    assert frames.n_atoms.tolist() == [3, 3, 3, 5, 5]
    batch = frames.select([4, 0])
    assert batch.atomic_nums.tolist() == [6, 1, 1, 1, 1, 8, 1, 1]
    assert batch.frame_idxs.tolist() == [0] * 5 + [1] * 3
    assert batch.pairs.shape == (2, 10 + 3)
    assert (batch.frame_idxs[batch.pairs[0]] == batch.frame_idxs[batch.pairs[1]]).all()
    numpy.testing.assert_array_equal(batch.coords[:5].numpy(), trajectories[1].entry.coords[1])
    numpy.testing.assert_array_equal(batch.forces[5:].numpy(), trajectories[0].entry.forces[0])


def test_boxes_are_not_mixed():
    water = make_trajectory(WATER, 2, 0.0, cell=numpy.full(3, 9.0))
    assert FrameSet([water], {1: 0.0, 8: 0.0}).cell.tolist() == [9.0] * 3
    with pytest.raises(ValueError, match="different periodic boxes"):
        FrameSet([water, dataclasses.replace(water, cell=None)], {1: 0.0, 8: 0.0})


def test_an_element_without_reference_is_named():
    with pytest.raises(ValueError, match="atomic number 8"):
        FrameSet([make_trajectory(WATER, 2, 0.0)], {1: 0.0})
