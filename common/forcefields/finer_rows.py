"""From a force field to one with finer types: which rows are children of which, and values that carry over."""

import collections.abc

from common.forcefields.tensors import TensorForceField


def find_parent_rows(
    force_field: TensorForceField, parents: collections.abc.Mapping[tuple[str, str], str]
) -> dict[tuple[str, int], int]:
    """By type and row of a child the row of its parent, term by term.

    Args:
        force_field: with the finer types.
        parents: by section and SMIRKS of a child the SMIRKS of its parent.
    """
    rows = {}
    for potential in force_field.potentials:
        place = {(key.id, key.mult): row for row, key in enumerate(potential.parameter_keys)}
        for row, key in enumerate(potential.parameter_keys):
            parent = parents.get((potential.type, key.id))
            if parent is not None:
                rows[potential.type, row] = place[parent, key.mult]
    return rows


def extend_values(force_field: TensorForceField, values: TensorForceField) -> TensorForceField:
    """The finer force field with the values of a coarser one for the rows that this has; children keep theirs."""
    tables = {}
    coarse = values.potentials_by_type
    for potential in force_field.potentials:
        other = coarse.get(potential.type)
        if other is None or potential.type == "Electrostatics":
            continue
        place = {(key.id, key.mult): row for row, key in enumerate(other.parameter_keys)}
        table = potential.parameters.clone()
        for row, key in enumerate(potential.parameter_keys):
            if (key.id, key.mult) in place:
                table[row] = other.parameters[place[key.id, key.mult]]
        tables[potential.type] = table
    return force_field.replace_parameters(tables)
