"""Deviations equal RDKit's and plain loops."""

import numpy
import pytest
import torch
from rdkit.Chem import TorsionFingerprints, rdMolAlign

from common.molecules.conformers import attach_conformers, embed_conformers
from common.molecules.mapped_smiles import from_mapped_smiles, from_smiles
from common.relaxation.deviations import (
    compute_differences,
    compute_rmsds,
    compute_torsion_deviations,
    find_heavy_atoms,
    measure_parameter_deviations,
)
from tests.helpers import rotate_randomly


@pytest.fixture(scope="module")
def pair():
    """A molecule and two sets of three conformers."""
    mol = from_smiles("OCCc1ccccc1")
    coords = embed_conformers(mol, 6, seed=5)
    return mol, coords[:3], coords[3:]


def test_rmsds_are_those_of_rdkit(pair):
    mol, coords, others = pair
    found = compute_rmsds(coords, others)
    heavy = find_heavy_atoms([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    assert heavy.tolist() == list(range(9))
    without = compute_rmsds(coords, others, heavy)
    for i in range(3):
        one, other = (attach_conformers(mol, each[[i]]) for each in (coords, others))
        assert found[i] == pytest.approx(rdMolAlign.AlignMol(one, other), abs=1e-6)
        pairs = [(int(atom), int(atom)) for atom in heavy]
        assert without[i] == pytest.approx(rdMolAlign.AlignMol(one, other, atomMap=pairs), abs=1e-6)
    turned = rotate_randomly(torch.from_numpy(coords), seed=1).numpy()
    assert compute_rmsds(turned, coords) == pytest.approx(numpy.zeros(3), abs=1e-6)
    assert compute_rmsds(coords, coords * [-1.0, 1.0, 1.0]).min() > 0.1  # a mirror image is another molecule


def test_torsion_deviations_are_those_of_rdkit(pair):
    mol, coords, others = pair
    found = compute_torsion_deviations(mol, coords, others)
    both = attach_conformers(mol, numpy.concatenate((coords, others)))
    for i in range(3):
        expected = TorsionFingerprints.GetTFDBetweenConformers(both, [i], [i + 3])[0]
        assert found[i] == pytest.approx(expected)
    assert compute_torsion_deviations(mol, coords, coords) == pytest.approx(numpy.zeros(3))
    water = from_smiles("O")
    assert compute_torsion_deviations(water, numpy.zeros((1, 3, 3)), numpy.zeros((1, 3, 3))) is None


def test_small_molecules_have_all_their_atoms_superposed():
    assert find_heavy_atoms([8, 1, 1]).tolist() == [0, 1, 2]


def test_dihedrals_differ_by_the_short_way_round():
    angles = numpy.radians([175.0, -175.0])
    coords = numpy.array(
        [[[1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [numpy.cos(a), 0.0, numpy.sin(a)]] for a in angles]
    )
    coords[:, 0] = [1.0, 1.0, 0.0]
    difference = compute_differences("ImproperTorsions", torch.tensor([[0, 1, 2, 3]]), coords[:1], coords[1:])
    assert abs(difference[0, 0]) == pytest.approx(10.0)


@pytest.mark.parametrize("place", [22, 47])
def test_deviations_by_parameter_are_those_of_a_plain_loop(parity_molecules, parity_energies, place):
    record = parity_energies[place]
    topology, force_field = parity_molecules.topologies[record["smiles"]], parity_molecules.force_field
    coords = numpy.array(record["coords"])
    others = coords + numpy.random.default_rng(0).normal(0.0, 0.05, coords.shape)
    found = measure_parameter_deviations(topology, force_field, coords, others)
    map_ = topology.get_valence_map("Bonds")
    expected: dict[str, list[float]] = {}
    for (i, j), row in zip(map_.particle_idxs.tolist(), map_.parameter_idxs.tolist(), strict=True):
        smirks = force_field.potentials_by_type["Bonds"].parameter_keys[row].id
        for one, other in zip(coords, others, strict=True):
            change = numpy.linalg.norm(one[i] - one[j]) - numpy.linalg.norm(other[i] - other[j])
            expected.setdefault(smirks, []).append(change)
    assert {smirks for type_, smirks in found if type_ == "Bonds"} == set(expected)
    for smirks, values in expected.items():
        own = found["Bonds", smirks]
        assert own.n == len(values)
        assert own.total == pytest.approx(sum(values))
        assert own.squares == pytest.approx(sum(value**2 for value in values))
    assert any(type_ == "Angles" for type_, _ in found)
    same = measure_parameter_deviations(topology, force_field, coords, coords)
    assert all(one.squares == pytest.approx(0.0, abs=1e-12) for one in same.values())
    assert from_mapped_smiles(record["smiles"]).GetNumAtoms() == topology.n_atoms
