"""Rows of a force field with finer types: children find their parents, and values of the coarser one carry over."""

import pytest
import torch

from common.forcefields.finer_rows import extend_values, find_parent_rows
from common.type_discovery.refinement import Split, refine
from tests.type_discovery.test_discovery import TRUTH, molecules

__all__ = ["molecules"]


@pytest.mark.parametrize("truth", TRUTH, ids=lambda truth: truth[0])
def test_children_find_the_rows_of_their_parents(molecules, truth):
    type_, parent, child, _ = truth
    finer = refine(molecules, [Split(type_, parent, child, "", 0.0, None)])
    keys = finer.force_field.potentials_by_type[type_].parameter_keys
    rows = find_parent_rows(finer.force_field, {(type_, child): parent})
    assert {keys[row].id for _, row in rows} == {child}
    for (_, row), parent_row in rows.items():
        assert keys[parent_row].id == parent
        assert keys[parent_row].mult == keys[row].mult
    assert find_parent_rows(finer.force_field, {}) == {}


def test_values_of_a_coarser_force_field_stay(molecules):
    type_, parent, child, _ = TRUTH[0]
    finer = refine(molecules, [Split(type_, parent, child, "", 0.0, None)])
    coarse = molecules.force_field.potentials_by_type[type_]
    changed = molecules.force_field.replace_parameters({type_: coarse.parameters * 1.5})
    found = extend_values(finer.force_field, changed).potentials_by_type[type_]
    rows = {key.id: row for row, key in enumerate(found.parameter_keys)}
    old = {key.id: row for row, key in enumerate(coarse.parameter_keys)}
    assert torch.equal(found.parameters[rows[parent]], 1.5 * coarse.parameters[old[parent]])
    assert torch.equal(found.parameters[rows[child]], coarse.parameters[old[parent]])
