"""Torsion scans are told from other paths, and the barriers of their profiles are found."""

import numpy
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import rdMolTransforms

from common.forcefields.tensors import TensorTopology, ValenceParameterMap
from common.molecules.conformers import attach_conformers, embed_conformers
from common.molecules.mapped_smiles import from_smiles
from common.relaxation.scans import Barrier, find_barriers, find_scan, is_closed, measure_barrier


@pytest.fixture(scope="module")
def pentane():
    """A conformer as an RDKit molecule."""
    mol = from_smiles("CCCCC")
    return attach_conformers(mol, embed_conformers(mol, 1, seed=7))


@pytest.fixture(scope="module")
def topology(pentane):
    """All proper torsions of pentane, whatever their parameters."""
    matches = pentane.GetSubstructMatches(Chem.MolFromSmarts("*~*~*~*"), uniquify=True)
    torsions = torch.tensor(matches)
    empty = torch.zeros(0, dtype=torch.int64)
    maps = {"ProperTorsions": ValenceParameterMap(torsions, torch.zeros(len(torsions), dtype=torch.int64))}
    return TensorTopology(torch.zeros(pentane.GetNumAtoms(), dtype=torch.int64), empty, empty, empty, maps)


def rotate(mol, atoms, angles, noise=0.0):
    """Coordinates with a dihedral at each of some angles [degree], the atoms shaken by ``noise`` [Angstrom]."""
    random = numpy.random.default_rng(0)
    copy = Chem.Mol(mol)
    coords = []
    for angle in angles:
        rdMolTransforms.SetDihedralDeg(copy.GetConformer(), *atoms, float(angle))
        coords.append(copy.GetConformer().GetPositions())
    coords = numpy.array(coords)
    return coords + random.normal(0.0, noise, coords.shape)


@pytest.mark.parametrize("angles", [numpy.arange(-165, 181, 15), numpy.arange(20, 140, 10)])
def test_a_scan_is_found_whatever_the_order_of_its_conformers(pentane, topology, angles):
    order = numpy.random.default_rng(1).permutation(len(angles))
    scan = find_scan(topology, rotate(pentane, (0, 1, 2, 3), angles[order]))
    assert scan.atoms[1:3] in ((1, 2), (2, 1))
    shifts = (scan.angles - angles[order]) % 360.0
    assert numpy.ptp((shifts + 180.0 - shifts[0]) % 360.0) < 1e-6  # it is the scanned dihedral, or one turned with it


def test_random_conformers_and_paths_are_no_scans(pentane, topology):
    angles = numpy.random.default_rng(2).uniform(-180.0, 180.0, 24)
    assert find_scan(topology, rotate(pentane, (0, 1, 2, 3), angles, noise=0.1)) is None
    trajectory = 60.0 + 120.0 * numpy.exp(-numpy.arange(24) / 5.0)
    assert find_scan(topology, rotate(pentane, (0, 1, 2, 3), trajectory, noise=0.02)) is None
    assert find_scan(topology, rotate(pentane, (0, 1, 2, 3), [0.0, 60.0, 120.0])) is None


ANGLES = numpy.arange(-165.0, 181.0, 15.0)


def test_scans_all_the_way_round_are_told_from_parts():
    assert is_closed(ANGLES)
    assert is_closed(numpy.delete(ANGLES, 3))
    assert not is_closed(ANGLES[:12])


@pytest.mark.parametrize("shift", [0, 5, 17])
def test_the_barriers_of_a_threefold_profile(shift):
    """Minima 0, 1, 1 and barriers of 3, as butane has them, wherever the scan begins."""
    energies = numpy.roll(
        1.5 * (1.0 + numpy.cos(numpy.radians(3.0 * ANGLES))) + numpy.where(abs(ANGLES) < 120.0, 1.0, 0.0), shift
    )
    barriers = find_barriers(energies, closed=True)
    tops = {int(barrier.top - shift) % 24 for barrier in barriers}
    assert {float(ANGLES[i]) for i in tops} <= {-120.0, -105.0, 0.0, 105.0, 120.0}
    assert len(barriers) == 3
    for barrier in barriers:
        assert measure_barrier(energies, barrier, closed=True) == pytest.approx(
            energies[barrier.top] - energies[barrier.bottom]
        )


def test_ripples_are_no_barriers():
    smooth = 2.0 * (1.0 - numpy.cos(numpy.radians(ANGLES)))
    [only] = find_barriers(smooth, closed=True)
    assert ANGLES[only.top] == 180.0
    assert ANGLES[only.bottom] == 0.0
    rippled = smooth + 0.1 * (-1.0) ** numpy.arange(24)
    [same] = find_barriers(rippled, closed=True)
    assert abs(ANGLES[same.bottom]) <= 15.0
    assert find_barriers(0.1 * smooth, closed=True) == []


def test_the_ends_of_a_part_are_no_barriers():
    energies = numpy.array([3.0, 1.0, 0.0, 2.0, 4.0, 1.0, 5.0])
    assert find_barriers(energies, closed=False) == [Barrier(4, 2)]
    assert find_barriers(numpy.array([5.0, 3.0, 1.0, 0.0]), closed=False) == []
    assert find_barriers(numpy.array([0.0, 3.0, 1.0, 0.5]), closed=False) == [Barrier(1, 0)]


def test_a_force_field_may_have_its_barrier_a_point_aside():
    energies = numpy.array([3.0, 1.0, 0.0, 2.0, 4.0, 1.0, 5.0])
    moved = numpy.array([3.0, 0.0, 1.0, 5.0, 2.0, 1.0, 5.0])
    assert measure_barrier(moved, Barrier(4, 2), closed=False) == pytest.approx(5.0)
    assert measure_barrier(energies, Barrier(0, 1), closed=True) == pytest.approx(5.0)
