"""Energies and forces: physics first, then smee's numbers."""

import numpy
import pytest
import torch

from common.forcefields.energy import compute_energy, compute_energy_by_type, compute_forces, compute_forces_by_type
from common.forcefields.tensors import NonbondedParameterMap, TensorTopology, ValenceParameterMap
from tests.helpers import rotate_randomly

PARITY_TOLERANCE = 1e-6
"""[kcal/mol], [kcal/mol/Angstrom]: what the project promises; found: 1e-9 and 5e-9 (forces are stored to 1e-8)."""

FINITE_DIFFERENCE = 1e-4
"""[Angstrom]: central differences of such a step are good to about 1e-6 kcal/mol/Angstrom here."""


def pick(parity_molecules, parity_energies, index):
    record = parity_energies[index]
    topology = parity_molecules.topologies[record["smiles"]]
    return topology, parity_molecules.force_field, torch.tensor(record["coords"], dtype=torch.float64)


def test_energies_and_forces_agree_with_smee(parity_molecules, parity_energies):
    assert len(parity_energies) == 99
    for index, record in enumerate(parity_energies):
        topology, force_field, coords = pick(parity_molecules, parity_energies, index)
        by_type = compute_energy_by_type(topology, force_field, coords)
        for type_, expected in record["energy_by_type"].items():
            difference = by_type[type_] - torch.tensor(expected, dtype=torch.float64)
            assert difference.abs().max() < PARITY_TOLERANCE, (record["smiles"], type_)
        energy = compute_energy(topology, force_field, coords)
        assert (energy - torch.tensor(record["energy"], dtype=torch.float64)).abs().max() < PARITY_TOLERANCE
        forces = compute_forces(topology, force_field, coords)
        assert (forces - torch.tensor(record["forces"], dtype=torch.float64)).abs().max() < PARITY_TOLERANCE


@pytest.mark.parametrize("index", [2, 21, 47, 65])
def test_forces_are_minus_the_gradient_by_finite_differences(parity_molecules, parity_energies, index):
    topology, force_field, coords = pick(parity_molecules, parity_energies, index)
    coords = coords[:1]
    forces = compute_forces(topology, force_field, coords)
    steps = FINITE_DIFFERENCE * torch.eye(3 * topology.n_atoms, dtype=torch.float64).reshape(-1, topology.n_atoms, 3)
    up, down = (compute_energy(topology, force_field, coords + sign * steps) for sign in (1.0, -1.0))
    expected = -(up - down).reshape(1, topology.n_atoms, 3) / (2.0 * FINITE_DIFFERENCE)
    assert torch.allclose(forces, expected, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("index", [5, 22, 43])
def test_forces_are_minus_the_gradient_by_autograd(parity_molecules, parity_energies, index):
    topology, force_field, coords = pick(parity_molecules, parity_energies, index)
    coords.requires_grad_()
    by_type = compute_energy_by_type(topology, force_field, coords)
    forces = compute_forces_by_type(topology, force_field, coords)
    for type_, energy in by_type.items():
        if energy.requires_grad:
            (gradient,) = torch.autograd.grad(energy.sum(), coords, retain_graph=True)
            assert torch.allclose(forces[type_], -gradient, rtol=1e-10, atol=1e-10), type_


@pytest.mark.parametrize("index", [4, 22, 84])
def test_rigid_motion_changes_nothing(parity_molecules, parity_energies, index):
    topology, force_field, coords = pick(parity_molecules, parity_energies, index)
    moved = rotate_randomly(coords, seed=index)
    assert torch.allclose(
        compute_energy(topology, force_field, moved), compute_energy(topology, force_field, coords), rtol=1e-10
    )
    norms = [compute_forces(topology, force_field, x).norm(dim=-1) for x in (coords, moved)]
    assert torch.allclose(*norms, rtol=1e-8, atol=1e-8)


def test_forces_and_torques_sum_to_zero(parity_molecules, parity_energies):
    for index in range(0, 99, 7):
        topology, force_field, coords = pick(parity_molecules, parity_energies, index)
        forces = compute_forces(topology, force_field, coords)
        scale = forces.abs().sum()
        assert forces.sum(1).abs().max() <= 1e-12 * scale
        assert torch.linalg.cross(coords, forces).sum(1).abs().max() <= 1e-11 * scale


def renumber_topology(topology: TensorTopology, order: numpy.ndarray) -> TensorTopology:
    """The topology with atom ``order[i]`` in place i."""
    new = torch.from_numpy(numpy.argsort(order))
    maps = {}
    for type_, map_ in topology.parameters.items():
        if isinstance(map_, ValenceParameterMap):
            maps[type_] = ValenceParameterMap(new[map_.particle_idxs], map_.parameter_idxs)
        else:
            maps[type_] = NonbondedParameterMap(
                map_.parameter_idxs[torch.from_numpy(order)], new[map_.exclusions], map_.exclusion_scale_idxs
            )
    return TensorTopology(topology.atomic_nums[order], topology.formal_charges, new[topology.bond_idxs], None, maps)


def test_renumbering_atoms_permutes_the_forces(parity_molecules, parity_energies):
    topology, force_field, coords = pick(parity_molecules, parity_energies, 22)
    order = numpy.random.default_rng(0).permutation(topology.n_atoms)
    other = renumber_topology(topology, order)
    energies = [compute_energy(t, force_field, x) for t, x in ((topology, coords), (other, coords[:, order]))]
    assert torch.allclose(*energies, rtol=1e-12)
    forces = compute_forces(topology, force_field, coords)[:, order]
    assert torch.allclose(compute_forces(other, force_field, coords[:, order]), forces, rtol=1e-10, atol=1e-10)


def test_derivatives_with_respect_to_parameters(parity_molecules, parity_energies):
    topology, force_field, coords = pick(parity_molecules, parity_energies, 8)
    tables = {p.type: p.parameters.clone().requires_grad_() for p in force_field.potentials}
    trained = force_field.replace_parameters(tables)
    value = compute_forces(topology, trained, coords).pow(2).sum() + compute_energy(topology, trained, coords).sum()
    gradients = dict(zip(tables, torch.autograd.grad(value, list(tables.values())), strict=True))
    for type_, column in (("Bonds", 1), ("Angles", 0), ("ProperTorsions", 0), ("vdW", 1), ("Electrostatics", 0)):
        row = topology.parameters[type_].parameter_idxs[0]
        shifted = []
        for sign in (1.0, -1.0):
            table = tables[type_].detach().clone()
            table[row, column] += sign * 1e-5
            other = force_field.replace_parameters({type_: table})
            shifted.append(
                compute_forces(topology, other, coords).pow(2).sum() + compute_energy(topology, other, coords).sum()
            )
        expected = (shifted[0] - shifted[1]).item() / 2e-5
        assert gradients[type_][row, column].item() == pytest.approx(expected, rel=1e-5, abs=1e-4), type_


def test_wrong_shapes_are_refused(parity_molecules, parity_energies):
    topology, force_field, coords = pick(parity_molecules, parity_energies, 0)
    with pytest.raises(ValueError, match=r"expected \(n_confs, 5, 3\)"):
        compute_energy(topology, force_field, coords[0])
