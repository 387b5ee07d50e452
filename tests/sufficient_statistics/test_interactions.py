"""Interactions laid end to end: those of each molecule, once each, with the values of its parameters."""

import itertools

import pytest
import torch

from common.forcefields.energy import compute_energy_by_type
from common.forcefields.terms import VALENCE_TYPES
from common.sufficient_statistics.interactions import InteractionTable, build_interactions, find_vdw_pairs
from common.sufficient_statistics.linearization import Linearization

ROUNDING = 1e-9
"""[kcal/mol] of energies of some hundred."""


@pytest.fixture(scope="module")
def topologies(parity_molecules, parity_energies):
    return [parity_molecules.topologies[record["smiles"]] for record in parity_energies[:20]]


def test_expanding_lists_the_rows_of_every_frame():
    """Three molecules with 2, 0 and 3 interactions; five frames."""
    table = InteractionTable(torch.tensor([2, 0, 3]), torch.tensor([0, 2, 2]), {})
    rows, frames = table.expand(torch.tensor([2, 0, 1, 0, 2]))
    assert frames.tolist() == [0, 0, 0, 1, 1, 3, 3, 4, 4, 4]
    assert rows.tolist() == [2, 3, 4, 0, 1, 0, 1, 2, 3, 4]


def test_tables_follow_each_other(topologies, parity_molecules):
    interactions = build_interactions(topologies, Linearization(parity_molecules.force_field))
    for table in (*interactions.harmonic.values(), interactions.dihedrals, interactions.torsions, interactions.pairs):
        assert torch.equal(table.starts, torch.cumsum(table.counts, 0) - table.counts)
        assert {values.shape[-1] for values in table.values.values()} == {int(table.counts.sum())}
    assert interactions.n_atoms == [topology.n_atoms for topology in topologies]
    assert interactions.torsions.counts.tolist() == [
        sum(len(topology.parameters[type_].parameter_idxs) for type_ in ("ProperTorsions", "ImproperTorsions"))
        for topology in topologies
    ]


def test_features_are_those_of_the_molecules_parameters(topologies, parity_molecules):
    linearization = Linearization(parity_molecules.force_field)
    rows = linearization.find_rows()
    for topology, features in zip(topologies, build_interactions(topologies, linearization).features, strict=True):
        expected = {(t, row) for t in VALENCE_TYPES for row in topology.parameters[t].parameter_idxs.tolist()}
        assert {rows[feature] for feature in features} == expected
        assert sorted(set(features)) == features.tolist()
        assert len(features) == sum(rows.count(name) for name in expected)  # a and b of bonds and angles


def test_a_feature_counts_among_those_of_its_molecule(topologies, parity_molecules):
    linearization = Linearization(parity_molecules.force_field)
    interactions = build_interactions(topologies, linearization)
    table = interactions.harmonic["Angles"]
    for i, topology in enumerate(topologies):
        mine = slice(int(table.starts[i]), int(table.starts[i] + table.counts[i]))
        features = interactions.features[i][table.values["feature"][mine]]
        rows = topology.parameters["Angles"].parameter_idxs.tolist()
        assert features.tolist() == [linearization.get_feature("Angles", row) for row in rows]
        minima = parity_molecules.force_field.potentials_by_type["Angles"].column("angle")[rows]
        assert torch.equal(table.values["minimum"][mine], minima)


@pytest.mark.parametrize("with_vdw", [False, True])
def test_pairs_have_the_nonbonded_energy(topologies, parity_molecules, parity_energies, with_vdw):
    """Summed over the tables, what is in φ and what is not, it is that of the direct evaluation."""
    force_field = parity_molecules.force_field
    pairs = find_vdw_pairs(topologies, force_field)
    linearization = Linearization(force_field, pairs) if with_vdw else Linearization(force_field)
    interactions = build_interactions(topologies, linearization)
    phi = linearization.compute(force_field)
    assert (len(interactions.trained_pairs.values["feature"]) > 0) == with_vdw
    for i, record in enumerate(parity_energies[: len(topologies)]):
        coords = torch.tensor(record["coords"][0], dtype=torch.float64)
        energy = torch.zeros((), dtype=torch.float64)
        for table in (interactions.pairs, interactions.trained_pairs):
            rows = slice(int(table.starts[i]), int(table.starts[i] + table.counts[i]))
            mine = {name: values[..., rows] for name, values in table.values.items()}
            first, second = coords[mine["particle_idxs"]]
            r = (first - second).norm(dim=-1)
            ratio = (mine["lj_sigma"] / r) ** 6
            if table is interactions.pairs:
                energy += (mine["coulomb"] / r + mine["lj_strength"] * (ratio**2 - ratio)).sum()
            else:
                a, b = (phi[interactions.features[i][mine["feature"] + shift]] for shift in (0, 1))
                energy += (4.0 * mine["lj_scale"] * (a * ratio**2 - b * ratio)).sum()
        direct = compute_energy_by_type(topologies[i], force_field, coords[None])
        assert energy.item() == pytest.approx((direct["vdW"] + direct["Electrostatics"]).item(), abs=ROUNDING)


def test_vdw_pairs_are_those_that_meet(topologies, parity_molecules):
    pairs = find_vdw_pairs(topologies, parity_molecules.force_field).tolist()
    assert pairs == sorted(pairs)
    assert all(first <= second for first, second in pairs)
    expected = set()
    for topology in topologies:
        map_ = topology.parameters["vdW"]
        excluded = {
            tuple(pair)
            for pair, scale in zip(map_.exclusions.tolist(), map_.exclusion_scale_idxs[:, 0].tolist(), strict=True)
            if scale < 2  # one and two bonds apart: scaled by 0
        }
        for i, j in itertools.combinations(range(topology.n_atoms), 2):
            if (i, j) not in excluded:
                expected.add(tuple(sorted(map_.parameter_idxs[[i, j]].tolist())))
    assert {tuple(pair) for pair in pairs} == expected
