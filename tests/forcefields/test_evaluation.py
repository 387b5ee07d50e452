"""Force fields side by side give what each gives alone, to the last bit, and share what they have in common."""

import dataclasses

import pytest
import torch

from common.forcefields import evaluation
from common.forcefields.energy import GEOMETRY, compute_energy, compute_forces
from common.forcefields.evaluation import SharedEvaluation
from tests.helpers import change_parameters


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


def test_each_is_as_alone_to_the_last_bit(fields, parity_molecules, parity_energies):
    shared = SharedEvaluation(fields)
    for record in parity_energies[::9]:
        topology = parity_molecules.topologies[record["smiles"]]
        coords = torch.tensor(record["coords"], dtype=torch.float64)
        energies, forces = shared.compute([topology] * len(fields), coords)
        for field, energy, force in zip(fields, energies, forces, strict=True):
            # the angle and its gradient come from one function here, the energy alone from another in compute_energy
            assert torch.allclose(energy, compute_energy(topology, field, coords), rtol=1e-14, atol=1e-13)
            assert torch.equal(force, compute_forces(topology, field, coords))


def test_geometry_is_computed_once_and_equal_types_once(fields, parity_molecules, parity_energies, monkeypatch):
    record = parity_energies[20]
    topology = parity_molecules.topologies[record["smiles"]]
    coords = torch.tensor(record["coords"], dtype=torch.float64)
    calls = {"geometry": 0, "types": 0}

    def count(what, function):
        def counted(*args):
            calls[what] += 1
            return function(*args)

        return counted

    counted = {type_: (one, count("geometry", other)) for type_, (one, other) in GEOMETRY.items()}
    monkeypatch.setattr(evaluation, "GEOMETRY", counted)
    monkeypatch.setattr(evaluation, "build_terms", count("types", evaluation.build_terms))
    SharedEvaluation(fields).compute([topology] * len(fields), coords)
    assert calls["geometry"] == len(fields[0].potentials)
    assert calls["types"] == len(fields[0].potentials) + 3 + 4  # and what differs in the second and the third


def test_another_typing_is_evaluated_as_it_is(fields, parity_molecules, parity_energies):
    record = parity_energies[20]
    topology = parity_molecules.topologies[record["smiles"]]
    rows = topology.parameters["Bonds"].parameter_idxs.roll(1)
    other = dataclasses.replace(topology.parameters["Bonds"], parameter_idxs=rows)
    retyped = dataclasses.replace(topology, parameters={**topology.parameters, "Bonds": other})
    coords = torch.tensor(record["coords"], dtype=torch.float64)
    _, forces = SharedEvaluation(fields[:1] * 2).compute([topology, retyped], coords)
    assert torch.equal(forces[1], compute_forces(retyped, fields[0], coords))
    assert not torch.equal(forces[0], forces[1])


def test_coordinates_of_another_molecule_are_refused(fields, parity_molecules, parity_energies):
    topology = parity_molecules.topologies[parity_energies[20]["smiles"]]
    with pytest.raises(ValueError, match="coords have shape"):
        SharedEvaluation(fields[:1]).compute([topology], torch.zeros((2, topology.n_atoms + 1, 3)))
