"""Torsion scans are told from other paths, and profiles show the errors that are reported."""

import numpy
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import rdMolTransforms

from common.analysis.profiles import Scan, build_profile, find_scan
from common.forcefields.tensors import TensorTopology, ValenceParameterMap
from common.molecules.conformers import attach_conformers, embed_conformers
from common.molecules.mapped_smiles import from_smiles


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


def test_profiles_show_the_error_relative_to_the_mean():
    reference = numpy.array([3.0, 0.0, 1.0, 4.0])
    energies = {"one": reference + 100.0, "two": numpy.array([3.0, 0.0, 1.0, 8.0])}
    scan = Scan((0, 1, 2, 3), numpy.array([90.0, -180.0, 0.0, -90.0]))
    profile = build_profile(reference, energies, scan)
    assert profile.x == [-180.0, -90.0, 0.0, 90.0]
    assert profile.reference == [0.0, 4.0, 1.0, 3.0]
    assert profile.energies["one"] == pytest.approx(profile.reference)
    errors = numpy.array(profile.energies["two"]) - profile.reference
    assert errors == pytest.approx([-1.0, 3.0, -1.0, -1.0])  # 4 in one conformer, less its mean
    unordered = build_profile(reference, energies, None)
    assert unordered.x == [1.0, 2.0, 3.0, 4.0]
    assert unordered.reference == [0.0, 1.0, 3.0, 4.0]
    assert unordered.scanned is None
    assert build_profile(reference[:2], {}, None) is None
