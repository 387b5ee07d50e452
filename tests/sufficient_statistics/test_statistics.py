"""Statistics as a file: read back to the last bit, and not at all where anything has changed."""

import dataclasses

import pytest
import torch

from common.sufficient_statistics.linearization import Linearization
from common.sufficient_statistics.statistics import (
    FoldStatistics,
    GroupStatistics,
    Statistics,
    list_folds,
    load_statistics,
    merge_validation,
    save_statistics,
)


def make_group(seed: int) -> GroupStatistics:
    generator = torch.Generator().manual_seed(seed)
    matrices = (torch.randn(3, 3, generator=generator, dtype=torch.float64) for _ in range(4))
    return GroupStatistics(5, 4, 31, 5, 3, *matrices, sum_squared_weights=1.0 / 3.0)


@pytest.fixture
def statistics(parity_molecules) -> Statistics:
    return Statistics(
        linearization=Linearization(parity_molecules.force_field, torch.tensor([[0, 1], [1, 1]])),
        features=torch.tensor([3, 8]),
        groups={("one", "train"): make_group(0), ("two", "test"): make_group(1)},
        folds={("one", 0): FoldStatistics(3, 2, *torch.ones((2, 3, 3), dtype=torch.float64))},
        exercise={"train": {"Bonds": torch.tensor([[1, 2], [0, 0]])}},
        splits={"[H:1][H:2]": "train"},
        n_molecules={"train": 1, "validation": 0, "test": 0},
        fingerprint="0123456789abcdef",
        n_ranks=2,
        seconds=0.1,
        peak_memory=312.5,
        is_reused=False,
    )


def save(statistics: Statistics, folder):
    path = folder / f"{statistics.fingerprint}.pt"
    save_statistics(path, statistics)
    return path


def test_statistics_come_back_to_the_last_bit(statistics, tmp_path):
    path = save(statistics, tmp_path)
    found = load_statistics(path, statistics.linearization.reference, is_reused=True)
    assert found.is_reused
    for field in dataclasses.fields(Statistics):
        one, other = getattr(found, field.name), getattr(statistics, field.name)
        if field.name == "linearization":
            assert torch.equal(one.vdw_pairs, other.vdw_pairs)
            assert one.reference is other.reference
        elif field.name in ("groups", "folds"):
            assert one.keys() == other.keys()
            for group, expected in zip(one.values(), other.values(), strict=True):
                for name, value in dataclasses.asdict(expected).items():
                    mine = getattr(group, name)
                    assert torch.equal(mine, value) if isinstance(value, torch.Tensor) else mine == value
        elif field.name == "features":
            assert torch.equal(one, other)
        elif field.name == "exercise":
            assert torch.equal(one["train"]["Bonds"], other["train"]["Bonds"])
        elif field.name != "is_reused":
            assert one == other


def test_nothing_is_nothing(parity_molecules, tmp_path):
    assert load_statistics(tmp_path / "x.pt", parity_molecules.force_field, is_reused=True) is None


@pytest.mark.parametrize("damage", ["cut", "flip", "no checksum", "another's checksum"])
def test_what_has_changed_since_is_not_read(statistics, tmp_path, damage):
    path = save(statistics, tmp_path)
    contents = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(contents[: len(contents) // 2])
    elif damage == "flip":
        contents[len(contents) // 2] ^= 1
        path.write_bytes(contents)
    elif damage == "no checksum":
        path.with_suffix(".sha256").unlink()
    else:
        path.with_suffix(".sha256").write_text("0" * 64 + "\n")
    assert load_statistics(path, statistics.linearization.reference, is_reused=True) is None


def test_folds_with_entries_are_listed(statistics):
    nothing = FoldStatistics(0, 0, *torch.zeros((2, 3, 3), dtype=torch.float64))
    folds = {**statistics.folds, ("two", 0): nothing, ("two", 3): statistics.folds["one", 0], ("two", 4): nothing}
    assert list_folds(dataclasses.replace(statistics, folds=folds)) == [0, 3]


def test_validation_molecules_may_train(statistics):
    groups = {
        ("one", "train"): make_group(0),
        ("one", "validation"): make_group(1),
        ("two", "validation"): make_group(2),
    }
    groups["two", "test"] = make_group(3)
    counts = {split: {"Bonds": torch.tensor([[i, 2 * i]])} for i, split in enumerate(("train", "validation"), start=1)}
    splits = {"a": "train", "b": "validation", "c": "test"}
    n_molecules = {"train": 4, "validation": 8, "test": 4}
    merged = merge_validation(
        dataclasses.replace(statistics, groups=groups, exercise=counts, splits=splits, n_molecules=n_molecules)
    )
    assert set(merged.groups) == {("one", "train"), ("two", "train"), ("two", "test")}
    expected = groups["one", "train"].forces_noise + groups["one", "validation"].forces_noise
    assert torch.equal(merged.groups["one", "train"].forces_noise, expected)
    assert merged.groups["one", "train"].n_conformers == 62
    assert torch.equal(merged.groups["two", "train"].energy, groups["two", "validation"].energy)
    assert merged.exercise["train"]["Bonds"].tolist() == [[3, 6]]
    assert merged.splits == {"a": "train", "b": "train", "c": "test"}
    assert merged.n_molecules == {"train": 12, "validation": 0, "test": 4}
