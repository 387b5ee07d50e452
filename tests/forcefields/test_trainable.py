"""The vector of trained values: what is in it, scales, limits, and the way back."""

import pytest
import torch

from common.forcefields.trainable import Column, build_trainable

COLUMNS = {
    "Bonds": {"k": Column(scale=0.01, lower=0.0), "length": Column(lower=0.0, upper=1.5)},
    "ProperTorsions": {"k": Column(scale=2.0)},
}


def test_there_and_back(parity_molecules):
    force_field = parity_molecules.force_field
    trainable = build_trainable(force_field, COLUMNS)
    values = trainable.to_values(force_field)
    back = trainable.to_force_field(values)
    for potential in force_field.potentials:
        other = back.potentials_by_type[potential.type].parameters
        if potential.type == "Bonds":
            assert other[:, 1].max() == 1.5  # clamped
            assert torch.equal(other[:, 0], potential.column("k"))
        else:
            assert torch.equal(other, potential.parameters)


def test_scales_multiply_and_limits_follow_them(parity_molecules):
    trainable = build_trainable(parity_molecules.force_field, {"Bonds": {"k": Column(scale=0.01, upper=500.0)}})
    values = trainable.to_values(parity_molecules.force_field)
    k = parity_molecules.force_field.potentials_by_type["Bonds"].column("k")
    assert torch.allclose(values, 0.01 * k.clamp(max=500.0), rtol=1e-15)
    assert (trainable.upper == 5.0).all()


def test_the_way_back_is_differentiable(parity_molecules):
    trainable = build_trainable(parity_molecules.force_field, COLUMNS)
    values = trainable.to_values(parity_molecules.force_field).requires_grad_()
    total = sum(trainable.to_force_field(values).potentials_by_type[t].column("k").sum() for t in COLUMNS)
    (gradient,) = torch.autograd.grad(total, values)
    expected = [0.0 if name == "length" else 100.0 if type_ == "Bonds" else 0.5 for type_, _, name in trainable.names]
    assert gradient.tolist() == pytest.approx(expected)


def test_include_and_exclude_by_smirks(parity_molecules):
    force_field = parity_molecules.force_field
    ids = [key.id for key in force_field.potentials_by_type["ProperTorsions"].parameter_keys]
    several = next(smirks for smirks in ids if ids.count(smirks) > 1)
    only = build_trainable(force_field, {"ProperTorsions": {"k": Column()}}, include={"ProperTorsions": [several]})
    assert {ids[row] for _, row, _ in only.names} == {several}
    assert len(only.names) == ids.count(several)
    others = build_trainable(force_field, {"ProperTorsions": {"k": Column()}}, exclude={"ProperTorsions": [several]})
    assert len(others.names) == len(ids) - ids.count(several)


@pytest.mark.parametrize(
    ("columns", "include", "message"),
    [
        ({"Bonds": {"strength": Column()}}, {}, "Bonds has no column 'strength'"),
        ({"Bonds": {"k": Column()}}, {"Bonds": ["[#92:1]-[#92:2]"]}, r"no parameter \[#92:1\]-\[#92:2\]"),
        ({"Charges": {"k": Column()}}, {}, "nothing to train"),
    ],
)
def test_mistakes_are_named(parity_molecules, columns, include, message):
    with pytest.raises(ValueError, match=message):
        build_trainable(parity_molecules.force_field, columns, include)
