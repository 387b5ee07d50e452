"""The loops' own pieces; what they give is compared in test_evaluation.py."""

import numpy

from common.forcefields.loop_evaluation import fill_scales


def test_exclusions_say_the_factor_of_their_pairs_in_either_order():
    scales = numpy.full((4, 4), numpy.nan)
    fill_scales(scales, 1.0, numpy.array([[0, 1], [3, 1]]), numpy.array([0.0, 0.5]))
    pairs = {(i, j): scales[i, j] for i in range(4) for j in range(i + 1, 4)}
    assert pairs == {(0, 1): 0.0, (0, 2): 1.0, (0, 3): 1.0, (1, 2): 1.0, (1, 3): 0.5, (2, 3): 1.0}
