"""Lists of pairs."""

import torch

from common.neural.pairs import compute_pair_vectors, drop_far_pairs, join_pairs, list_pairs, repeat_pairs


def test_every_pair_stands_once():
    pairs = {tuple(sorted(pair)) for pair in list_pairs(5).T.tolist()}
    assert len(pairs) == list_pairs(5).shape[1] == 10
    assert all(i != j for i, j in pairs)


def test_repeated_and_joined_pairs_agree():
    repeated = set(map(tuple, repeat_pairs(list_pairs(4), 3, 4).T.tolist()))
    assert repeated == set(map(tuple, join_pairs([4, 4, 4]).T.tolist()))
    assert all(i // 4 == j // 4 for i, j in repeated)


def test_single_atoms_and_nothing_have_no_pairs():
    assert join_pairs([1, 1]).shape == (2, 0)
    assert join_pairs([]).shape == (2, 0)


def test_far_pairs_are_dropped_with_the_box_in_mind():
    coords = torch.tensor([[0.5, 0.0, 0.0], [9.5, 0.0, 0.0], [5.0, 0.0, 0.0]])
    edges = torch.tensor([10.0, 10.0, 10.0])
    assert drop_far_pairs(coords, list_pairs(3), 2.0).shape[1] == 0
    near = drop_far_pairs(coords, list_pairs(3), 2.0, edges)
    assert near.T.tolist() == [[0, 1]]
    torch.testing.assert_close(compute_pair_vectors(coords, near, edges), torch.tensor([[1.0, 0.0, 0.0]]))
