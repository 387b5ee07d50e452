"""Standard errors of energies: derivatives against finite differences, the product against samples, the file."""

import dataclasses

import numpy
import pytest
import torch

from common.forcefields.covariance import (
    ParameterCovariance,
    compute_energy_jacobian,
    compute_standard_errors,
    load_covariance,
    save_covariance,
)
from common.forcefields.energy import compute_energy
from common.forcefields.trainable import Column, build_trainable
from tests.helpers import make_entries

COLUMNS = {
    "Bonds": {"k": Column(), "length": Column()},
    "Angles": {"k": Column(), "angle": Column()},
    "ProperTorsions": {"k": Column()},
}
STEP = 1e-5
FINITE_DIFFERENCES = 1e-6
"""Relative: of central differences in double precision."""


@pytest.fixture(scope="module")
def molecule(parity_molecules, parity_energies):
    [entry] = make_entries(parity_energies[40:41], n_confs=5)
    trainable = build_trainable(parity_molecules.force_field, COLUMNS)
    return parity_molecules.topologies[entry.smiles], trainable, torch.from_numpy(entry.coords)


def test_derivatives_are_finite_differences(molecule, parity_molecules):
    topology, trainable, coords = molecule
    names = tuple(trainable.names)
    found = compute_energy_jacobian(topology, parity_molecules.force_field, names, coords)
    values = trainable.to_values(parity_molecules.force_field)
    touched = found.abs().sum(0).nonzero()[:, 0].tolist()
    assert {names[i][2] for i in touched} == {"k", "length", "angle"}
    for i in touched:
        energies = []
        for sign in (1.0, -1.0):
            moved = values.clone()
            moved[i] += sign * STEP
            energies.append(compute_energy(topology, trainable.to_force_field(moved), coords))
        expected = (energies[0] - energies[1]) / (2.0 * STEP)
        scale = float(expected.abs().max()) + 1.0
        torch.testing.assert_close(found[:, i], expected, rtol=FINITE_DIFFERENCES, atol=FINITE_DIFFERENCES * scale)


def test_standard_errors_are_the_spread_of_sampled_force_fields(molecule, parity_molecules):
    topology, trainable, coords = molecule
    generator = torch.Generator().manual_seed(0)
    n = len(trainable.names)
    root = 1e-3 * torch.randn((n, 4), generator=generator, dtype=torch.float64)
    covariance = ParameterCovariance(tuple(trainable.names), root @ root.T, 0.0)
    found = compute_standard_errors(topology, parity_molecules.force_field, covariance, coords)
    values = trainable.to_values(parity_molecules.force_field)
    samples = []
    for _ in range(2000):
        moved = values + root @ torch.randn(4, generator=generator, dtype=torch.float64)
        energies = compute_energy(topology, trainable.to_force_field(moved), coords)
        samples.append((energies - energies.mean()).numpy())
    numpy.testing.assert_allclose(found, numpy.std(samples, axis=0), rtol=0.06)  # 2,000 samples: 1.6 %, and curvature


def test_what_is_written_is_read(molecule, tmp_path):
    _, trainable, _ = molecule
    names = tuple(trainable.names)
    written = ParameterCovariance(names, torch.eye(len(names), dtype=torch.float64), 0.7)
    save_covariance(tmp_path / "covariance.pt", written)
    read = load_covariance(tmp_path / "covariance.pt")
    assert dataclasses.replace(read, matrix=written.matrix) == written
    assert torch.equal(read.matrix, written.matrix)


def test_without_trained_parameters_nothing_is_uncertain(molecule, parity_molecules):
    topology, _, coords = molecule
    nothing = ParameterCovariance((), torch.zeros((0, 0), dtype=torch.float64), 0.0)
    assert not compute_standard_errors(topology, parity_molecules.force_field, nothing, coords).any()
