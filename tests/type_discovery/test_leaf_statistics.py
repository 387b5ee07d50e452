"""The sums at the grain of leaves against those of the pass."""

import numpy
import pytest
import torch

from common.data.splits import assign_folds
from common.data.weighting import ConformerSelection, weigh_conformers
from common.forcefields.energy import compute_energy, compute_forces
from common.type_discovery.leaf_statistics import LossSettings, compute_leaf_statistics
from common.type_discovery.leaves import find_leaves
from tests.helpers import change_parameters, make_entries, write_dataset

EXACT = 1e-9
"""Relative, of sums of squares."""


def test_the_loss_of_any_leaf_parameters_is_that_of_brute_force(parity_molecules, parity_energies, tmp_path):
    entries = make_entries(parity_energies[:10], n_confs=4)
    write_dataset(tmp_path / "one", entries[:6])
    write_dataset(tmp_path / "two", entries[6:])
    settings = LossSettings(0.7, {"two": 3.0}, ConformerSelection(boltzmann_temperature=3000.0))
    folds = assign_folds([entry.smiles for entry in entries], 2, 0)
    leaves = find_leaves(parity_molecules, folds)
    statistics = compute_leaf_statistics(tmp_path, leaves.molecules, folds, 2, settings)
    other = change_parameters(leaves.molecules.force_field, ("Bonds", "Angles", "ProperTorsions"), seed=5)
    linearization = statistics.linearization
    delta = linearization.compute(other) - linearization.compute(leaves.molecules.force_field)
    vector = numpy.append(delta.numpy(), -1.0)
    for fold in range(2):
        expected, weight = 0.0, 0.0
        for i, entry in enumerate(entries):
            if folds[entry.smiles] == fold:
                own = 3.0 if i >= 6 else 1.0
                expected += own * compute_loss(leaves.molecules.topologies[entry.smiles], other, entry, settings)
                weight += own
        assert statistics.weights[fold] == (weight, weight)
        assert weight * (vector @ statistics.average([fold]) @ vector) == pytest.approx(expected, rel=EXACT)


def compute_loss(topology, force_field, entry, settings) -> float:
    entry, weights = weigh_conformers(entry, settings.conformers)
    coords, w = torch.from_numpy(entry.coords), torch.from_numpy(weights)
    residual = compute_energy(topology, force_field, coords) - torch.from_numpy(entry.energy)
    residual = residual - (w * residual).sum()
    forces = (compute_forces(topology, force_field, coords) - torch.from_numpy(entry.forces)).pow(2).mean(dim=(1, 2))
    return float((w * residual**2).sum() + settings.force_weight * (w * forces).sum())


def test_molecules_are_known_by_their_leaves(parity_molecules, parity_energies, tmp_path):
    entries = make_entries(parity_energies[:4], n_confs=2)
    write_dataset(tmp_path / "one", entries)
    folds = {entry.smiles: i % 2 for i, entry in enumerate(entries)}
    leaves = find_leaves(parity_molecules, folds)
    statistics = compute_leaf_statistics(tmp_path, leaves.molecules, folds, 2, LossSettings())
    assert statistics.molecules.shape[0] == len(entries)
    n_columns = [int(row.sum()) for row in statistics.molecules.toarray()]
    bonds = statistics.linearization.starts["Bonds"]
    assert all(n > 0 for n in n_columns)
    assert statistics.molecules[:, [bonds]].sum() >= 1
