"""The records of 005 as what JSON and tables can hold."""

import dataclasses
import json

import pytest

from common.analysis.parameter_changes import Change
from common.analysis.records import (
    CandidateErrors,
    GroupErrors,
    MoleculeErrors,
    ParameterErrors,
    Profile,
    Tables,
    WorstMolecule,
    find_group,
    to_plain,
)

ERRORS = CandidateErrors(1.0, (0.5, 1.5), 2.0, None, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)
GROUP = GroupErrors("all", "test", 3, 2, 9, 1, 9, 81, {"initial": ERRORS, "fitted": ERRORS})
MOLECULE = MoleculeErrors("CO", "test", "one two", 2, 9, {"initial": 1.0, "fitted": 0.5}, {"initial": 2.0, "fitted": 1})
CHANGE = Change("Bonds", "[*:1]~[*:2]", "b1", None, None, "length", "Å", 1.5, 1.25)


def test_a_group_has_a_row_for_each_candidate_and_intervals_two_columns():
    first, second = GROUP.list_rows()
    assert list(first)[:9] == [
        *("source", "split", "n_entries", "n_molecules", "n_conformers", "n_single_conformer_entries"),
        *("n_energies", "n_force_components", "candidate"),
    ]
    assert (first["candidate"], second["candidate"]) == ("initial", "fitted")
    assert (first["energy_rmse_interval_low"], first["energy_rmse_interval_high"]) == (0.5, 1.5)
    assert (first["force_rmse_interval_low"], first["force_rmse_interval_high"]) == (None, None)
    assert "candidates" not in first


def test_a_molecule_has_one_plain_value_for_each_candidate():
    assert MOLECULE.to_plain() == {
        "molecule": "CO",
        "split": "test",
        "sources": "one two",
        "n_entries": 2,
        "n_conformers": 9,
        "energy_rmse initial": 1.0,
        "energy_rmse fitted": 0.5,
        "force_rmse initial": 2.0,
        "force_rmse fitted": 1,
    }


def test_records_become_what_json_can_hold():
    profile = Profile("dihedral", [0.0, 1.0], [0.0, 2.0], {"fitted": [0.1, 2.1]}, (0, 1, 2, 3))
    worst = WorstMolecule(
        **vars(MOLECULE), worst_in="energy", multiple=3.0, smiles="x", source="one", entry="", profile=profile
    )
    plain = to_plain({"groups": [GROUP], "worst": worst, "none": dataclasses.replace(worst, profile=None)})
    assert json.loads(json.dumps(plain)) == plain
    assert plain["groups"][0]["candidates"]["fitted"]["energy_rmse_interval"] == [0.5, 1.5]
    assert plain["worst"]["profile"]["scanned"] == [0, 1, 2, 3]
    assert plain["worst"]["energy_rmse fitted"] == 0.5
    assert plain["none"]["profile"] is None


def test_changes_say_what_follows_from_them():
    plain = to_plain(CHANGE)
    assert plain["change"] == pytest.approx(-0.25)
    assert plain["label"] == "b1"
    assert plain["initial"] == 1.5


def test_every_table_has_its_rows():
    errors = ParameterErrors("Bonds", "b1", "[*:1]~[*:2]", 7, 1.0, None, 2.0, None, None)
    rows = Tables([GROUP], [MOLECULE], [CHANGE], [errors]).list_rows()
    assert {name: len(own) for name, own in rows.items()} == {
        "errors": 2,
        "molecules": 1,
        "parameter_changes": 1,
        "parameter_errors": 1,
    }
    assert all(isinstance(row, dict) for own in rows.values() for row in own)


def test_groups_are_found_by_split():
    part = dataclasses.replace(GROUP, source="one")
    assert find_group([part, GROUP], "test") is GROUP
