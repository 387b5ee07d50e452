"""The exact fit is the optimum: no other method gets below it, and it is found from anywhere."""

import pytest
import torch

from common.fitting.exact_fit import fit_exact, fit_valence, search_all
from common.fitting.optimizers import iterate_adam
from tests.fitting.problems import OPTIMALITY, VALENCE, WITH_VDW, make_problem
from tests.helpers import change_parameters


def test_no_other_method_gets_below_the_optimum(valence):
    objective, trainable = valence.build()
    exact = fit_exact(objective, trainable, VALENCE)
    assert exact.optimality < OPTIMALITY
    start = trainable.to_values(valence.molecules.force_field)
    *_, last = iterate_adam(objective, trainable, start, 0.01, 1000)
    adam = objective.compute_loss(trainable.to_force_field(last.values)).item()
    assert exact.loss <= adam
    assert adam < objective.compute_loss(valence.molecules.force_field).item()
    lbfgs = search_all(objective, trainable, valence.molecules.force_field, 1000)
    assert exact.loss <= lbfgs.loss * (1.0 + 1e-12)


def test_the_truth_is_found_without_noise(tmp_path, parity_molecules, parity_energies):
    """Where the data determine a parameter it comes back; along flat directions the loss is zero all the same."""
    problem = make_problem(tmp_path, parity_molecules, parity_energies, VALENCE, sigmas=(0.0, 0.0))
    objective, trainable = problem.build()
    exact = fit_exact(objective, trainable, VALENCE)
    assert exact.loss < 1e-12 * objective.compute_loss(problem.molecules.force_field).item()
    initial = problem.molecules.force_field.potentials_by_type["Bonds"].parameters
    found, true = (field.potentials_by_type["Bonds"].parameters for field in (exact.force_field, problem.truth))
    used = problem.statistics.exercise["train"]["Bonds"][:, 1] >= 24
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
        used = {t: counts[:, 1] > 0 for t, counts in problem.statistics.exercise["train"].items()}
        fitted.append(exact.force_field)
        assert exact.optimality < OPTIMALITY
    for type_ in VALENCE:
        one, other = (field.potentials_by_type[type_].parameters[used[type_]] for field in fitted)
        assert (one - other).abs().max() < 1e-6 * one.abs().max(), type_


def test_parameters_that_no_data_touch_stay(valence, fitted):
    for type_ in VALENCE:
        untouched = valence.statistics.exercise["train"][type_][:, 1] == 0
        tables = [f.potentials_by_type[type_].parameters[untouched] for f in (fitted, valence.molecules.force_field)]
        assert torch.equal(*tables)


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
