"""What the example that goes once round decides by itself, and its page; make example-loop PRESET=ci runs it whole."""

import json

import numpy
import pytest

from common.data.dataset import Entry, open_dataset, read_entries
from example.loop import choose_rigid, gather, name_flat, write_entries
from example.loop_page import describe_change, tabulate_simulations, write_page
from tests.helpers import ROOT

WATER = "[O:1]([H:2])[H:3]"
BENZENE = "[c:1]1([H:7])[c:2]([H:8])[c:3]([H:9])[c:4]([H:10])[c:5]([H:11])[c:6]1[H:12]"
ETHANE = "[C:1]([C:2]([H:6])([H:7])[H:8])([H:3])([H:4])[H:5]"
METHANE = "[C:1]([H:2])([H:3])([H:4])[H:5]"


def make_entry(smiles: str, n_atoms: int) -> Entry:
    random = numpy.random.default_rng(n_atoms)
    energy = numpy.array([1.0, -1.0])
    return Entry(
        smiles, random.normal(size=(2, n_atoms, 3)), energy, random.normal(size=(2, n_atoms, 3)), 5.0, "here/0"
    )


def test_the_molecule_that_becomes_a_body_is_rigid():
    assert choose_rigid([ETHANE, METHANE, BENZENE]) == BENZENE
    assert choose_rigid([METHANE, ETHANE]) == METHANE


def test_stereochemistry_does_not_make_a_molecule_new():
    first, second = ("[C@:1]([F:2])([Cl:3])([Br:4])[H:5]", "[C@@:1]([F:2])([Cl:3])([Br:4])[H:5]")
    assert name_flat(first) == name_flat(second)


def test_data_sets_are_gathered_as_001_leaves_them(tmp_path):
    write_entries(tmp_path / "one", [make_entry(WATER, 3)])
    write_entries(tmp_path / "two", [make_entry(METHANE, 5), make_entry(WATER, 3)])
    gather(tmp_path / "all", [tmp_path / "one", tmp_path / "two"])
    assert json.loads((tmp_path / "all" / "smiles.json").read_text()) == [WATER, METHANE]
    (entry, _) = read_entries(open_dataset(tmp_path / "all" / "two"))
    numpy.testing.assert_array_equal(entry.coords, make_entry(METHANE, 5).coords)


def test_changes_are_told_with_their_interval():
    assert describe_change({"change": -0.25, "interval": [-0.3, -0.1]}, "forces").startswith("forces")
    assert " to " in describe_change({"change": -0.25, "interval": [-0.3, -0.1]}, "forces")
    assert "nothing to compare" in describe_change({"change": None, "interval": None}, "energy")


def test_only_what_all_simulations_have_is_told():
    metrics = {
        "a": {"Force MAE": 5.0, "Mean mean-angles MAE": 1.0},
        "b": {"Force MAE": 4.0, "Mean mean-angles MAE": 0.5},
        "c": {"Force MAE": 3.0},
    }
    table = tabulate_simulations(metrics)
    assert table.columns == ["force MAE [kcal/mol/Å]"]
    assert [values for _, values in table.rows] == [[5.0], [4.0], [3.0]]


def _errors(force: float) -> dict:
    return {
        "force_rmse": force,
        "force_rmse_interval": [force - 1.0, force + 1.0],
        "energy_rmse": 1.0,
        "energy_rmse_interval": None,
    }


@pytest.fixture
def facts(tmp_path):
    """What the steps leave, made up."""
    change = {"change": -0.5, "interval": [-0.6, -0.4]}
    files = {
        "analysis/metrics.json": {
            "focus": "all",
            "candidates": ["before", "after", "starter"],
            "comparisons": [{"split": "all", "before": "before", "after": "after", "energy": change, "forces": change}],
            "groups": [
                {
                    "source": "all",
                    "split": "all",
                    "n_molecules": 12,
                    "n_conformers": 99,
                    "candidates": {"before": _errors(8.0), "after": _errors(4.0), "starter": _errors(16.0)},
                }
            ],
        },
        "simulations/metrics.json": {name: {"Force MAE": 1.0} for name in ("a", "b", "c")},
        "rollouts/metrics.json": {
            "n_sites": 12,
            "candidates": {"learned": {"parity": {"energy_rmse_kt": 0.2, "energy_spread_kt": 1.5}}},
            "costs": {"crossovers": {"learned": 18.0}},
        },
    }
    for name, contents in files.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(json.dumps(contents))
    rate = {"generated": {"value": 0.8}, "data": {"value": 0.99}}
    return {
        **{name: str(tmp_path / name) for name in ("analysis", "simulations", "rollouts")},
        "few": [WATER],
        "new": [BENZENE],
        "held_out": [METHANE],
        "rates": {"valid": rate},
        "campaign": {"rounds": 3, "data": {"kept": 40}},
        "seconds": {"known": 1.0},
    }


def test_the_page_says_what_came_out(tmp_path, facts):
    verdict = write_page(tmp_path, facts, [("known", "a fit")])
    assert "8.00 to 4.00" in verdict
    text = (tmp_path / "report.html").read_text()
    assert verdict in text
    assert 'href="analysis/report.html"' in text
    assert "dearer than the sum over its own" in text
    assert "http" not in text.replace("http://www.w3.org", "").replace("http://www.rdkit.org", "")


def test_make_knows_the_loop():
    assert "-m example.loop" in (ROOT / "Makefile").read_text()
