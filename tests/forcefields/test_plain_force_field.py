"""A force field in plain values: the keys of its rows come back, whatever they are made of."""

import dataclasses

import pytest
import torch

from common.forcefields.plain_force_field import make_plain_force_field, read_plain_force_field
from common.forcefields.tensors import ParameterKey, TensorForceField


def test_keys_of_all_kinds_come_back(parity_molecules):
    potential = parity_molecules.force_field.potentials_by_type["ProperTorsions"]
    keys = (ParameterKey("a", 0), ParameterKey("b"), ParameterKey("a", 2), ParameterKey("", 0))
    other = dataclasses.replace(potential, parameters=potential.parameters[:4], parameter_keys=keys)
    plain = make_plain_force_field(TensorForceField((other,)))
    assert plain["potentials"][0]["parameter_keys"]["ids"] == ["a", "b", ""]
    [again] = read_plain_force_field(plain).potentials
    assert again.parameter_keys == keys
    assert again.parameter_cols == potential.parameter_cols
    assert again.attributes is None


def test_a_force_field_of_nothing_comes_back():
    assert read_plain_force_field(make_plain_force_field(TensorForceField(()))) == TensorForceField(())


def test_columns_may_stand_in_another_order(parity_molecules):
    """As they may in what comes from smee: values are found by the names of their columns."""
    potential = parity_molecules.force_field.potentials_by_type["Bonds"]
    swapped = dataclasses.replace(
        potential,
        parameters=potential.parameters.flip(1).contiguous(),
        parameter_cols=potential.parameter_cols[::-1],
        parameter_units=potential.parameter_units[::-1],
    )
    [again] = read_plain_force_field(make_plain_force_field(TensorForceField((swapped,)))).potentials
    assert torch.equal(again.column("length"), potential.column("length"))


def test_views_and_leaves_of_a_graph_are_written_as_numbers(parity_molecules):
    bonds = parity_molecules.force_field.potentials_by_type["Bonds"]
    leaf = torch.cat([bonds.parameters, bonds.parameters]).T.contiguous().requires_grad_()
    view = dataclasses.replace(bonds, parameters=leaf.T[: len(bonds.parameters)])
    plain = make_plain_force_field(TensorForceField((view,)))
    written = plain["potentials"][0]["parameters"]
    assert not written.requires_grad
    assert written.untyped_storage().nbytes() == written.nbytes
    assert torch.equal(read_plain_force_field(plain).potentials[0].parameters, bonds.parameters)


def test_a_type_that_is_there_twice_is_refused(parity_molecules):
    plain = make_plain_force_field(parity_molecules.force_field)
    plain["potentials"].append(plain["potentials"][0])
    with pytest.raises(ValueError, match="a type of potential is there twice"):
        read_plain_force_field(plain)


def test_nonbonded_terms_have_scales(parity_molecules):
    plain = make_plain_force_field(parity_molecules.force_field)
    plain["potentials"][-1]["attributes"] = None
    with pytest.raises(ValueError, match="Electrostatics: has no attributes"):
        read_plain_force_field(plain)
