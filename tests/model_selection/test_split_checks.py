"""What is said of test molecules that do not stand for the data."""

import dataclasses

import pytest

from common.fitting.objective import build_objective
from common.model_selection.split_checks import FEW, check_splits
from common.sufficient_statistics.quadratic import QuadraticForm


@pytest.fixture
def parts(valence):
    """Statistics and losses in which the validation molecules test."""
    groups = {
        (source, "test" if split == "validation" else split): group
        for (source, split), group in valence.statistics.groups.items()
    }
    statistics = dataclasses.replace(
        valence.statistics, groups=groups, n_molecules={"train": 80, "validation": 0, "test": 15}
    )
    objectives = {split: build_objective(statistics, split) for split in ("train", "test")}
    return statistics, objectives, valence.molecules.force_field


def test_a_test_that_stands_for_the_data_needs_no_words(parts):
    assert check_splits(*parts) == []


def test_without_a_test_that_is_said(parts):
    statistics, objectives, initial = parts
    [line] = check_splits(statistics, {"train": objectives["train"]}, initial)
    assert line.startswith("there are no test molecules")


def test_sources_without_test_molecules_are_named(parts):
    statistics, objectives, initial = parts
    [source] = {source for source, _ in statistics.groups}
    groups = {**statistics.groups, ("another", "train"): statistics.groups[source, "train"]}
    [line] = check_splits(dataclasses.replace(statistics, groups=groups), objectives, initial)
    assert line.startswith("no test molecule is of another: ")


def test_few_molecules_are_counted(parts):
    statistics, objectives, initial = parts
    n_molecules = statistics.n_molecules | {"test": FEW - 1}
    [line] = check_splits(dataclasses.replace(statistics, n_molecules=n_molecules), objectives, initial)
    assert line.startswith(f"there are {FEW - 1} test molecules only")


def test_an_easier_test_is_noticed(parts):
    statistics, objectives, initial = parts
    easy = dataclasses.replace(objectives["test"], forces=QuadraticForm(0.25 * objectives["test"].forces.matrix))
    [line] = check_splits(statistics, {**objectives, "test": easy}, initial)
    assert "the starting force field's force error is" in line
