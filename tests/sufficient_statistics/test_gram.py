"""The loss from the statistics equals the loss from energies and forces, conformer by conformer."""

import numpy
import pytest
import torch

from common.fitting.objective import QuadraticForm
from common.forcefields.energy import compute_energy, compute_forces
from common.forcefields.terms import VALENCE_TYPES
from common.sufficient_statistics.entry_grams import WeightedEntry
from common.sufficient_statistics.gram import compute_entry_grams
from common.sufficient_statistics.interactions import build_interactions, find_vdw_pairs
from common.sufficient_statistics.linearization import Linearization
from tests.helpers import make_entries

TOLERANCE = 1e-9
"""Relative, as promised; found: 1e-15."""

TRAINED = {
    "Bonds": ("k", "length"),
    "Angles": ("k", "angle"),
    "ProperTorsions": ("k",),
    "ImproperTorsions": ("k",),
    "vdW": ("epsilon", "sigma"),
}


def draw_parameters(force_field, types, seed):
    """The force field with random trained values that require a gradient, and their tables."""
    generator = torch.Generator().manual_seed(seed)
    tables = {}
    for type_ in types:
        potential = force_field.potentials_by_type[type_]
        table = potential.parameters.clone()
        for name in TRAINED[type_]:
            column = table[:, potential.parameter_cols.index(name)]
            width = 0.02 if name in ("length", "angle", "sigma") else 0.3
            column *= 1.0 + width * torch.randn(len(table), generator=generator, dtype=torch.float64)
            if name == "k" and type_ in ("ProperTorsions", "ImproperTorsions"):
                column += torch.randn(len(table), generator=generator, dtype=torch.float64)
            if name == "epsilon":
                column.abs_()
        tables[type_] = table.requires_grad_()
    return force_field.replace_parameters(tables), tables


def compute_brute_force(molecules, force_field, entries, weights):
    """The two parts of the loss, summed over the entries, from energies and forces."""
    loss_energy = loss_forces = 0.0
    for entry, weight in zip(entries, weights, strict=True):
        topology, weight = molecules.topologies[entry.smiles], torch.from_numpy(weight)
        coords = torch.from_numpy(entry.coords)
        residual = compute_energy(topology, force_field, coords) - torch.from_numpy(entry.energy)
        residual = residual - (weight * residual).sum()
        loss_energy = loss_energy + (weight * residual**2).sum()
        residual = compute_forces(topology, force_field, coords) - torch.from_numpy(entry.forces)
        loss_forces = loss_forces + (weight * residual.pow(2).mean((1, 2))).sum()
    return loss_energy, loss_forces


def accumulate(molecules, linearization, entries, weights, chunk_bytes):
    """The sums of the entries' Gram matrices over all features."""
    smiles = sorted({entry.smiles for entry in entries})
    interactions = build_interactions([molecules.topologies[one] for one in smiles], linearization)
    n = linearization.n_features
    energy, forces = (torch.zeros((n + 1, n + 1), dtype=torch.float64) for _ in range(2))
    sources = [WeightedEntry(e, smiles.index(e.smiles), w) for e, w in zip(entries, weights, strict=True)]
    phi = linearization.compute(molecules.force_field)
    for grams in compute_entry_grams(sources, interactions, phi, chunk_bytes=chunk_bytes):
        place = torch.tensor([*grams.features, n])
        energy[place[:, None], place] += grams.energy
        forces[place[:, None], place] += grams.forces
    return QuadraticForm(energy), QuadraticForm(forces)


@pytest.mark.parametrize("types", [VALENCE_TYPES, (*VALENCE_TYPES, "vdW")], ids=["valence", "vdW"])
@pytest.mark.parametrize("chunk_bytes", [16_000_000, 40_000], ids=["whole", "entries cut"])
def test_loss_and_gradient_equal_brute_force(parity_molecules, parity_energies, types, chunk_bytes):
    entries = make_entries(parity_energies, n_confs=7)
    random = numpy.random.default_rng(1)
    weights = [weight / weight.sum() for weight in random.random((len(entries), 7))]
    force_field = parity_molecules.force_field
    pairs = find_vdw_pairs(parity_molecules.topologies.values(), force_field)
    linearization = Linearization(force_field, pairs) if "vdW" in types else Linearization(force_field)
    forms = accumulate(parity_molecules, linearization, entries, weights, chunk_bytes)
    for seed in range(2):
        trial, tables = draw_parameters(force_field, types, seed)
        delta = linearization.compute(trial) - linearization.compute(force_field)
        expected = compute_brute_force(parity_molecules, trial, entries, weights)
        for form, loss in zip(forms, expected, strict=True):
            assert form.evaluate(delta).item() == pytest.approx(loss.item(), rel=TOLERANCE)
            found = torch.autograd.grad(form.evaluate(delta), list(tables.values()), retain_graph=True)
            wanted = torch.autograd.grad(loss, list(tables.values()), retain_graph=True)
            for type_, one, other in zip(tables, found, wanted, strict=True):
                for name in TRAINED[type_]:
                    column = force_field.potentials_by_type[type_].parameter_cols.index(name)
                    difference = (one[:, column] - other[:, column]).norm()
                    assert difference <= TOLERANCE * other[:, column].norm(), (type_, name)


def test_the_reference_itself(parity_molecules, parity_energies):
    """At δ = 0 the loss is that of the starting force field, to rounding."""
    entries = make_entries(parity_energies[:20], n_confs=4)
    weights = [numpy.full(4, 0.25)] * len(entries)
    linearization = Linearization(parity_molecules.force_field)
    forms = accumulate(parity_molecules, linearization, entries, weights, 16_000_000)
    expected = compute_brute_force(parity_molecules, parity_molecules.force_field, entries, weights)
    for form, loss in zip(forms, expected, strict=True):
        assert form.constant.item() == pytest.approx(loss.item(), rel=1e-12)


def test_a_single_conformer_says_nothing_of_energies(parity_molecules, parity_energies):
    entries = make_entries(parity_energies[:5], n_confs=1)
    linearization = Linearization(parity_molecules.force_field)
    energy, forces = accumulate(parity_molecules, linearization, entries, [numpy.ones(1)] * 5, 16_000_000)
    assert torch.equal(energy.matrix, torch.zeros_like(energy.matrix))
    assert forces.constant > 0.0


def test_a_straight_angle_gives_finite_statistics(parity_molecules, parity_energies):
    """Acetonitrile with its C-C-N at exactly 180 degrees: q0 is 180 degrees, the force there zero."""
    record = next(r for r in parity_energies if "#[N" in r["smiles"] and len(r["coords"][0]) == 6)
    entry = make_entries([record], n_confs=2)[0]
    carbons_and_nitrogen = [(-1.46, 0.0, 0.0), (0.0, 0.0, 0.0), (1.16, 0.0, 0.0)]
    entry.coords[:, :3] = carbons_and_nitrogen
    linearization = Linearization(parity_molecules.force_field)
    for form in accumulate(parity_molecules, linearization, [entry], [numpy.full(2, 0.5)], 16_000_000):
        assert torch.isfinite(form.matrix).all()
