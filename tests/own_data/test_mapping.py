"""Atoms of a geometry and atoms of a SMILES: by map numbers, by bonds, by perception."""

import numpy
import pytest
from rdkit import Chem

from common.molecules.conformers import embed_conformers
from common.molecules.mapped_smiles import compute_connectivity_key, from_mapped_smiles, from_smiles, to_mapped_smiles
from common.own_data.mapping import map_conformers
from common.own_data.records import InputError
from common.units import BOHR_TO_ANGSTROM
from tests.own_data.samples import list_numbers, read_samples

SAMPLES = read_samples()
MOLECULES = ("CC(N)C(=O)O", "c1ccccc1C#N", "C/C=C/C", "OC1CCCCC1", "C[N+](C)(C)CC(=O)[O-]", "CS(=O)(=O)NC")


def make(smiles: str, n_confs: int = 2) -> tuple[Chem.Mol, numpy.ndarray, numpy.ndarray]:
    mol = from_smiles(smiles)
    return mol, numpy.array([a.GetAtomicNum() for a in mol.GetAtoms()]), embed_conformers(mol, n_confs, 0)


def test_a_mapped_smiles_that_fits_stays_as_it_is():
    for entry in SAMPLES.values():
        [mapped], dropped = map_conformers(numpy.array(list_numbers(entry)), entry.coords, entry.smiles, 0)
        assert mapped.smiles == entry.smiles
        assert not mapped.is_remapped
        assert not dropped
        assert mapped.conformers.tolist() == list(range(entry.n_confs))


@pytest.mark.parametrize("smiles", MOLECULES)
def test_a_plain_smiles_is_mapped_to_any_order_of_the_atoms(smiles):
    _, numbers, coords = make(smiles)
    order = numpy.random.default_rng(0).permutation(len(numbers))
    mapped, _ = map_conformers(numbers[order], coords[:, order], smiles, 0)
    assert sum(len(one.conformers) for one in mapped) == 2
    for one in mapped:
        found = from_mapped_smiles(one.smiles)
        assert [atom.GetAtomicNum() for atom in found.GetAtoms()] == numbers[order].tolist()
        assert compute_connectivity_key(one.smiles) == Chem.CanonSmiles(smiles, useChiral=False)
        for bond in found.GetBonds():
            ends = coords[:, order][:, [bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()]]
            assert (numpy.linalg.norm(ends[:, 0] - ends[:, 1], axis=-1) < 2.0).all()


def test_map_numbers_in_another_order_are_replaced_and_it_is_said():
    entry = SAMPLES["n-methylacetamide"]
    order = numpy.random.default_rng(1).permutation(entry.n_atoms)
    numbers = numpy.array(list_numbers(entry))[order]
    [mapped], _ = map_conformers(numbers, entry.coords[:, order], entry.smiles, 0)
    assert mapped.is_remapped
    assert compute_connectivity_key(mapped.smiles) == compute_connectivity_key(entry.smiles)


def test_stereoisomers_are_parted_and_those_that_are_not_meant_left_out():
    _, numbers, right = make("C[C@H](O)F", 3)
    coords = numpy.concatenate([right, right * [1.0, 1.0, -1.0]])
    mapped, dropped = map_conformers(numbers, coords, "CC(O)F", 0)
    assert [one.conformers.tolist() for one in mapped] == [[0, 1, 2], [3, 4, 5]]
    assert mapped[0].smiles != mapped[1].smiles
    assert not dropped
    [one], dropped = map_conformers(numbers, coords, "C[C@H](O)F", 0)
    assert one.conformers.tolist() == [0, 1, 2]
    assert dropped == {"stereochemistry other than in the SMILES": 3}
    with pytest.raises(InputError, match="the stereochemistry of"):
        map_conformers(numbers, right, "C[C@@H](O)F", 0)


def test_molecules_are_perceived_from_geometry_and_charge():
    _, numbers, coords = make("CC(=O)[O-]")
    [mapped], _ = map_conformers(numbers, coords, "", -1)
    assert compute_connectivity_key(mapped.smiles) == "CC(=O)[O-]"
    with pytest.raises(InputError, match="no molecule of charge 3"):
        map_conformers(numbers, coords, "", 3)


def test_isomers_without_smiles_are_told_apart():
    _, numbers, coords = make("CCO", 2)
    ether = from_smiles("COC")
    by_element = sorted(range(9), key=lambda i: (-numbers[i], i))
    other = sorted(range(9), key=lambda i: (-ether.GetAtomWithIdx(i).GetAtomicNum(), i))
    both = numpy.concatenate([coords[:, by_element], embed_conformers(ether, 2, 0)[:, other]])
    mapped, _ = map_conformers(numbers[by_element], both, "", 0)
    assert [compute_connectivity_key(one.smiles) for one in mapped] == ["CCO", "COC"]
    assert [one.conformers.tolist() for one in mapped] == [[0, 1], [2, 3]]


@pytest.mark.parametrize(("scale", "unit"), [(1.0 / BOHR_TO_ANGSTROM, "bohr"), (0.1, "nm")])
def test_another_unit_of_length_is_named(scale, unit):
    _, numbers, coords = make("CCO")
    with pytest.raises(InputError, match=f"these coordinates look like {unit}; say so with --length-unit"):
        map_conformers(numbers, coords * scale, "CCO", 0)


def test_another_molecule_is_named():
    mol, numbers, coords = make("CCO")
    with pytest.raises(InputError, match="C2H4O in the SMILES CC=O, C2H6O in the geometry"):
        map_conformers(numbers, coords, "CC=O", 0)
    with pytest.raises(InputError, match="the bonds of the geometry, by distance, are not those of the SMILES COC"):
        map_conformers(numbers, coords, "COC", 0)
    with pytest.raises(InputError, match="RDKit cannot read this SMILES"):
        map_conformers(numbers, coords, "C((", 0)
    assert to_mapped_smiles(mol)
