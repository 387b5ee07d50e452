"""Weights of conformers: which count, and how much."""

import numpy
import pytest

from common.data.dataset import Entry
from common.data.weighting import ConformerSelection, weigh_conformers

RT_300 = 0.5961612776
"""[kcal/mol] at 300 K."""


def make_entry(energy: list[float]) -> Entry:
    coords = numpy.zeros((len(energy), 2, 3))
    return Entry("[H:1][H:2]", coords, numpy.array(energy), coords)


def test_energy_ceiling_leaves_out_high_conformers():
    entry, weights = weigh_conformers(make_entry([-10.0, -8.0, 18.0]), ConformerSelection(2.0, None))
    assert entry.energy.tolist() == [-1.0, 1.0]
    assert entry.energy_offset == -9.0
    assert weights.tolist() == [0.5, 0.5]


def test_boltzmann_weights_follow_the_temperature():
    _, weights = weigh_conformers(make_entry([-1.0, 1.0]), ConformerSelection(None, 300.0))
    assert weights[1] / weights[0] == pytest.approx(numpy.exp(-2.0 / RT_300), rel=1e-9)
    assert weights.sum() == pytest.approx(1.0, abs=1e-15)


def test_the_zero_of_energy_does_not_matter():
    energy = [0.0, 0.7, 3.1]
    for offset in (-5e5, 1e3):
        selection = ConformerSelection(None, 500.0)
        _, weights = weigh_conformers(make_entry([one + offset for one in energy]), selection)
        numpy.testing.assert_allclose(weights, weigh_conformers(make_entry(energy), selection)[1], rtol=1e-9)


def test_a_hot_ensemble_weighs_all_alike_and_a_cold_one_the_lowest_alone():
    entry = make_entry([0.0, 1.0, 2.0])
    assert weigh_conformers(entry, ConformerSelection(None, 1e9))[1].tolist() == pytest.approx([1 / 3] * 3, rel=1e-5)
    assert weigh_conformers(entry, ConformerSelection(None, 1e-3))[1].tolist() == [1.0, 0.0, 0.0]


def test_the_lowest_conformer_always_counts():
    entry, weights = weigh_conformers(make_entry([4.0, 9.0]), ConformerSelection(0.0, 300.0))
    assert entry.n_confs == 1
    assert weights.tolist() == [1.0]
