"""The records: values are found by name, and a force field with other values is another force field."""

import dataclasses

import pytest
import torch


def test_columns_and_attributes_are_found_by_name(parity_molecules):
    vdw = parity_molecules.force_field.potentials_by_type["vdW"]
    assert torch.equal(vdw.column("sigma"), vdw.parameters[:, vdw.parameter_cols.index("sigma")])
    assert vdw.attribute("scale_14").item() == 0.5
    with pytest.raises(ValueError, match="not in tuple"):
        vdw.column("rmin_half")


def test_other_values_leave_the_first_force_field_as_it_is(parity_molecules):
    first = parity_molecules.force_field
    before = first.potentials_by_type["Bonds"].parameters.clone()
    other = first.replace_parameters({"Bonds": before + 1.0})
    assert torch.equal(first.potentials_by_type["Bonds"].parameters, before)
    assert torch.equal(other.potentials_by_type["Bonds"].parameters, before + 1.0)
    assert other.potentials_by_type["Angles"] is first.potentials_by_type["Angles"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        other.potentials = ()
