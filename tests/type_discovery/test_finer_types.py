"""Splits in a fit: kept by fingerprint, held to their parents by a prior that is the search's own, read back alike."""

import dataclasses

import numpy
import pytest
import torch

from common.data.splits import SplitSettings
from common.fitting.objective import build_objective
from common.fitting.priors import build_prior, is_of_children
from common.fitting.quadratic_program import build_valence_problem, solve_valence
from common.forcefields.finer_rows import find_parent_rows
from common.forcefields.parameter_file import load_parameters, save_parameters
from common.forcefields.trainable import Column, build_trainable
from common.smirnoff.offxml import parse_force_field
from common.smirnoff.parameterize import parameterize
from common.sufficient_statistics.accumulation import compute_statistics
from common.sufficient_statistics.settings import PassMachine, PassSettings
from common.type_discovery import finer_types as module
from common.type_discovery.finer_types import SearchSettings, find_finer_types
from common.type_discovery.leaf_statistics import LossSettings
from common.type_discovery.refinement import Split, refine
from tests.type_discovery.test_discovery import TRUTH, molecules, write_data

__all__ = ["molecules"]

COLUMNS = {
    "Bonds": {"k": Column(prior=100.0), "length": Column(prior=0.05)},
    "Angles": {"k": Column(prior=50.0), "angle": Column(prior=0.1)},
    "ProperTorsions": {"k": Column(prior=1.0)},
}
"""Without limits, as the search has none."""

STRENGTH = 1e-3
N_FOLDS = 3
EXACT = 1e-9
"""Relative."""


@pytest.fixture(scope="module")
def made(molecules, tmp_path_factory):
    """Data of a finer typing, the fit without it, and what the search found."""
    folder = tmp_path_factory.mktemp("finer")
    truth = refine(molecules, [Split(type_, parent, child, "", 0.0, None) for type_, parent, child, _ in TRUTH])
    tables = {potential.type: potential.parameters.clone() for potential in truth.force_field.potentials}
    for type_, _, child, changes in TRUTH:
        potential = truth.force_field.potentials_by_type[type_]
        [row] = [i for i, key in enumerate(potential.parameter_keys) if key.id == child]
        for name, change in changes.items():
            tables[type_][row, potential.parameter_cols.index(name)] += change
    truth = dataclasses.replace(truth, force_field=truth.force_field.replace_parameters(tables))
    write_data(folder / "data", molecules, truth)
    save_parameters(folder / "start.pt", molecules)
    start = load_parameters(folder / "start.pt")
    settings = PassSettings(split=SplitSettings(n_folds=N_FOLDS))
    paths = (folder / "data", folder / "start.pt", folder / "cache")
    statistics = compute_statistics(*paths, settings, PassMachine(1))
    trainable = build_trainable(start.force_field, COLUMNS)
    objective = build_objective(statistics, "train")
    prior = build_prior(
        trainable, COLUMNS, statistics.linearization, statistics.features, statistics.linearization.reference
    )
    objective = dataclasses.replace(objective, prior=prior).with_strengths(STRENGTH)

    def search():
        arguments = (paths[0], paths[2], start, statistics, objective, trainable, COLUMNS)
        return find_finer_types(*arguments, LossSettings(), SearchSettings(4, N_FOLDS, 0))

    return folder, statistics, objective, trainable, search(), search


def test_the_result_is_kept(made, monkeypatch):
    *_, found, search = made
    monkeypatch.setattr(module, "_search", None)
    assert search() == found
    assert 1 <= len(found.splits) <= 4
    assert len(found.losses[f"{found.strength:g}"]) == 5


def test_each_split_has_a_molecule_to_show(made):
    _, statistics, *_, found, _ = made
    finer = load_parameters(found.path)
    for split, (smiles, atoms) in zip(found.splits, found.examples, strict=True):
        if smiles:
            assert statistics.splits[smiles] == "train"
            map_ = finer.topologies[smiles].parameters[split.type]
            keys = finer.force_field.potentials_by_type[split.type].parameter_keys
            rows = [
                row
                for particles, row in zip(map_.particle_idxs.tolist(), map_.parameter_idxs.tolist(), strict=True)
                if tuple(particles) == atoms
            ]
            assert split.child in {keys[row].id for row in rows}


def test_a_refit_gains_what_the_search_said(made):
    """The pass over the data with the finer types, its prior and its solve give the search's loss."""
    folder, statistics, objective, trainable, found, _ = made
    finer = load_parameters(found.path)
    settings = PassSettings(split=SplitSettings(n_folds=N_FOLDS), assigned=statistics.splits)
    again = compute_statistics(folder / "data", found.path, folder / "cache", settings, PassMachine(1))
    assert again.splits == statistics.splits
    values = build_trainable(finer.force_field, COLUMNS)
    rows = find_parent_rows(finer.force_field, found.parents)
    assert len(rows) >= len(found.splits)
    prior = build_prior(values, COLUMNS, again.linearization, again.features, finer.force_field, rows)
    strengths = {kind: found.strength if is_of_children(kind) else STRENGTH for kind in prior.kinds}
    refit = dataclasses.replace(build_objective(again, "train"), prior=prior).with_strengths(strengths)
    losses = []
    for one, of in ((objective, trainable), (refit, values)):
        problem = build_valence_problem(of, COLUMNS, one.linearization, one.features)
        losses.append(solve_valence(one.combine_forms(), problem).value)
    assert losses[0] == pytest.approx(found.loss_train, rel=1e-7)  # the search has a vanishing ridge on top
    assert losses[0] - losses[1] == pytest.approx(sum(split.gain for split in found.splits), rel=1e-6)


def test_the_file_read_back_gives_the_same_energies(made, parity_molecules):
    from common.forcefields.energy import compute_energy
    from common.molecules.conformers import embed_conformers
    from common.molecules.mapped_smiles import from_mapped_smiles

    *_, found, _ = made
    finer = load_parameters(found.path)
    smiles = sorted(finer.topologies)[:20]
    read = parameterize(parse_force_field(finer.provenance["offxml"], "finer.offxml"), smiles, 1)
    for one in smiles:
        coords = torch.from_numpy(embed_conformers(from_mapped_smiles(one), 2, seed=0))
        energies = [compute_energy(of.topologies[one], of.force_field, coords) for of in (finer, read)]
        numpy.testing.assert_allclose(*energies, rtol=EXACT)
