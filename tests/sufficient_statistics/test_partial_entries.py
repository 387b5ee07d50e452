"""Entries with energies or forces alone: losses and gradients are those of brute force over those that have them."""

import dataclasses

import numpy
import pytest
import torch

from common.data.dataset import Entry
from common.fitting.objective import build_objective
from common.forcefields.energy import compute_energy, compute_forces
from common.forcefields.parameter_file import save_parameters
from common.forcefields.trainable import Column, build_trainable
from common.model_selection.cross_validation import build_folds
from common.sufficient_statistics.accumulation import compute_statistics
from common.sufficient_statistics.settings import PassMachine, PassSettings
from tests.helpers import change_parameters, make_entries, write_dataset

EXACT = 1e-9
"""Relative."""

FORCE_WEIGHT = 0.7
COLUMNS = {
    "Bonds": {"k": Column(), "length": Column()},
    "Angles": {"k": Column(), "angle": Column()},
    "ProperTorsions": {"k": Column()},
}


def drop_parts(entries: list[Entry]) -> list[Entry]:
    """Every third entry has energies alone, every third forces alone."""
    parts = (lambda e: {}, lambda e: {"forces": numpy.nan * e.forces}, lambda e: {"energy": numpy.nan * e.energy})
    return [dataclasses.replace(entry, **parts[i % 3](entry)) for i, entry in enumerate(entries)]


@pytest.fixture(scope="module")
def made(tmp_path_factory, parity_molecules, parity_energies):
    folder = tmp_path_factory.mktemp("mixed")
    entries = drop_parts(make_entries(parity_energies[:40], n_confs=4))
    write_dataset(folder / "data" / "one", entries[::2])
    write_dataset(folder / "data" / "two", entries[1::2])
    save_parameters(folder / "parameters.pt", parity_molecules)
    statistics = compute_statistics(
        folder / "data", folder / "parameters.pt", folder / "cache", PassSettings(), PassMachine(1)
    )
    return entries, statistics


def compute_loss(molecules, force_field, entries: list[Entry], weights: list[float]) -> torch.Tensor:
    """The loss conformer by conformer; an entry's weight counts in both means."""
    energy, forces = [], []
    for entry, weight in zip(entries, weights, strict=True):
        topology, coords = molecules.topologies[entry.smiles], torch.from_numpy(entry.coords)
        if entry.has_energies:
            residual = compute_energy(topology, force_field, coords) - torch.from_numpy(entry.energy)
            energy.append((weight, (residual - residual.mean()).pow(2).mean()))
        if entry.has_forces:
            residual = compute_forces(topology, force_field, coords) - torch.from_numpy(entry.forces)
            forces.append((weight, residual.pow(2).mean()))
    means = [sum(w * one for w, one in part) / sum(w for w, _ in part) for part in (energy, forces)]
    return means[0] + FORCE_WEIGHT * means[1]


@pytest.mark.parametrize("split", ["train", "test"])
def test_loss_and_gradient_equal_brute_force(made, parity_molecules, split):
    entries, statistics = made
    source_weights = {"two": 2.5}
    weights = {entry.smiles: 2.5 if i % 2 else 1.0 for i, entry in enumerate(entries)}
    chosen = [entry for entry in entries if statistics.splits[entry.smiles] == split]
    trainable = build_trainable(parity_molecules.force_field, COLUMNS)
    trial = change_parameters(parity_molecules.force_field, COLUMNS, seed=3)
    objective = build_objective(statistics, split, FORCE_WEIGHT, source_weights)
    results = []
    for compute in (
        objective.compute_loss,
        lambda one: compute_loss(parity_molecules, one, chosen, [weights[e.smiles] for e in chosen]),
    ):
        values = trainable.to_values(trial).requires_grad_()
        loss = compute(trainable.to_force_field(values))
        results.append((loss.item(), *torch.autograd.grad(loss, values)))
    (loss, gradient), (expected, slope) = results
    assert loss == pytest.approx(expected, rel=EXACT)
    assert (gradient - slope).abs().max() <= EXACT * slope.abs().max()


def test_folds_add_up_to_the_mean_over_those_that_have_each(made):
    _, statistics = made
    folds = build_folds(statistics, FORCE_WEIGHT)
    assert sum(fold.weight for fold in folds) == pytest.approx(1.0)
    groups = [group for (_, split), group in statistics.groups.items() if split != "test"]
    energy = sum(group.energy for group in groups) / sum(group.n_energies for group in groups)
    forces = sum(group.forces for group in groups) / sum(group.n_forces for group in groups)
    found = sum(fold.weight * fold.left_out.matrix for fold in folds)
    torch.testing.assert_close(found, energy + FORCE_WEIGHT * forces, rtol=EXACT, atol=1e-7)


def test_counts_say_what_there_is(made):
    entries, statistics = made
    groups = statistics.groups.values()
    assert sum(group.n_entries for group in groups) == len(entries)
    assert sum(group.n_energies for group in groups) == sum(entry.has_energies for entry in entries)
    assert sum(group.n_forces for group in groups) == sum(entry.has_forces for entry in entries) < len(entries)
