"""Names of runs say what differs."""

import json

import pytest

from common.runs.names import flatten_settings, label_runs, name_run, propose_names, read_first_settings

FIRST = {
    "trained": {"Bonds": {"k": {"scale": 0.01, "lower": 0.0, "upper": None, "prior": 100.0}}},
    "method": "adam",
    "learning_rate": 0.01,
    "n_epochs": 1000,
    "prior_strength": 0.0,
    "source_weights": {},
    "split_seed": 0,
    "data": "outputs/data-clustered",
}


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "adam"),
        ({"method": "lbfgs"}, "lbfgs"),
        ({"learning_rate": 0.1}, "adam-learning-rate-0.1"),
        ({"method": "exact", "prior_strength": "validation"}, "exact-prior-strength-validation"),
        ({"split_seed": 7}, "adam-split-seed-7"),
        ({"data": "outputs/data-filtered"}, "adam-data-data-filtered"),
        ({"trained": {"Bonds": {"k": {**FIRST["trained"]["Bonds"]["k"], "prior": 9.0}}}}, "adam-Bonds-k-prior-9"),
        (
            {"learning_rate": 1e-5, "n_epochs": 5, "prior_strength": 1.0, "split_seed": 7},
            "adam-learning-rate-1e-05-n-epochs-5-prior-strength-1-and-1-more",
        ),
    ],
)
def test_a_name_says_what_differs_from_the_first_run(changes, name):
    settings = FIRST | changes
    assert name_run(settings["method"], settings, FIRST, ("method", "trained")) == name


def test_a_setting_that_the_first_run_did_not_know_is_no_difference():
    assert name_run("adam", FIRST | {"new": 1}, FIRST) == "adam"
    assert name_run("adam", FIRST, {}) == "adam"


def test_a_nested_setting_is_named_in_full_unless_it_is_implied():
    now = FIRST | {"source_weights": {"gen2-opt": 2.0}}
    before = FIRST | {"source_weights": {"gen2-opt": 1.0}}
    assert name_run("adam", now, before) == "adam-source-weights-gen2-opt-2"


def test_proposed_names_are_tried_in_turn():
    names = propose_names("adam")
    assert len(set(names)) == len(names) > 9
    assert all(name.startswith(names[0]) for name in names)


def test_the_first_settings_are_those_of_the_oldest_run(tmp_path):
    assert read_first_settings(tmp_path / "nowhere") == {}
    for name in ("2026-02-01-000000-adam", "2026-01-01-000000-adam"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({"name": name}))
    assert read_first_settings(tmp_path) == {"name": "2026-01-01-000000-adam"}
    (tmp_path / "2026-01-01-000000-adam" / "config.json").write_text("{")
    assert read_first_settings(tmp_path) == {}


def test_labels_leave_out_the_start_where_they_can():
    names = ["2026-01-01-000000-adam", "2026-01-02-000000-exact", "renamed"]
    assert label_runs(names) == ["adam", "exact", "renamed"]
    assert label_runs([names[0], "2026-01-02-000000-adam"]) == [names[0], "2026-01-02-000000-adam"]


def test_settings_are_plain_values_with_paths():
    settings = {
        "a": 1,
        "b": None,
        "c": {"d": [1], "e": {"f": True}},
        "versions": {"python": "3"},
        "contents": {"data": "0"},
        "g": {},
    }
    assert flatten_settings(settings) == {"a": 1, "b": "None", "c/d": "[1]", "c/e/f": True, "g": "{}"}
