"""Slices: everything once, in order, and none too large."""

import numpy
import pytest

from common.processes.slices import cut_into_slices


def test_slices_keep_order_and_limit():
    assert cut_into_slices("abcdef", [1, 1, 3, 5, 1, 1], 4) == [["a", "b"], ["c"], ["d"], ["e", "f"]]
    assert cut_into_slices([], [], 4) == []


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_lost_and_no_slice_could_have_taken_the_next_item(seed):
    weights = numpy.random.default_rng(seed).integers(0, 10, 100).tolist()
    slices = cut_into_slices(range(100), weights, 12)
    assert [item for one in slices for item in one] == list(range(100))
    totals = [sum(weights[item] for item in one) for one in slices]
    assert all(total <= 12 for total in totals)
    for total, following in zip(totals, slices[1:], strict=False):
        assert total + weights[following[0]] > 12


def test_items_and_weights_belong_together():
    with pytest.raises(ValueError, match="zip"):
        cut_into_slices([1, 2], [1.0], 3.0)
