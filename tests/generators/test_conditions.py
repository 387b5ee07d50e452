"""Conditions: ranges, relative energies, and targets as they are written."""

import numpy
import pytest

from common.generators.conditions import (
    Condition,
    ConditionSettings,
    check_conditions,
    count_types,
    find_range,
    find_strange_targets,
    fit_to_composition,
    parse_composition,
    parse_targets,
    resolve_condition,
)

TYPES = (1, 6, 7, 8, 9)
GAP = Condition("gap", quantity="gap", low=2.0, high=10.0, spacing=2.0)
COMPOSITION = Condition("composition", kind="composition")
VECTOR = Condition("fingerprint", kind="vector", quantity="fp", n_inputs=3)


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("C2H6O", [6, 2, 0, 1, 0]),
        ("CH4", [4, 1, 0, 0, 0]),
        ("CHF3", [1, 1, 0, 0, 3]),
        ("C7O2H10", [10, 7, 0, 2, 0]),
        ("10,7,0,2,0", [10, 7, 0, 2, 0]),
        ("C:7,O:2,H:10", [10, 7, 0, 2, 0]),
    ],
)
def test_compositions_are_read_in_the_order_of_the_types(text, counts):
    assert parse_composition(text, TYPES).tolist() == counts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("C2H6X", "'X' in it"),
        ("C2H-6", "'-6' in it"),
        ("2CH", "'2CH' in it"),
        ("", "it is empty"),
        ("C2Cl", "Cl is none of the types H, C, N, O, F"),
        ("1,2", "2 numbers for 5 types"),
        ("0,0,0,0,0", "no atoms"),
        ("C:2,H", "cannot be read|'H'|H"),
    ],
)
def test_compositions_that_cannot_be_are_refused(text, message):
    if text == "C:2,H":  # pairs and a symbol: read as C2H
        assert parse_composition(text, TYPES).tolist() == [1, 2, 0, 0, 0]
        return
    with pytest.raises(ValueError, match=message):
        parse_composition(text, TYPES)


def test_targets_are_all_combinations():
    targets = parse_targets(["gap=3:9:4", "composition=CH4"], [GAP, COMPOSITION], TYPES)
    assert [float(one["gap"][0]) for one in targets] == [3.0, 5.0, 7.0, 9.0]
    assert all(one["composition"].tolist() == [4, 1, 0, 0, 0] for one in targets)
    assert parse_targets([], [GAP], TYPES) == [{}]
    targets = parse_targets(["gap=2/3:9:2", "composition=CH4/C2H6O"], [GAP, COMPOSITION], TYPES)
    found = [(float(one["gap"][0]), one["composition"].tolist()) for one in targets]
    ch4, c2h6o = [4, 1, 0, 0, 0], [6, 2, 0, 1, 0]
    assert found == [(2.0, ch4), (2.0, c2h6o), (3.0, ch4), (3.0, c2h6o), (9.0, ch4), (9.0, c2h6o)]
    assert parse_targets(["fingerprint=1,0,2.5"], [VECTOR], TYPES)[0]["fingerprint"].tolist() == [1.0, 0.0, 2.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gop=4", "it knows gap, composition, fingerprint"),
        ("gap", "expected NAME=VALUE"),
        ("gap=high", "cannot be read"),
        ("gap=nan", "cannot be read"),
        ("gap=3:9", "cannot be read"),
        ("gap=3:9:0", "cannot be read"),
        ("gap=3/", "cannot be read"),
        ("fingerprint=1,2", "expected 3 finite numbers"),
    ],
)
def test_targets_that_make_no_sense_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_targets([text], [GAP, COMPOSITION, VECTOR], TYPES)


def test_a_condition_is_named_once():
    with pytest.raises(ValueError, match="gap is there already"):
        parse_targets(["gap=3", "gap=4"], [GAP], TYPES)


def test_targets_beyond_the_training_data_are_found():
    targets = parse_targets(["gap=1:9:3"], [GAP], TYPES)
    assert find_strange_targets(targets, {"gap": (2.0, 8.0)}) == [("gap", 1.0, 2.0, 8.0), ("gap", 9.0, 2.0, 8.0)]


def test_a_relative_property_is_what_the_composition_does_not_explain():
    """Energies that are sums over atoms are explained whole; what is added comes back, by atom."""
    random = numpy.random.default_rng(0)
    compositions = random.integers(1, 9, (200, 5))
    energies = compositions @ numpy.array([-13.6, -1030.0, -1485.0, -2042.0, -2713.0])  # [eV] of atoms
    fit = fit_to_composition(energies, compositions)
    assert numpy.abs(fit.compute_relative(energies, compositions)).max() < 1e-9
    extra = random.normal(0.0, 0.1, 200) * compositions.sum(axis=1)
    relative = fit.compute_relative(energies + extra, compositions)
    numpy.testing.assert_allclose(relative, extra / compositions.sum(axis=1), atol=1e-9)


def test_a_fit_to_molecules_of_one_composition_is_their_mean():
    compositions = numpy.tile([6, 2, 0, 1, 0], (4, 1))
    values = numpy.array([1.0, 2.0, 3.0, 4.0])
    relative = fit_to_composition(values, compositions).compute_relative(values, compositions)
    numpy.testing.assert_allclose(relative, (values - 2.5) / 9.0, atol=1e-12)


def test_types_are_counted():
    assert count_types([numpy.array([1, 6, 1]), numpy.array([9])], TYPES).tolist() == [[2, 1, 0, 0, 0], [0, 0, 0, 0, 1]]


def test_ranges_come_from_the_data_where_none_is_given():
    values = numpy.linspace(0.0, 10.0, 1001)
    assert find_range(values) == pytest.approx((0.05, 9.95))
    condition = resolve_condition("gap", ConditionSettings(quantity="gap"), values[:, None])
    assert (condition.low, condition.high, condition.n_gaussians) == (pytest.approx(0.05), pytest.approx(9.95), 5)
    given = resolve_condition(
        "gap", ConditionSettings(quantity="gap", range=(2.0, 11.0), spacing=2.25), values[:, None]
    )
    assert (given.low, given.high, given.spacing, given.n_gaussians) == (2.0, 11.0, 2.25, 5)
    with pytest.raises(ValueError, match="condition gap: all values are 3"):
        resolve_condition("gap", ConditionSettings(quantity="gap"), numpy.full((9, 1), 3.0))
    with pytest.raises(ValueError, match="fp is a vector of 4"):
        resolve_condition("f", ConditionSettings(quantity="fp"), numpy.zeros((9, 4)))
    assert resolve_condition("f", ConditionSettings(kind="vector", quantity="fp"), numpy.zeros((9, 4))).n_inputs == 4


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("a gap", ConditionSettings(quantity="gap"), "a name is one word"),
        ("gap", ConditionSettings(), "says no quantity"),
        ("c", ConditionSettings(kind="composition", quantity="gap"), "a composition has no quantity"),
        ("gap", ConditionSettings(quantity="gap", range=(3.0, 3.0)), "is no range"),
        ("gap", ConditionSettings(quantity="gap", spacing=0.0), "spacing must be positive"),
        ("gap", ConditionSettings(quantity="gap", stepwise=True), "only a composition"),
        ("gap", ConditionSettings(quantity="gap", n_layers=0), "must be 1 or more"),
    ],
)
def test_tables_of_conditions_are_looked_over(name, settings, message):
    with pytest.raises(ValueError, match=message):
        check_conditions({name: settings})
