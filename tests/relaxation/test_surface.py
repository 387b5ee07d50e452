"""The surface is that of the force field, and its stiffness that of springs."""

import numpy
import pytest
import torch

from common.forcefields.energy import compute_energy, compute_forces
from common.forcefields.tensors import TensorForceField
from common.relaxation.surface import Surface

CURVATURE = 1e-5
"""Relative, of a slope taken over 2e-4 Angstrom or radian."""


def flatten(coords: numpy.ndarray) -> torch.Tensor:
    return torch.from_numpy(coords).reshape(len(coords), -1)


@pytest.mark.parametrize("place", [3, 22, 47])
def test_energies_and_gradients_are_those_of_the_force_field(parity_molecules, parity_energies, place):
    record = parity_energies[place]
    topology, force_field = parity_molecules.topologies[record["smiles"]], parity_molecules.force_field
    coords = numpy.array(record["coords"])
    energy, gradient = Surface(topology, force_field).evaluate(flatten(coords))
    assert energy.numpy() == pytest.approx(compute_energy(topology, force_field, torch.from_numpy(coords)).numpy())
    forces = compute_forces(topology, force_field, torch.from_numpy(coords))
    assert gradient.reshape(coords.shape).numpy() == pytest.approx(-forces.numpy(), abs=1e-9)


def test_the_stiffness_of_bonds_without_strain_is_the_hessian(parity_molecules, parity_energies):
    record = parity_energies[22]
    topology, potentials = (
        parity_molecules.topologies[record["smiles"]],
        parity_molecules.force_field.potentials_by_type,
    )
    coords = torch.tensor(record["coords"], dtype=torch.float64)[:1]
    map_ = topology.get_valence_map("Bonds")
    lengths = (coords[0, map_.particle_idxs[:, 0]] - coords[0, map_.particle_idxs[:, 1]]).norm(dim=-1)
    table = potentials["Bonds"].parameters.clone()
    rows, idxs = map_.parameter_idxs.unique(return_inverse=True)
    column = potentials["Bonds"].parameter_cols.index("length")
    own = torch.stack([table[row] for row in rows])[idxs].clone()  # a parameter for each bond, at its length
    own[:, column] = lengths
    bonds = type(potentials["Bonds"])(**{**vars(potentials["Bonds"]), "parameters": own})
    maps = {"Bonds": type(map_)(map_.particle_idxs, torch.arange(len(own)))}
    relaxed = type(topology)(**{**vars(topology), "parameters": maps})
    field = TensorForceField((bonds,))

    def energy(x):
        return compute_energy(relaxed, field, x.reshape(1, -1, 3))[0]

    expected = torch.autograd.functional.hessian(energy, coords.reshape(-1))
    found = Surface(relaxed, field).compute_stiffness(coords.reshape(1, -1))[0]
    assert found.numpy() == pytest.approx(expected.numpy(), abs=CURVATURE * float(expected.abs().max()))


def test_the_stiffness_has_no_negative_eigenvalue_and_leaves_rigid_motions_alone(parity_molecules, parity_energies):
    record = parity_energies[47]
    surface = Surface(parity_molecules.topologies[record["smiles"]], parity_molecules.force_field)
    x = flatten(numpy.array(record["coords"]))
    stiffness = surface.compute_stiffness(x)
    values = torch.linalg.eigvalsh(stiffness)
    assert float(values.min()) > -1e-8 * float(values.max())
    shift = torch.tensor([1.0, -2.0, 0.5]).double().repeat(surface.n_atoms)
    assert float((stiffness @ shift).abs().max()) < 1e-8 * float(values.max())
