"""Conformers that occur twice."""

import numpy

from common.plausibility.repeats import check_repeats

COORDS = numpy.random.default_rng(0).normal(size=(5, 3, 3))


def test_repeated_conformers_are_counted():
    energy = numpy.arange(5.0)
    assert check_repeats(COORDS, energy) == []
    coords = COORDS.copy()
    coords[3] = coords[1]
    energy[3] = energy[1]
    [doubt] = check_repeats(coords, energy)
    assert (doubt.kind, doubt.text) == ("duplicates", "1 of 5 conformers repeat another")
    energy[3] += 2.0
    assert [doubt.kind for doubt in check_repeats(coords, energy)] == ["duplicates", "unrelated"]
