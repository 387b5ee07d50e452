"""Values that no molecule has are named, and nothing else."""

import math

import numpy
import pytest

from common.forcefields.trainable import Column, build_trainable
from common.model_selection.physical_checks import check_values
from common.sufficient_statistics.visited_values import VisitedValues

COLUMNS = {
    "Bonds": {"k": Column(lower=0.0), "length": Column(lower=0.0)},
    "Angles": {"k": Column(lower=0.0), "angle": Column(upper=math.pi)},
}


@pytest.fixture
def check(parity_molecules):
    """Checks the force field with one value changed; the data visit what is near the start."""
    force_field = parity_molecules.force_field
    trainable = build_trainable(force_field, COLUMNS)
    visited = {}
    for type_, name, margin in (("Bonds", "length", 0.1), ("Angles", "angle", 0.3)):
        minima = force_field.potentials_by_type[type_].column(name).numpy()
        visited[type_] = VisitedValues(minima - margin, minima + margin, minima)

    def change_and_check(type_: str, name: str, value: float, row: int = 2) -> list[str]:
        potential = force_field.potentials_by_type[type_]
        table = potential.parameters.clone()
        table[row, potential.parameter_cols.index(name)] = value
        return check_values(trainable, force_field.replace_parameters({type_: table}), {}, visited)

    change_and_check.smirks = {
        type_: force_field.potentials_by_type[type_].parameter_keys[2].id for type_ in ("Bonds", "Angles")
    }
    change_and_check.minima = {type_: float(values.mean[2]) for type_, values in visited.items()}
    return change_and_check


def test_sensible_values_say_nothing(check):
    assert check("Bonds", "length", check.minima["Bonds"] + 0.05) == []


def test_a_bond_of_no_length_is_named(check):
    lines = check("Bonds", "length", 0.0)
    assert [line.split(":")[0] for line in lines] == [
        "1 fitted values stand at a limit",
        "1 fitted values are no lengths or angles of molecules",
        "1 fitted values are minima far from what the data visit",
    ]
    assert all(check.smirks["Bonds"] in line and "0.00 Å" in line for line in lines)


def test_an_angle_far_from_the_data_is_named(check):
    value = check.minima["Angles"] + 0.6
    [line] = check("Angles", "angle", value)
    assert "far from what the data visit" in line
    assert f"{math.degrees(value):.0f}°" in line


def test_a_straight_angle_is_none_where_nothing_is_linear(check):
    assert any("no lengths or angles" in line for line in check("Angles", "angle", math.pi))


def test_a_vanishing_force_constant_is_named(check):
    assert any("force constants near 0" in line for line in check("Angles", "k", 0.5))


def test_what_no_molecule_has_is_passed_over(parity_molecules):
    trainable = build_trainable(parity_molecules.force_field, COLUMNS)
    potentials = parity_molecules.force_field.potentials_by_type
    nothing = {
        type_: VisitedValues(*numpy.full((3, len(potentials[type_].parameters)), numpy.nan)) for type_ in COLUMNS
    }
    potential = parity_molecules.force_field.potentials_by_type["Bonds"]
    broken = parity_molecules.force_field.replace_parameters({"Bonds": 0.0 * potential.parameters})
    assert check_values(trainable, broken, {}, nothing) == []
