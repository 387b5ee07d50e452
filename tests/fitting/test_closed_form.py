"""The loss by hand is the loss by autograd, its gradient is that gradient, whatever is trained."""

import pytest
import torch

from common.fitting.closed_form import build_closed_form, compute_loss_with_gradient, has_closed_form
from tests.fitting.problems import VALENCE
from tests.helpers import change_parameters

TOLERANCE = 1e-12
"""Relative; found: 1e-15."""

COLUMNS = {
    "all": VALENCE,
    "minima alone": {type_: {name: VALENCE[type_][name]} for type_, name in (("Bonds", "length"), ("Angles", "angle"))},
    "force constants alone": {type_: {"k": columns["k"]} for type_, columns in VALENCE.items()},
    "impropers": {"ImproperTorsions": VALENCE["ImproperTorsions"]},
}


@pytest.mark.parametrize("columns", COLUMNS.values(), ids=COLUMNS)
@pytest.mark.parametrize("strength", [0.0, 0.3])
def test_loss_and_gradient_are_those_of_autograd(valence, columns, strength):
    centre = change_parameters(valence.molecules.force_field, tuple(columns), seed=3)
    objective, trainable = valence.build(strength, centre, columns)
    form = build_closed_form(objective, trainable)
    for seed in range(3):
        force_field = change_parameters(valence.molecules.force_field, tuple(columns), seed)
        values = trainable.to_values(force_field).requires_grad_()
        expected = objective.compute_loss(trainable.to_force_field(values))
        (slope,) = torch.autograd.grad(expected, values)
        loss, gradient = compute_loss_with_gradient(form, objective, values.detach())
        assert loss == pytest.approx(expected.item(), rel=TOLERANCE)
        assert (gradient - slope).norm() <= TOLERANCE * slope.norm()


def test_values_that_have_not_moved_keep_every_bit(valence):
    objective, trainable = valence.build()
    start = trainable.to_values(valence.molecules.force_field)
    loss, _ = compute_loss_with_gradient(build_closed_form(objective, trainable), objective, start)
    assert loss == objective.energy.constant + objective.force_weight * objective.forces.constant


def test_with_vdw_there_is_none(with_vdw):
    objective, trainable = with_vdw.build()
    assert not has_closed_form(objective, trainable)
    with pytest.raises(ValueError, match="no closed form"):
        build_closed_form(objective, trainable)
