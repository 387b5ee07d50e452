"""The exact fit: it is the optimum, it respects limits and priors, and its error bars are right."""

import dataclasses
import math
import pathlib

import numpy
import pytest
import torch

from common.fitting.exact_fit import fit_exact, fit_valence, search_all, try_prior_strengths
from common.fitting.objective import build_objective
from common.fitting.optimizers import describe_end, iterate_adam
from common.fitting.priors import build_prior
from common.fitting.quadratic_program import ValenceProblem, solve_valence
from common.fitting.uncertainty import compute_uncertainty
from common.forcefields.parameter_file import save_parameters
from common.forcefields.trainable import Column, build_trainable
from common.sufficient_statistics.accumulation import compute_statistics
from common.sufficient_statistics.quadratic import QuadraticForm
from common.sufficient_statistics.settings import PassSettings
from tests.helpers import change_parameters, make_entries, simulate_entries, write_dataset

VALENCE = {
    "Bonds": {"k": Column(scale=0.01, lower=0.0, prior=100.0), "length": Column(lower=0.0, prior=0.05)},
    "Angles": {"k": Column(scale=0.01, lower=0.0, prior=50.0), "angle": Column(lower=0.0, upper=math.pi, prior=0.1)},
    "ProperTorsions": {"k": Column(prior=1.0)},
    "ImproperTorsions": {"k": Column(prior=2.0)},
}
WITH_VDW = VALENCE | {
    "vdW": {"epsilon": Column(scale=10.0, lower=0.0, prior=0.05), "sigma": Column(lower=0.5, upper=6.0, prior=0.1)}
}

