"""Weights of sources: one number for both parts of an entry, or one for each."""

import pytest
import torch

from common.fitting.source_weights import PartWeights, add_up_weights, check_source_weights, get_part_weights
from common.sufficient_statistics.statistics import FoldStatistics


def test_a_number_weighs_both_parts_and_sources_that_are_not_named_weigh_one():
    assert get_part_weights({"a": 2.0}, "a") == PartWeights(2.0, 2.0)
    assert get_part_weights({"a": PartWeights(2.0, 0.5)}, "a") == PartWeights(2.0, 0.5)
    assert get_part_weights({"a": 2.0}, "b") == get_part_weights(None, "a") == PartWeights(1.0, 1.0)


def test_energies_and_forces_are_counted_apart():
    nothing = torch.zeros(1, 1, dtype=torch.float64)
    folds = [("a", FoldStatistics(3, 0, nothing, nothing)), ("b", FoldStatistics(1, 5, nothing, nothing))]
    assert add_up_weights({"a": PartWeights(2.0, 7.0)}, folds) == PartWeights(7.0, 5.0)


def test_what_makes_no_sense_is_named():
    check_source_weights({"a": 0.0}, {"a", "b"})
    with pytest.raises(ValueError, match="source weight for 'c', which is not among the data: a, b"):
        check_source_weights({"c": 1.0}, {"a", "b"})
    with pytest.raises(ValueError, match=r"source weight of a .* must not be negative"):
        check_source_weights({"a": PartWeights(1.0, -1.0)}, {"a", "b"})
