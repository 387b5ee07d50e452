"""Leaves: what a child takes by the classes of its atoms is what its SMIRKS matches."""

import dataclasses

import numpy
import pytest
import torch

from common.forcefields.energy import compute_energy
from common.molecules.conformers import embed_conformers
from common.molecules.mapped_smiles import from_mapped_smiles, from_smiles, to_mapped_smiles
from common.smirnoff.offxml import read_force_field
from common.smirnoff.parameterize import parameterize
from common.type_discovery.candidates import TypeOfNow, list_candidates, make_leaf_bits
from common.type_discovery.leaves import SECTIONS, find_leaves
from common.type_discovery.primitives import add_primitive
from common.type_discovery.refinement import Split, refine
from tests.helpers import ROOT

MOLECULES = (
    "CC(=O)Nc1ccccc1", "O=[N+]([O-])c1ccncc1", "C1CC1C=C", "CC#CCO", "CS(=O)(=O)N", "c1ccoc1C(=O)[O-]", "C[NH3+]",
    "FC(F)(F)CCl", "O=C1CCCN1", "N=C(N)N", "CC=C=C", "COC(C)=O", "c1cc[nH]c1", "CCSSC", "C1=CCC=C1",
)  # fmt: skip


@pytest.fixture(scope="module")
def molecules():
    smiles = sorted(to_mapped_smiles(from_smiles(one)) for one in MOLECULES)
    found = parameterize(read_force_field(ROOT / "example" / "starter.offxml"), smiles, 1)
    assert len(found.topologies) >= 10
    return found


@pytest.fixture(scope="module")
def leaves(molecules):
    return find_leaves(molecules, molecules.topologies)


def test_leaves_give_the_same_energies(molecules, leaves):
    """Expanding changes which row an interaction reads, not what stands there."""
    for smiles, topology in leaves.molecules.topologies.items():
        coords = torch.from_numpy(embed_conformers(from_mapped_smiles(smiles), 2, seed=1))
        expected = compute_energy(molecules.topologies[smiles], molecules.force_field, coords)
        found = compute_energy(topology, leaves.molecules.force_field, coords)
        assert torch.allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_every_leaf_is_used_and_belongs_to_one_parameter(molecules, leaves):
    assert len(set(leaves.leaves)) == len(leaves.leaves)
    for type_ in SECTIONS:
        used = numpy.concatenate(
            [topology.parameters[type_].parameter_idxs.numpy() for topology in leaves.molecules.topologies.values()]
        )
        assert sorted(set(used.tolist())) == list(range(len(leaves.parent_rows[type_])))
        keys = molecules.force_field.potentials_by_type[type_].parameter_keys
        for leaf, first, n in zip(leaves.leaves, leaves.first_rows, leaves.n_rows, strict=True):
            if leaf.type == type_:
                assert {keys[row].id for row in leaves.parent_rows[type_][first : first + n].tolist()} == {leaf.smirks}


def list_all_children(leaves) -> list[tuple[str, str, str, set[int]]]:
    """Section, parent, child and leaves of every candidate."""
    groups: dict[tuple[str, str], list[int]] = {}
    for number, leaf in enumerate(leaves.leaves):
        groups.setdefault((leaf.type, leaf.smirks), []).append(number)
    children = []
    for (type_, smirks), members in groups.items():
        numbers = numpy.array(members)
        is_linear = numpy.array([leaves.leaves[number].is_linear for number in numbers])
        ones = numpy.ones((len(numbers), 1), dtype=bool)
        of = TypeOfNow(numbers, numbers[None], make_leaf_bits(leaves, numbers), ones, is_linear, 1)
        found = list_candidates(of)
        for own, tag, primitive in zip(found.members, found.tags, found.primitives, strict=True):
            child = add_primitive(smirks, int(tag), leaves.primitives[primitive])
            children.append((type_, smirks, child, set(numbers[own].tolist())))
    return children


def find_leaf_of_interactions(leaves, smiles: str, type_: str) -> dict[tuple[int, ...], int]:
    """The leaf of each interaction of a molecule, by its atoms."""
    owner = {}
    for number, leaf in enumerate(leaves.leaves):
        if leaf.type == type_:
            first = int(leaves.first_rows[number])
            owner |= dict.fromkeys(range(first, first + int(leaves.n_rows[number])), number)
    map_ = leaves.molecules.topologies[smiles].parameters[type_]
    pairs = zip(map_.particle_idxs.tolist(), map_.parameter_idxs.tolist(), strict=True)
    return {tuple(particles): owner[row] for particles, row in pairs}


def test_children_match_what_their_leaves_say(molecules, leaves):
    """For each of a sample of children: written into the file, matched anew, on every interaction."""
    children = list_all_children(leaves)
    assert len(children) > 300
    random = numpy.random.default_rng(0)
    for i in random.choice(len(children), 60, replace=False).tolist():
        type_, parent, child, expected = children[i]
        refined = refine(molecules, [Split(type_, parent, child, "", 0.0, None)])
        keys = refined.force_field.potentials_by_type[type_].parameter_keys
        before = molecules.force_field.potentials_by_type[type_].parameter_keys
        for smiles, topology in refined.topologies.items():
            leaf_of = find_leaf_of_interactions(leaves, smiles, type_)
            map_, old = topology.parameters[type_], molecules.topologies[smiles].parameters[type_]
            assert map_.particle_idxs.tolist() == old.particle_idxs.tolist()
            triples = zip(map_.particle_idxs.tolist(), map_.parameter_idxs.tolist(), old.parameter_idxs, strict=True)
            for particles, row, old_row in triples:
                is_child = leaf_of[tuple(particles)] in expected
                assert keys[row].id == (child if is_child else before[int(old_row)].id), (smiles, child, particles)


def test_a_refined_force_field_has_the_same_energies_until_it_is_fitted(molecules, leaves):
    children = list_all_children(leaves)[::40]
    splits = [Split(type_, parent, child, "", 0.0, None) for type_, parent, child, _ in children]
    refined = refine(molecules, splits)
    assert refined.provenance["force_field_sha256"] != molecules.provenance["force_field_sha256"]
    for smiles in refined.topologies:
        coords = torch.from_numpy(embed_conformers(from_mapped_smiles(smiles), 1, seed=1))
        expected = compute_energy(molecules.topologies[smiles], molecules.force_field, coords)
        found = compute_energy(refined.topologies[smiles], refined.force_field, coords)
        assert torch.allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_parameters_of_other_molecules_are_refused(molecules):
    one, other = list(molecules.topologies)[:2]
    swapped = dataclasses.replace(molecules, topologies={one: molecules.topologies[other]})
    with pytest.raises((ValueError, KeyError), match=r"do not belong|not match"):
        find_leaves(swapped, [one])


def test_linear_groups_are_not_told_apart(leaves):
    linear = {number for number, leaf in enumerate(leaves.leaves) if leaf.is_linear}
    assert linear
    assert all(
        not (linear & members) for type_, _, _, members in list_all_children(leaves) if type_ == "ProperTorsions"
    )