OPTIMALITY = 1e-6
"""Relative violation of the optimality conditions, as promised; found: 1e-13."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """A fit on made-up data."""

    molecules: object
    truth: object
    statistics: object
    columns: dict

    def build(self, strength=0.0, centre=None, columns=None):
        columns = columns or self.columns
        trainable = build_trainable(self.molecules.force_field, columns)
        objective = build_objective(self.statistics, "train")
        centre = centre or self.molecules.force_field
        prior = build_prior(trainable, columns, self.statistics.linearization, self.statistics.columns, centre)
        return dataclasses.replace(objective, prior=prior, prior_strength=strength), trainable


def make_problem(
    folder: pathlib.Path, molecules, energies, columns, sigmas=(0.5, 3.0), start=None, n_confs=8
) -> Problem:
    """Data of a force field that differs from the starting one in all columns, with noise."""
    types = tuple(columns)
    truth = change_parameters(molecules.force_field, types, seed=7)
    entries = simulate_entries(molecules, truth, make_entries(energies, n_confs), *sigmas)
    write_dataset(folder / "data" / "source", entries)
    if start is not None:
        molecules = dataclasses.replace(molecules, force_field=start)
    save_parameters(folder / "parameters.pt", molecules)
    # parameters that no training molecule has are wanted here
    settings = PassSettings(
        validation_fraction=0.15, test_fraction=0.0, keep_exercised=False, with_vdw="vdW" in columns
    )
    statistics = compute_statistics(folder / "data", folder / "parameters.pt", folder / "statistics", settings, 1)
    return Problem(molecules, truth, statistics, columns)


@pytest.fixture(scope="module")
def valence(tmp_path_factory, parity_molecules, parity_energies) -> Problem:
    return make_problem(tmp_path_factory.mktemp("valence"), parity_molecules, parity_energies, VALENCE)


@pytest.fixture(scope="module")
def with_vdw(tmp_path_factory, parity_molecules, parity_energies) -> Problem:
    return make_problem(tmp_path_factory.mktemp("vdw"), parity_molecules, parity_energies[:60], WITH_VDW)


def test_no_other_method_gets_below_the_optimum(valence):
    objective, trainable = valence.build()
    exact = fit_exact(objective, trainable, VALENCE)
    assert exact.optimality < OPTIMALITY
    start = trainable.to_values(valence.molecules.force_field)
    *_, last = iterate_adam(objective, trainable, start, 0.01, 3000)
    adam = objective.compute_loss(trainable.to_force_field(last.values)).item()
    assert exact.loss <= adam
    assert adam < objective.compute_loss(valence.molecules.force_field).item()
    lbfgs = search_all(objective, trainable, valence.molecules.force_field, 2000)
    assert exact.loss <= lbfgs.loss * (1.0 + 1e-12)


def test_the_truth_is_found_without_noise(tmp_path, parity_molecules, parity_energies):
    """Where the data determine a parameter it comes back; along flat directions the loss is zero all the same."""
    problem = make_problem(tmp_path, parity_molecules, parity_energies, VALENCE, sigmas=(0.0, 0.0))
    objective, trainable = problem.build()
    exact = fit_exact(objective, trainable, VALENCE)
    assert exact.loss < 1e-12 * objective.compute_loss(problem.molecules.force_field).item()
    initial = problem.molecules.force_field.potentials_by_type["Bonds"].parameters
    found, true = (field.potentials_by_type["Bonds"].parameters for field in (exact.force_field, problem.truth))
    used = problem.statistics.exercise["Bonds"][:, 1] >= 24
    assert used.sum() > 10
    assert (found - true)[used].abs().max() < 1e-3 * (initial - true)[used].abs().max()


@pytest.mark.parametrize("strength", [1e-4, 1.0])
def test_other_starting_values_give_the_same_force_field(tmp_path, parity_molecules, parity_energies, strength):
    """The centre of the prior is part of the problem; the starting values are not."""
    centre = parity_molecules.force_field
    fitted = []
    for name, start in (("one", centre), ("other", change_parameters(centre, VALENCE, seed=3, width=0.5))):
        problem = make_problem(tmp_path / name, parity_molecules, parity_energies, VALENCE, start=start)
        objective, trainable = problem.build(strength, centre=centre)
        exact = fit_exact(objective, trainable, VALENCE)
        used = {t: counts[:, 1] > 0 for t, counts in problem.statistics.exercise.items()}
        fitted.append(exact.force_field)
        assert exact.optimality < OPTIMALITY
    for type_ in VALENCE:
        one, other = (field.potentials_by_type[type_].parameters[used[type_]] for field in fitted)
        assert (one - other).abs().max() < 1e-6 * one.abs().max(), type_


def test_limits_hold_and_are_optimal(valence):
    """Tight limits are reached by many parameters; the conditions hold, and no feasible point nearby is better."""
    bonds = {"k": Column(lower=600.0, upper=800.0), "length": Column(lower=1.3, upper=1.4)}
    columns = VALENCE | {"Bonds": bonds, "ProperTorsions": {"k": Column(lower=0.0, upper=1.0)}}
    objective, trainable = valence.build(columns=columns)
    exact = fit_exact(objective, trainable, columns)
    assert exact.optimality < OPTIMALITY
    values = trainable.to_values(exact.force_field)
    at_limit = (values == trainable.lower) | (values == trainable.upper)
    assert at_limit.sum() > 20
    lbfgs = search_all(objective, trainable, exact.force_field, 500)
    assert exact.loss <= lbfgs.loss * (1.0 + 1e-9)


def test_a_vanishing_force_constant_keeps_its_minimum():
    """Data that ask for a negative force constant get zero, and the minimum stays where it was: no division by it."""
    matrix = torch.tensor([[1.0, 0.2, -9.0], [0.2, 1.0, 0.5], [-9.0, 0.5, 100.0]], dtype=torch.float64)
    form = QuadraticForm(matrix)
    limits = numpy.array([[-1.0, 0.0], [-0.3, 1.0], [-0.2, -1.0]])  # k = 5 + δ_0 >= 0, -0.2 k <= b <= 0.3 k
    problem = ValenceProblem(numpy.arange(2), limits, numpy.array([5.0, 1.5, 1.0]))
    solution = solve_valence(form, problem)
    assert solution.delta.tolist() == pytest.approx([-5.0, 0.0], abs=1e-9)
    assert solution.residual < OPTIMALITY


def test_parameters_that_no_data_touch_stay(valence):
    objective, trainable = valence.build()
    fitted = fit_exact(objective, trainable, VALENCE).force_field
    for type_ in VALENCE:
        untouched = valence.statistics.exercise[type_][:, 1] == 0
        tables = [f.potentials_by_type[type_].parameters[untouched] for f in (fitted, valence.molecules.force_field)]
        assert torch.equal(*tables)


def test_a_stronger_prior_draws_nearer_to_its_centre(valence):
    start = valence.molecules.force_field
    distances, losses = [], []
    for strength in (0.0, 1e-4, 1e-2, 1.0, 1e2, 1e6):
        objective, trainable = valence.build(strength)
        fitted = fit_exact(objective, trainable, VALENCE).force_field
        distances.append(objective.prior.evaluate(objective.compute_delta(fitted), fitted).item())
        losses.append(dataclasses.replace(objective, prior_strength=0.0).compute_loss(fitted).item())
    assert distances == sorted(distances, reverse=True)
    assert losses == sorted(losses)
    assert losses[-1] == pytest.approx(objective.compute_loss(start).item(), rel=1e-3)


def test_validation_chooses_a_strength_between_the_extremes(valence):
    objective, trainable = valence.build()
    validation = build_objective(valence.statistics, "validation")
    choices = try_prior_strengths(objective, validation, trainable, VALENCE)
    best = min(choices, key=lambda choice: choice.loss_validation)
    assert best.loss_validation < validation.compute_loss(valence.molecules.force_field).item()
    assert best.loss_validation <= choices[0].loss_validation
    assert best.loss_validation < choices[-1].loss_validation


def test_vdw_is_fitted_together_with_the_valence_terms(with_vdw):
    """Solving for the valence terms at each step, and searching for everything at once, end at the same optimum."""
    objective, trainable = with_vdw.build(strength=0.01)
    exact = fit_exact(objective, trainable, WITH_VDW)
    valence_only = fit_valence(objective, trainable, WITH_VDW, with_vdw.molecules.force_field)
    assert exact.has_converged
    assert exact.optimality < OPTIMALITY
    assert "converged" in exact.message
    assert exact.loss < valence_only.loss
    lbfgs = search_all(objective, trainable, with_vdw.molecules.force_field, 2000)
    assert lbfgs.has_converged
    assert lbfgs.loss == pytest.approx(exact.loss, rel=1e-9)


def test_a_search_that_ends_early_says_so(with_vdw):
    objective, trainable = with_vdw.build(strength=0.01)
    minimum = search_all(objective, trainable, with_vdw.molecules.force_field, 3)
    assert not minimum.has_converged
    assert "NOT converge" in describe_end(minimum)


def compute_coverage(problem, columns):
    """Of the true values that the data determine, the share within two standard errors, and how many there are."""
    objective, trainable = problem.build(columns=columns)
    fitted = fit_exact(objective, trainable, columns).force_field
    widths = numpy.array([columns[type_][name].prior for type_, _, name in trainable.names])
    uncertainty = compute_uncertainty(problem.statistics, objective, trainable, fitted, widths, {})
    found, true = ((trainable.to_values(f) / trainable.scales).numpy() for f in (fitted, problem.truth))
    use = uncertainty.is_determined & ~uncertainty.is_at_limit
    deviation = numpy.abs(found - true)[use] / uncertainty.standard_error[use]
    return (deviation < 2.0).mean(), use.sum(), uncertainty


def test_error_bars_cover_the_truth(valence):
    coverage, n_values, uncertainty = compute_coverage(valence, VALENCE)
    assert n_values > 150
    assert 0.90 <= coverage <= 0.98
    assert uncertainty.sigma_energy == pytest.approx(0.5, rel=0.15)
    assert uncertainty.sigma_forces == pytest.approx(3.0, rel=0.05)


def test_error_bars_with_vdw_cover_the_truth(with_vdw):
    coverage, n_values, _ = compute_coverage(with_vdw, WITH_VDW)
    assert n_values > 150
    assert 0.88 <= coverage <= 0.99  # fewer molecules, more parameters: a wider margin for chance


def test_what_the_data_do_not_say_is_flagged(valence):
    objective, trainable = valence.build()
    fitted = fit_exact(objective, trainable, VALENCE).force_field
    widths = numpy.array([VALENCE[type_][name].prior for type_, _, name in trainable.names])
    uncertainty = compute_uncertainty(valence.statistics, objective, trainable, fitted, widths, {})
    exercise = [valence.statistics.exercise[type_][row, 1].item() for type_, row, _ in trainable.names]
    untouched = numpy.array(exercise) == 0
    assert untouched.any()
    assert not uncertainty.is_determined[untouched].any()
    assert numpy.isinf(uncertainty.standard_error[untouched]).all()
    assert (uncertainty.standard_error[uncertainty.is_determined] <= widths[uncertainty.is_determined]).all()


def test_correlated_parameters_name_each_other(valence):
    """Two terms of one torsion that the data hardly tell apart."""
    objective, trainable = valence.build()
    fitted = fit_exact(objective, trainable, VALENCE).force_field
    widths = numpy.array([VALENCE[type_][name].prior for type_, _, name in trainable.names])
    uncertainty = compute_uncertainty(valence.statistics, objective, trainable, fitted, widths, {})
    strong = numpy.flatnonzero(uncertainty.partner >= 0)
    assert len(strong) > 0
    assert (numpy.abs(uncertainty.correlation[strong]) >= 0.9).all()
    assert (numpy.abs(uncertainty.correlation) <= 1.0 + 1e-9).all()
