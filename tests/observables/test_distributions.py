"""Distributions: what they add up to, and element-pair distributions against ASE."""

import ase
import ase.geometry.rdf
import numpy
import pytest
import torch

from common.observables.distributions import (
    AngleDistribution,
    BondLengthDistribution,
    PairDistribution,
    RadialDistribution,
)
from common.observables.system import measure_distances
from tests.neural.systems import displace
from tests.observables.systems import make_ethanol, make_system, make_water_box

AREA_TOLERANCE = 0.015  # a Gaussian summed at points two widths apart: 1 ± 2 exp(-π²/2)


def test_radial_and_angular_distributions_hold_all_pairs_and_angles():
    system, coords = make_ethanol(), displace(4)
    radial = RadialDistribution(system).compute(coords)
    torch.testing.assert_close(radial.sum(1), torch.full((4,), 100.0, dtype=torch.float64), rtol=AREA_TOLERANCE, atol=0)
    angular = AngleDistribution(system).compute(coords)
    torch.testing.assert_close(angular.sum(1), torch.ones(4, dtype=torch.float64), rtol=AREA_TOLERANCE, atol=0)


def test_an_exploded_molecule_loses_area():
    system, coords = make_ethanol(), displace(1)
    coords[0, 0] += 100.0
    share = RadialDistribution(system).compute(coords).sum().item() / 100.0
    assert share == pytest.approx(28.0 / 36.0, rel=AREA_TOLERANCE)  # the pairs of one atom of nine are gone


def test_bond_lengths_come_by_elements():
    system, coords = make_ethanol(), displace(2, spread=0.02)
    distribution = BondLengthDistribution(system)
    values = distribution.compute(coords).reshape(2, -1, 100)
    assert values.shape[1] == 4  # H-C, H-O, C-C, C-O
    torch.testing.assert_close(values.sum(2), torch.ones(2, 4, dtype=torch.float64), rtol=AREA_TOLERANCE, atol=0)
    lengths = measure_distances(system, coords, system.bonds)
    carbons = system.atomic_nums[system.bonds].sum(1) == 12
    peak = distribution.labels[200 + int(values[0, 2].argmax())]
    assert float(peak.split()[1]) == pytest.approx(lengths[0, carbons].item(), abs=0.011)


def test_element_pairs_agree_with_ase():
    """O-O of a box of water: ASE counts whole pairs in hard bins; parts of half an Angstrom hold the same."""
    edge, n_bins = 12.0, 300
    system, coords = make_water_box(40, edge, n_frames=6)
    distribution = PairDistribution(system, (8, 8), largest=6.0)
    found = distribution.compute(coords).mean(0).numpy()
    expected = numpy.mean(
        [
            ase.geometry.rdf.get_rdf(
                ase.Atoms(numbers=system.atomic_nums.numpy(), positions=frame.numpy(), cell=[edge] * 3, pbc=True),
                rmax=6.0 - 1e-6,
                nbins=n_bins,
                elements=(8, 8),
            )[0]
            for frame in coords
        ],
        axis=0,
    )
    expected *= 40.0 / 39.0  # ASE's density is that of all atoms, here that of the others
    weights = distribution.centres.numpy() ** 2
    for part in numpy.array_split(numpy.arange(n_bins), 12)[2:]:
        assert (found * weights)[part].sum() == pytest.approx((expected * weights)[part].sum(), rel=0.05)
    assert (found * weights).sum() == pytest.approx((expected * weights).sum(), rel=0.005)


def test_independent_molecules_have_no_structure():
    """g(r) is 1 for oxygens thrown into the box at random, within the noise of counting."""
    system, coords = make_water_box(60, 12.0, seed=3, n_frames=40)
    values = PairDistribution(system, (8, 8), step=0.5, width=0.05).compute(coords).mean(0)
    assert values[4:].mean().item() == pytest.approx(1.0, abs=0.02)


def test_pairs_within_a_molecule_are_left_out():
    system, coords = make_water_box(2, 30.0)
    values = PairDistribution(system, (1, 8), largest=2.0).compute(coords[:1] * 0.0 + coords[:1])
    near = measure_distances(system, coords[:1], system.bonds)
    assert near.max() < 1.0
    assert values.shape[1] == 100


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(((8, 8), 0.02, 0.01, 7.0), "at most half"), (((6, 8),), "no pair of elements")],
)
def test_impossible_pairs_are_refused(arguments, words):
    system, _ = make_water_box(2, 9.0)
    with pytest.raises(ValueError, match=words):
        PairDistribution(system, *arguments)


def test_a_molecule_without_box_has_no_liquid():
    with pytest.raises(ValueError, match="need a periodic box"):
        PairDistribution(make_system("[O:1]([H:2])[H:3]", 3), (8, 1))
