"""The starting force field of the example: it covers the example's molecules with sensible values."""

import csv

import numpy
import pytest
from rdkit import Chem
from rdkit.Chem import rdForceFieldHelpers

from common.molecules.conformers import attach_conformers, embed_conformers
from common.molecules.mapped_smiles import from_mapped_smiles, from_smiles, to_mapped_smiles
from common.smirnoff.assignment import Assigner, build_potentials
from common.smirnoff.offxml import read_force_field
from tests.helpers import ROOT

EXAMPLE = ROOT / "example"

LENGTH_TOLERANCE = 0.08
"""[Angstrom] between starting lengths, rounded means over many molecules, and one molecule's MMFF94 minimum."""

ANGLE_TOLERANCE = 16.0
"""[degree]; ideal angles of the central atom know nothing of its neighbours."""


def read_molecules() -> list[str]:
    with (EXAMPLE / "molecules.csv").open() as file:
        return sorted({row["smiles"] for row in csv.DictReader(file)})


@pytest.fixture(scope="module")
def force_field():
    return read_force_field(EXAMPLE / "starter.offxml")


@pytest.fixture(scope="module")
def assigner(force_field):
    return Assigner(force_field)


@pytest.fixture(scope="module")
def potentials(force_field):
    return {potential.type: potential for potential in build_potentials(force_field)}


@pytest.mark.parametrize("smiles", read_molecules())
def test_covers_the_example_with_values_near_real_geometries(smiles, assigner, potentials):
    mol = from_smiles(smiles)
    assignment = assigner.assign(from_mapped_smiles(to_mapped_smiles(mol)))
    if smiles == "CN=C=S":
        return  # MMFF94 bends the cumulated double bonds
    mol = attach_conformers(mol, embed_conformers(mol, 1, seed=1))
    assert rdForceFieldHelpers.MMFFOptimizeMolecule(mol, maxIters=2000) == 0
    coords = mol.GetConformer().GetPositions()
    bonds, rows = assignment.valence["Bonds"]
    lengths = numpy.linalg.norm(coords[bonds[:, 0]] - coords[bonds[:, 1]], axis=1)
    numpy.testing.assert_allclose(potentials["Bonds"].column("length")[rows], lengths, 0, LENGTH_TOLERANCE)
    angles, rows = assignment.valence["Angles"]
    first, second = coords[angles[:, 0]] - coords[angles[:, 1]], coords[angles[:, 2]] - coords[angles[:, 1]]
    cosines = (first * second).sum(1) / numpy.linalg.norm(first, axis=1) / numpy.linalg.norm(second, axis=1)
    expected = numpy.degrees(potentials["Angles"].column("angle")[rows].numpy())
    numpy.testing.assert_allclose(expected, numpy.degrees(numpy.arccos(cosines)), 0, ANGLE_TOLERANCE)


@pytest.mark.parametrize("smiles", ["CCC#N", "C#CCO", "CN=[N+]=[N-]", "CN=C=S"])
def test_nothing_turns_around_linear_atoms(smiles, assigner, potentials):
    mol = from_smiles(smiles)
    linear = {match[0] for match in mol.GetSubstructMatches(Chem.MolFromSmarts("[$([#6X2]),$([#7X2+1])]"))}
    assert linear
    assignment = assigner.assign(mol)
    angles, rows = assignment.valence["Angles"]
    for atoms, angle in zip(angles, potentials["Angles"].column("angle")[rows].tolist(), strict=True):
        assert (angle == numpy.pi) == (atoms[1] in linear)
    propers, rows = assignment.valence["ProperTorsions"]
    turning = potentials["ProperTorsions"].column("k")[rows].numpy() != 0.0
    assert not any(linear & set(atoms[1:3]) for atoms in propers[turning].tolist())


def test_barrier_of_ethane(assigner, potentials):
    ethane = from_smiles("CC")
    _, rows = assigner.assign(ethane).valence["ProperTorsions"]
    barrier = 2.0 * potentials["ProperTorsions"].column("k")[rows].sum().item()  # 1 + cos(3 phi) runs from 0 to 2
    assert barrier == pytest.approx(2.9, abs=0.1)  # [kcal/mol], the measured barrier, rounded


def test_ids_are_unique_in_the_whole_file(force_field):
    ids = [parameter.id for section in force_field.sections.values() for parameter in section.parameters]
    assert len(ids) == len(set(ids))
