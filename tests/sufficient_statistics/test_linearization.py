"""φ: energies and forces are linear in it, and it is smooth in the parameters."""

import pytest
import torch

from common.forcefields.energy import compute_energy, compute_forces, mix_lorentz_berthelot
from common.forcefields.terms import VALENCE_TYPES
from common.sufficient_statistics.interactions import find_vdw_pairs
from common.sufficient_statistics.linearization import MINIMUM_COLUMNS, Linearization
from tests.helpers import change_parameters

EXACT = 1e-10
"""[kcal/mol], [kcal/mol/Angstrom] of energies of some hundred."""


def find_force_field(linearization: Linearization, phi: torch.Tensor):
    """The force field that has this φ: a = k and b = k (q0 - q̄) solved for k and q0."""
    tables = {type_: p.parameters.clone() for type_, p in linearization.reference.potentials_by_type.items()}
    for feature, (type_, row) in enumerate(linearization.find_rows()):
        if feature != linearization.get_feature(type_, row):
            continue  # b, which follows a
        cols = linearization.reference.potentials_by_type[type_].parameter_cols
        tables[type_][row, cols.index("k")] = phi[feature]
        if type_ in MINIMUM_COLUMNS:
            tables[type_][row, cols.index(MINIMUM_COLUMNS[type_])] += phi[feature + 1] / phi[feature]
    return linearization.reference.replace_parameters(tables)


@pytest.mark.parametrize("index", [2, 21, 47])
def test_energies_and_forces_are_linear_in_phi(parity_molecules, parity_energies, index):
    """Half way between two force fields in φ, forces and relative energies are half way between theirs."""
    record = parity_energies[index]
    topology = parity_molecules.topologies[record["smiles"]]
    coords = torch.tensor(record["coords"], dtype=torch.float64)
    linearization = Linearization(parity_molecules.force_field)
    ends = [change_parameters(parity_molecules.force_field, VALENCE_TYPES, seed) for seed in (1, 2)]
    middle = find_force_field(linearization, sum(map(linearization.compute, ends)) / 2.0)
    forces = [compute_forces(topology, force_field, coords) for force_field in (*ends, middle)]
    energies = [compute_energy(topology, force_field, coords) for force_field in (*ends, middle)]
    energies = [energy - energy.mean() for energy in energies]
    for first, second, half in (forces, energies):
        assert (first - second).abs().max() > 0.1
        assert ((first + second) / 2.0 - half).abs().max() < EXACT


def test_lennard_jones_is_linear_in_phi(parity_molecules):
    """4A (σ̄/r)¹² - 4B (σ̄/r)⁶ is the energy of every pair at any distance, whatever ε and σ."""
    force_field = parity_molecules.force_field
    pairs = find_vdw_pairs(parity_molecules.topologies.values(), force_field)
    linearization = Linearization(force_field, pairs)
    changed = change_parameters(force_field, ("vdW",), seed=1)
    a, b = linearization.compute(changed)[linearization.starts["vdW"] :].reshape(-1, 2).T
    potential = changed.potentials_by_type["vdW"]
    (epsilon_1, epsilon_2), (sigma_1, sigma_2) = (potential.column(name)[pairs].T for name in ("epsilon", "sigma"))
    epsilon, sigma = mix_lorentz_berthelot(epsilon_1, sigma_1, epsilon_2, sigma_2)
    for factor in (0.8, 1.0, 1.5, 3.0):
        r = factor * sigma
        ratio = (linearization.compute_pair_sigma() / r) ** 6
        expected = 4.0 * epsilon * ((sigma / r) ** 12 - (sigma / r) ** 6)
        assert torch.allclose(4.0 * (a * ratio**2 - b * ratio), expected, rtol=1e-12, atol=1e-14)


def test_at_the_reference_every_b_is_zero_and_every_a_and_k_the_parameter(parity_molecules):
    force_field = parity_molecules.force_field
    linearization = Linearization(force_field)
    phi = linearization.compute(force_field)
    assert len(phi) == linearization.n_features == len(linearization.find_rows())
    for feature, (type_, row) in enumerate(linearization.find_rows()):
        is_b = feature != linearization.get_feature(type_, row)
        k = force_field.potentials_by_type[type_].column("k")[row]
        assert phi[feature] == (0.0 if is_b else k)


def test_it_is_differentiable(parity_molecules):
    force_field = parity_molecules.force_field
    pairs = find_vdw_pairs(parity_molecules.topologies.values(), force_field)
    linearization = Linearization(force_field, pairs)
    table = force_field.potentials_by_type["vdW"].parameters.clone().requires_grad_()

    def compute(parameters: torch.Tensor) -> torch.Tensor:
        return linearization.compute(force_field.replace_parameters({"vdW": parameters}))[linearization.starts["vdW"] :]

    assert torch.autograd.gradcheck(compute, table, eps=1e-6, atol=1e-6)


def test_a_type_that_the_force_field_lacks_has_no_features(parity_molecules):
    potentials = tuple(p for p in parity_molecules.force_field.potentials if p.type != "ImproperTorsions")
    linearization = Linearization(type(parity_molecules.force_field)(potentials))
    assert linearization.starts["vdW"] == linearization.starts["ImproperTorsions"] == linearization.n_features
    assert len(linearization.compute(linearization.reference)) == linearization.n_features
