"""Standard errors of energy differences: they cover the truth as often as they say."""

import dataclasses

import numpy
import pytest
import torch

from common.fitting.exact_fit import fit_valence
from common.forcefields.covariance import compute_standard_errors
from common.forcefields.energy import compute_energy
from common.model_selection.parameter_covariance import estimate_covariance
from common.model_selection.setup import Plan, set_up
from tests.fitting.problems import VALENCE
from tests.helpers import make_entries

COVERAGE = (0.90, 0.98)
"""Of two standard errors; 0.954 for Gaussian errors whose covariance is known."""


@pytest.fixture(scope="module")
def fit(valence):
    setup = set_up(Plan(VALENCE, criterion="cross-validation"), valence.molecules, valence.statistics)
    fitted = fit_valence(setup.objectives["train"], setup.trainable, VALENCE, setup.start).force_field
    return setup, fitted


def test_two_standard_errors_cover_what_they_should(valence, fit, parity_energies):
    setup, fitted = fit
    covariance = estimate_covariance(setup, fitted)
    trained = {one for one, split in setup.statistics.splits.items() if split == "train"}
    multiples = []
    for entry in make_entries([one for one in parity_energies if one["smiles"] in trained], n_confs=6, seed=11):
        topology, coords = valence.molecules.topologies[entry.smiles], torch.from_numpy(entry.coords)
        error = compute_energy(topology, fitted, coords) - compute_energy(topology, valence.truth, coords)
        standard_errors = compute_standard_errors(topology, fitted, covariance, coords)
        is_known = standard_errors > 0.0  # a molecule whose energy no trained value touches is certain
        multiples.append((error - error.mean()).numpy()[is_known] / standard_errors[is_known])
    covered = float((numpy.abs(numpy.concatenate(multiples)) < 2.0).mean())
    assert COVERAGE[0] <= covered <= COVERAGE[1]


def test_the_residual_is_that_of_the_training_energies(valence, fit):
    setup, fitted = fit
    covariance = estimate_covariance(setup, fitted)
    loss, _ = setup.objectives["train"].compute_parts(fitted)
    assert covariance.residual == pytest.approx((loss.item() * 8 / 7) ** 0.5, rel=1e-9)  # of 8 conformers 7 are free


def test_errors_that_recur_in_a_molecule_make_parameters_less_certain(fit):
    """The folds tell: with slopes ten times as far apart the variances are a hundred times as large."""
    setup, fitted = fit
    plain = estimate_covariance(setup, fitted)
    objective = setup.objectives["train"]
    delta = objective.compute_delta(fitted).detach()
    folds = {}
    for (source, number), fold in setup.statistics.folds.items():
        count = fold.n_energies
        total = objective.energy.curvature @ delta - objective.energy.slope
        own = fold.energy[:-1, :-1] @ delta - fold.energy[:-1, -1] - count * total
        energy = fold.energy.clone()
        energy[:-1, -1] -= 9.0 * own
        energy[-1, :-1] -= 9.0 * own
        total = objective.forces.curvature @ delta - objective.forces.slope
        own = fold.forces[:-1, :-1] @ delta - fold.forces[:-1, -1] - fold.n_forces * total
        forces = fold.forces.clone()
        forces[:-1, -1] -= 9.0 * own
        forces[-1, :-1] -= 9.0 * own
        folds[source, number] = dataclasses.replace(fold, energy=energy, forces=forces)
    spread = dataclasses.replace(setup, statistics=dataclasses.replace(setup.statistics, folds=folds))
    ratio = estimate_covariance(spread, fitted).matrix.diagonal() / plain.matrix.diagonal()
    assert ratio[plain.matrix.diagonal() > 0.0].numpy() == pytest.approx(100.0, rel=0.05)


def test_what_a_limit_holds_is_certain(valence, fit):
    setup, fitted = fit
    trainable = setup.trainable
    values = trainable.to_values(fitted)
    values[0] = trainable.lower[0]
    covariance = estimate_covariance(setup, trainable.to_force_field(values))
    assert not covariance.matrix[0].any()
