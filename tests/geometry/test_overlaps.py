"""Overlapping atoms are found wherever they are."""

import numpy

from common.geometry.overlaps import OVERLAP, find_overlaps


def test_overlaps_are_found_in_every_conformer_of_a_long_path():
    generator = numpy.random.default_rng(0)
    lattice = numpy.stack(numpy.meshgrid(*[numpy.arange(4.0)] * 3), -1).reshape(-1, 3)
    coords = numpy.repeat(lattice[None], 500, 0) + generator.uniform(-0.1, 0.1, (500, 64, 3))
    bad = generator.random(500) < 0.1
    coords[bad, 17] = coords[bad, 40] + [0.0, 0.0, 0.9 * OVERLAP]
    numpy.testing.assert_array_equal(find_overlaps(coords), bad)
    assert not find_overlaps(numpy.zeros((2, 1, 3))).any()  # a single atom overlaps with nothing
