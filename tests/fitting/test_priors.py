"""Priors: sums of squares in the parameters themselves, and what they do to a fit."""

import dataclasses

import pytest
import torch

from common.fitting.exact_fit import fit_exact
from tests.fitting.problems import VALENCE, WITH_VDW
from tests.helpers import change_parameters


def sum_squares(objective, trainable, columns, force_field, centre) -> float:
    """Σ ((p - p_c) / width)² over the trained values that the data touch, one by one."""
    total, used = 0.0, set(objective.features.tolist())
    for type_, row, name in trainable.names:
        if type_ == "vdW" or objective.linearization.get_feature(type_, row) in used:
            value, middle = (f.potentials_by_type[type_].column(name)[row].item() for f in (force_field, centre))
            total += ((value - middle) / columns[type_][name].prior) ** 2
    return total


def evaluate(problem, columns, force_field, centre) -> tuple[float, float]:
    """The prior of a force field, and the sum of squares that it stands for."""
    objective, trainable = problem.build(1.0, centre, columns)
    found = objective.evaluate_prior(objective.compute_delta(force_field), force_field).item()
    return found, sum_squares(objective, trainable, columns, force_field, centre)


def test_force_constants_and_vdw_have_exactly_their_sum_of_squares(with_vdw):
    columns = {
        "Bonds": {"k": WITH_VDW["Bonds"]["k"]},
        "ProperTorsions": WITH_VDW["ProperTorsions"],
        "vdW": WITH_VDW["vdW"],
    }
    start = with_vdw.molecules.force_field
    centre = change_parameters(start, ("Bonds", "ProperTorsions", "vdW"), seed=2)
    trial = change_parameters(start, ("Bonds", "ProperTorsions", "vdW"), seed=3)
    found, expected = evaluate(with_vdw, columns, trial, centre)
    assert found == pytest.approx(expected, rel=1e-10)


def test_minima_have_it_to_first_order(valence):
    """q0 - q_c is written with the centre's force constant: exact where k is the centre's, near where k is near."""
    columns = {"Bonds": {"length": VALENCE["Bonds"]["length"]}, "Angles": {"angle": VALENCE["Angles"]["angle"]}}
    start = valence.molecules.force_field
    changed = change_parameters(start, columns, seed=4)
    lengths_only = {}
    for type_, minimum in (("Bonds", "length"), ("Angles", "angle")):
        table = start.potentials_by_type[type_].parameters.clone()
        column = changed.potentials_by_type[type_].parameter_cols.index(minimum)
        table[:, column] = changed.potentials_by_type[type_].parameters[:, column]
        lengths_only[type_] = table
    found, expected = evaluate(valence, columns, start.replace_parameters(lengths_only), start)
    assert found == pytest.approx(expected, rel=1e-10)
    found, expected = evaluate(valence, columns, changed, start)
    assert found == pytest.approx(expected, rel=0.3)  # force constants differ by some 10 %


def test_it_vanishes_at_the_centre_and_nowhere_else(valence):
    centre = change_parameters(valence.molecules.force_field, VALENCE, seed=5)
    objective, _ = valence.build(1.0, centre)
    assert objective.evaluate_prior(objective.compute_delta(centre), centre).item() == pytest.approx(0.0, abs=1e-8)
    start = valence.molecules.force_field
    assert objective.evaluate_prior(objective.compute_delta(start), start).item() > 1.0


def test_a_stronger_prior_draws_nearer_to_its_centre(valence):
    start = valence.molecules.force_field
    distances, losses = [], []
    for strength in (0.0, 1e-4, 1e-2, 1.0, 1e2, 1e6):
        objective, trainable = valence.build(strength)
        fitted = fit_exact(objective, trainable, VALENCE).force_field
        distances.append(objective.with_strengths(1.0).evaluate_prior(objective.compute_delta(fitted), fitted).item())
        losses.append(objective.with_strengths(0.0).compute_loss(fitted).item())
    assert distances == sorted(distances, reverse=True)
    assert losses == sorted(losses)
    assert losses[-1] == pytest.approx(objective.compute_loss(start).item(), rel=1e-3)


def test_a_column_without_a_width_is_free(valence):
    columns = {"Bonds": {"k": dataclasses.replace(VALENCE["Bonds"]["k"], prior=None)}}
    objective, _ = valence.build(1.0, columns=columns)
    assert objective.prior.kinds == ()
    assert not objective.has_prior
    assert torch.equal(objective.combine_forms().matrix, objective.with_strengths(0.0).combine_forms().matrix)


def test_each_kind_has_a_strength_of_its_own(with_vdw):
    objective, _ = with_vdw.build(1.0)
    kinds = objective.prior.kinds
    assert set(kinds) == {(type_, name) for type_, columns in WITH_VDW.items() for name in columns}
    trial = change_parameters(with_vdw.molecules.force_field, WITH_VDW, seed=6)
    delta = objective.compute_delta(trial)
    parts = [objective.with_strengths({kind: 1.0}).evaluate_prior(delta, trial).item() for kind in kinds]
    assert min(parts) > 0.0
    mixed = objective.with_strengths({kind: 2.0**i for i, kind in enumerate(kinds)})
    expected = sum(part * 2.0**i for i, part in enumerate(parts))
    assert mixed.evaluate_prior(delta, trial).item() == pytest.approx(expected, rel=1e-12)
    plain = objective.with_strengths(0.0).compute_loss(trial).item()
    assert mixed.compute_loss(trial).item() == pytest.approx(plain + expected, rel=1e-12)
