"""Splits, filters and values of conditions."""

import numpy
import pytest

from common.data.molecule_database import Database, Molecule
from common.generators.conditions import ConditionSettings
from common.generators.training_data import (
    Filter,
    find_held_out,
    get_values,
    name_molecules,
    parse_filters,
    prepare_conditions,
    select_data,
    split_molecules,
)
from tests.generators.made_up import make_geometry, make_settings

SMILES = ["C", "CC", "CCO", "C#N", "C=O", "CO", "CF", "CN"]
TYPES = (1, 6, 7, 8, 9)


@pytest.fixture(scope="module")
def database():
    """Two geometries of each molecule; the second without its SMILES."""
    molecules = []
    for i, smiles in enumerate(SMILES):
        for seed in (1, 2):
            own = make_geometry(smiles, seed)
            properties = {"gap": numpy.array(10.0 - i + 0.1 * seed), "fp": numpy.array([float(i), 1.0])}
            molecules.append(Molecule(own.numbers, own.coords, properties, smiles if seed == 1 else ""))
    return Database(molecules, {"gap": "eV"}, {})


def test_geometries_of_a_molecule_have_one_name_and_are_in_one_split(database):
    names = name_molecules(database.molecules)
    assert names[::2] == names[1::2]
    splits = split_molecules(names, numpy.zeros(len(names), dtype=bool), 0.5, 0.25, 0)
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 8, "validation": 4, "test": 4}
    assert sorted(numpy.concatenate(list(splits.values()))) == list(range(len(names)))
    for rows in splits.values():
        assert (rows[::2] + 1 == rows[1::2]).all()
    other = split_molecules(names, numpy.zeros(len(names), dtype=bool), 0.5, 0.25, 1)
    assert splits["train"].tolist() != other["train"].tolist()


def test_numbers_of_molecules_may_be_given_and_must_be_there(database):
    names = name_molecules(database.molecules)
    nobody = numpy.zeros(len(names), dtype=bool)
    assert len(split_molecules(names, nobody, 10, 2, 0)["train"]) == 10
    with pytest.raises(ValueError, match=r"16 molecules for training and 2 for validation: .* there are 16"):
        split_molecules(names, nobody, 16, 2, 0)


def test_what_is_held_out_only_tests_with_all_its_geometries(database):
    held_out = find_held_out(database, [[Filter("gap", ">", 10.15)], [Filter("composition", "==", "CH2O")]], TYPES)
    assert numpy.flatnonzero(held_out).tolist() == [1, 8, 9]
    splits = split_molecules(name_molecules(database.molecules), held_out, 0.5, 0.25, 0)
    assert {0, 1, 8, 9} <= set(splits["test"].tolist())


def test_a_group_of_filters_wants_all_of_them(database):
    groups = [[Filter("gap", "<", 9.0), Filter("n_heavy_atoms", "!=", 2.0)]]
    assert numpy.flatnonzero(find_held_out(database, groups, TYPES)).tolist() == [4, 5]
    with pytest.raises(ValueError, match="compositions are the same or not"):
        find_held_out(database, [[Filter("composition", "<", "CH4")]], TYPES)
    with pytest.raises(ValueError, match="no property 'alpha'"):
        find_held_out(database, [[Filter("alpha", "<", 1.0)]], TYPES)


def test_atoms_are_counted_without_being_in_the_database(database):
    assert get_values(database, "n_atoms")[:5].tolist() == [5, 5, 8, 8, 9]
    assert get_values(database, "n_heavy_atoms")[:5].tolist() == [1, 1, 2, 2, 3]


def test_conditions_get_their_values_ranges_and_fits(database):
    wanted = {
        "gap": ConditionSettings(quantity="gap", unit="meV"),
        "relative": ConditionSettings(quantity="gap", relative=True),
        "fp": ConditionSettings(kind="vector", quantity="fp"),
        "composition": ConditionSettings(kind="composition"),
    }
    train = numpy.arange(12)
    prepared = prepare_conditions(database, wanted, TYPES, train)
    assert prepared.values["gap"][0, 0] == pytest.approx(10100.0)
    assert prepared.units == {"gap": "meV", "relative": "eV", "fp": ""}
    assert prepared.ranges["gap"] == pytest.approx((5100.0, 10200.0))
    assert set(prepared.fits) == {"relative"}
    assert abs(prepared.values["relative"][train].mean()) < 1e-9
    assert prepared.values["composition"][0].tolist() == [4, 1, 0, 0, 0]
    settings = make_settings(conditions=prepared.conditions)
    data = select_data(database, prepared, numpy.array([2, 4]), settings)
    assert len(data) == 2
    assert data.values["fp"].tolist() == [[1.0, 1.0], [2.0, 1.0]]


def test_filters_are_read_from_words():
    groups = parse_filters(["composition == C7O2H10", "gap > 9 and n_atoms < 12"])
    assert groups == [
        [Filter("composition", "==", "C7O2H10")],
        [Filter("gap", ">", 9.0), Filter("n_atoms", "<", 12.0)],
    ]


@pytest.mark.parametrize("text", ["gap", "gap = 9", "gap > high", "gap > 9 or gap < 3", ""])
def test_filters_that_cannot_be_read_are_refused(text):
    with pytest.raises(ValueError, match="filter"):
        parse_filters([text])
