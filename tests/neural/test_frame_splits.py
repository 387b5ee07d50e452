"""Which frames train: none twice, none that is held out."""

import pytest

from common.data.splits import SplitSettings
from common.neural.frame_splits import split_by_molecule, split_frames


def split(n_train=20, n_validation=5, n_test=10, held_out=0.5, contiguous=False, seed=0, n_frames=(40, 60)):
    return split_frames(n_frames, n_train, n_validation, n_test, held_out, contiguous, seed)


def test_what_is_held_out_only_tests():
    found = split()
    assert {name: len(frames) for name, frames in found.items()} == {"train": 20, "validation": 5, "test": 10}
    learnt = {tuple(frame) for name in ("train", "validation") for frame in found[name]}
    assert len(learnt) == 25
    assert all(frame < (20, 30)[row] for row, frame in learnt)
    assert all(frame >= (20, 30)[row] for row, frame in found["test"])


def test_contiguous_frames_follow_each_other():
    found = split(contiguous=True)
    assert found["train"] == [[0, frame] for frame in range(20)]
    assert found["validation"] == [[1, frame] for frame in range(5)]


def test_another_seed_draws_others():
    assert split(seed=1)["train"] != split(seed=0)["train"]
    assert split(seed=1) == split(seed=1)


def test_all_that_is_left_trains():
    assert len(split(n_train=None)["train"]) == 45


def test_too_few_frames_are_counted():
    with pytest.raises(ValueError, match=r"50 frames may be learnt from .* 60 to train and 5 to validate"):
        split(n_train=60)


def test_a_molecule_falls_into_one_split():
    smiles = ["[H:1][H:2]", "[H:1][F:2]", "[H:1][Cl:2]", "[H:1][Br:2]", "[H:2][F:1]"]
    found = split_by_molecule(smiles, [2, 3, 4, 5, 6], SplitSettings(0.25, 0.25, 0, False))
    rows = {name: {row for row, _ in frames} for name, frames in found.items()}
    assert rows["train"] | rows["validation"] | rows["test"] == {0, 1, 2, 3, 4}
    assert len(rows["validation"]) >= 1
    assert next(name for name, own in rows.items() if 1 in own) == next(name for name, own in rows.items() if 4 in own)
