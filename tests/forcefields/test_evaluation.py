"""Force fields side by side give what each gives alone, to rounding."""

import dataclasses

import numpy
import pytest
import torch

from common.forcefields.energy import compute_energy, compute_forces
from common.forcefields.evaluation import Difference, SharedEvaluation, compare_with_plain
from common.forcefields.tensors import TensorForceField
from common.geometry.loop_geometry import LANES
from tests.helpers import change_parameters

TOLERANCE = 1e-12
"""Relative to the largest number; found: 1e-14."""


@pytest.fixture
def fields(parity_molecules):
    """The start, one with other valence terms, one with other vdW as well, and the start once more."""
    start = parity_molecules.force_field
    valence = ("Bonds", "Angles", "ProperTorsions")
    return [
        start,
        change_parameters(start, valence, seed=1),
        change_parameters(start, (*valence, "vdW"), seed=2),
        dataclasses.replace(start),
    ]


def test_each_is_as_alone(fields, parity_molecules, parity_energies):
    shared = SharedEvaluation(fields)
    for record in parity_energies:
        topology = parity_molecules.topologies[record["smiles"]]
        coords = torch.tensor(record["coords"], dtype=torch.float64)
        energies, forces = shared.compute([topology] * len(fields), coords.numpy())
        for field, energy, force in zip(fields, energies, forces, strict=True):
            assert_close(energy, compute_energy(topology, field, coords))
            assert_close(force, compute_forces(topology, field, coords))


def assert_close(found, expected):
    assert numpy.abs(found - expected.numpy()).max() <= TOLERANCE * max(1.0, expected.abs().max().item())


def test_blocks_make_no_difference(fields, parity_molecules, parity_energies):
    """More conformers than are handled at once, and a rest of any number that a processor takes at once."""
    record = parity_energies[20]
    topology = parity_molecules.topologies[record["smiles"]]
    random = numpy.random.default_rng(0)
    coords = numpy.array(record["coords"])[random.integers(len(record["coords"]), size=2 * LANES + 5)]
    coords = coords + random.normal(0.0, 0.02, coords.shape)
    shared = SharedEvaluation(fields)
    energies, forces = shared.compute([topology] * len(fields), coords)
    for i in (0, LANES - 1, LANES, 2 * LANES + 4):
        energy, force = shared.compute([topology] * len(fields), coords[i : i + 1])
        assert_close(energies[:, i], torch.from_numpy(energy[:, 0]))
        assert_close(forces[:, i], torch.from_numpy(force[:, 0]))


def test_other_periodicities_and_factors_of_pairs_are_not_mixed_up(parity_molecules, parity_energies):
    start = parity_molecules.force_field
    potentials = []
    for potential in start.potentials:
        table, attributes = potential.parameters.clone(), potential.attributes
        if potential.type == "ProperTorsions":
            table[:, potential.parameter_cols.index("periodicity")] += 1.0
        if potential.type == "vdW":
            attributes = attributes * 0.7
        potentials.append(dataclasses.replace(potential, parameters=table, attributes=attributes))
    other = TensorForceField(tuple(potentials))
    topology = parity_molecules.topologies[parity_energies[20]["smiles"]]
    coords = torch.tensor(parity_energies[20]["coords"], dtype=torch.float64)
    energies, forces = SharedEvaluation([start, other]).compute([topology] * 2, coords.numpy())
    for field, energy, force in zip((start, other), energies, forces, strict=True):
        assert_close(energy, compute_energy(topology, field, coords))
        assert_close(force, compute_forces(topology, field, coords))
    with pytest.raises(ValueError, match="no whole number"):
        table = potentials[2].parameters.clone()
        broken = [
            dataclasses.replace(one, parameters=table + 0.5) if one is potentials[2] else one for one in potentials
        ]
        SharedEvaluation([TensorForceField(tuple(broken))]).compute([topology], coords.numpy())


def test_a_force_field_may_lack_sections(parity_molecules, parity_energies):
    topology = parity_molecules.topologies[parity_energies[20]["smiles"]]
    coords = torch.tensor(parity_energies[20]["coords"], dtype=torch.float64)
    for lacking in parity_molecules.force_field.potentials:
        own = tuple(one for one in parity_molecules.force_field.potentials if one is not lacking)
        [energy], [force] = SharedEvaluation([TensorForceField(own)]).compute([topology], coords.numpy())
        assert_close(energy, compute_energy(topology, TensorForceField(own), coords))
        assert_close(force, compute_forces(topology, TensorForceField(own), coords))


def test_a_difference_is_found(fields, parity_molecules, parity_energies):
    topology = parity_molecules.topologies[parity_energies[20]["smiles"]]
    coords = numpy.array(parity_energies[20]["coords"])
    energies, forces = SharedEvaluation(fields).compute([topology] * len(fields), coords)
    found = compare_with_plain(fields, [topology] * len(fields), coords, energies, forces)
    assert found.n_conformers == len(coords)
    assert found.relative <= TOLERANCE
    forces[1, 0, 2, 1] += 0.25
    found = compare_with_plain(fields, [topology] * len(fields), coords, energies, forces)
    assert found.forces == pytest.approx(0.25)
    assert found.relative > 1e-4
    assert found.merge(Difference(3, 1.0, 0.0, 0.0)) == Difference(len(coords) + 3, 1.0, found.forces, found.relative)


def test_another_typing_is_evaluated_as_it_is(fields, parity_molecules, parity_energies):
    record = parity_energies[20]
    topology = parity_molecules.topologies[record["smiles"]]
    rows = topology.parameters["Bonds"].parameter_idxs.roll(1)
    other = dataclasses.replace(topology.parameters["Bonds"], parameter_idxs=rows)
    retyped = dataclasses.replace(topology, parameters={**topology.parameters, "Bonds": other})
    coords = torch.tensor(record["coords"], dtype=torch.float64)
    _, forces = SharedEvaluation(fields[:1] * 2).compute([topology, retyped], coords.numpy())
    assert_close(forces[1], compute_forces(retyped, fields[0], coords))
    assert not numpy.allclose(forces[0], forces[1])


def test_coordinates_of_another_molecule_are_refused(fields, parity_molecules, parity_energies):
    topology = parity_molecules.topologies[parity_energies[20]["smiles"]]
    with pytest.raises(ValueError, match="coords have shape"):
        SharedEvaluation(fields[:1]).compute([topology], numpy.zeros((2, topology.n_atoms + 1, 3)))
