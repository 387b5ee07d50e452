"""Sums of Gram matrices that each have some of the features."""

import numpy
import torch

from common.sufficient_statistics.entry_grams import GramSums


def test_each_number_goes_to_its_features_and_the_residual_last():
    sums = GramSums(numpy.array([2, 5, 7]), ("plain", "scaled"))
    one, other = torch.arange(9.0, dtype=torch.float64).reshape(3, 3), torch.ones((2, 2), dtype=torch.float64)
    sums.add(sums.locate(numpy.array([2, 7])), {"plain": (one, 1.0), "scaled": (one, 0.5)})
    sums.add(sums.locate(numpy.array([5])), {"plain": (other, 1.0)})
    expected = torch.tensor([[0, 0, 1, 2], [0, 1, 0, 1], [3, 0, 4, 5], [6, 1, 7, 9]], dtype=torch.float64)
    assert torch.equal(sums.matrices["plain"], expected)
    expected = torch.tensor([[0, 0, 1, 2], [0, 0, 0, 0], [3, 0, 4, 5], [6, 0, 7, 8]], dtype=torch.float64)
    assert torch.equal(sums.matrices["scaled"], 0.5 * expected)
