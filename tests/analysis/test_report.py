"""The report as HTML: nothing in it comes from elsewhere, and no text is taken for markup."""

import base64
import dataclasses
import re

import pytest

from common.analysis.records import (
    CandidateErrors,
    DataDescription,
    ForceFieldDescription,
    GroupErrors,
    IntervalMethod,
    Results,
    RunDescription,
    WorstMolecule,
)
from common.analysis.report import list_facts, list_settings, render_report
from common.forcefields.evaluation import Difference
from common.reporting.pages import Picture


def make_results(**changes) -> Results:
    """The least that a report needs: one force field on data, without a run."""
    errors = CandidateErrors(
        energy_rmse=1.25,
        energy_rmse_interval=None,
        force_rmse=12.5,
        force_rmse_interval=(11.0, 14.0),
        energy_mae=1.0,
        force_mae=1.0,
        loss_energy=1.0,
        loss_forces=1.0,
        loss_energy_root=1.0,
        loss_forces_root=1.0,
    )
    group = GroupErrors(
        source="all",
        split="all",
        n_entries=3,
        n_molecules=12345,
        n_conformers=7,
        n_single_conformer_entries=1,
        n_energies=7,
        n_force_components=63,
        candidates={"a<b": errors},
    )
    worst = WorstMolecule(
        molecule="C<O>",
        split="all",
        sources="one",
        n_entries=1,
        n_conformers=1,
        energy_rmse={"a<b": 0.0},
        force_rmse={"a<b": 5.0},
        worst_in="forces",
        multiple=3.2,
        smiles="[C:1]",
        source="one",
        entry="",
        profile=None,
    )
    results = Results(
        verdict="a<b & c",
        warnings=["<script>alert(1)</script>"],
        candidates=["a<b"],
        drawn=["a<b"],
        before=None,
        after=None,
        main_candidate="a<b",
        focus="all",
        comparison=None,
        comparisons=[],
        made_worse=[],
        calibration=None,
        groups=[group],
        interval=IntervalMethod(0.95, "bootstrap", 1000, 0, 5),
        left_out={"x": {"[C:1]": "no <pattern>"}},
        n_values_trained=0,
        n_values_changed=0,
        changes={},
        undetermined=[],
        parameter_errors=[],
        worst_molecules=[worst],
        check=Difference(17, 1e-13, 2e-12, 1e-14),
        runs=[],
        data=DataDescription("data", {"one": "0123"}),
        force_fields={"a<b": ForceFieldDescription("f", "0", "m", "e", "today", True)},
        versions={"python": "3.11"},
    )
    return dataclasses.replace(results, **changes)


@pytest.fixture
def text() -> str:
    picture = Picture("one.svg", 'an "image"', b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    pictures = {name: [] for name in ("sources", "relative_energy", "learning", "changes")}
    pictures |= {"parity_energy": [picture], "parity_force": [picture], "profiles": [None], "structures": [picture]}
    return render_report(make_results(), pictures, ["metrics.json"], "a title")


def test_text_is_not_taken_for_markup(text):
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "a&lt;b &amp; c" in text
    assert "C&lt;O&gt;" in text
    assert "no &lt;pattern&gt;" in text
    assert 'alt="an &#34;image&#34;"' in text


def test_nothing_is_loaded_from_elsewhere(text):
    addresses = re.findall(r'(?:src|href)="([^"]*)"', text) + re.findall(r"url\(([^)]*)\)|@import", text)
    assert set(addresses) == {
        "data:,",
        "metrics.json",
        Picture("one.svg", "", b"<svg xmlns='http://www.w3.org/2000/svg'/>").uri,
    }
    assert '<link rel="stylesheet"' not in text


def test_figures_are_shown_as_numbers_to_read(text):
    assert "12.5" in text
    assert "11.0 to 14.0" in text
    assert "12\N{NARROW NO-BREAK SPACE}345" in text
    assert "1 of 3 entries have\n  a single conformer" in text


def test_pictures_are_data():
    uri = Picture("one.png", "", b"\x89PNG").uri
    assert uri.startswith("data:image/png;base64,")
    assert base64.b64decode(uri.partition(",")[2]) == b"\x89PNG"


def test_settings_are_lines():
    config = {
        "trained": {"Bonds": {"k": {"scale": 0.01, "lower": 0.0, "upper": None}, "length": {"scale": 1.0}}},
        "include": {},
        "n_epochs": 20,
        "source_weights": {"gen2-opt": 2.0},
        "energy_ceiling": None,
        "versions": {"python": "3.11"},
    }
    assert list_settings(config) == [
        ("trained Bonds", "k ≥ 0, scale 0.01; length"),
        ("n_epochs", "20"),
        ("source_weights: gen2-opt", "2.0"),
    ]


def test_facts_say_which_prior_was_chosen():
    prior = {
        "criterion": "cross-validation",
        "strengths": {"Bonds.k": 0.1, "Bonds.length": 10.0},
        "value": 128.7094,
        "value_shared": 131.4761,
    }
    run = RunDescription("run", "runs/run", {"prior_strength": None}, {"prior": prior, "seconds_epochs": 1.26})
    assert list_facts(run) == [
        ("priors by cross-validation", "Bonds.k 1.0e-01, Bonds.length 1.0e+01"),
        ("loss left out", "128.71; with one strength for all 131.48"),
        ("statistics", "unknown"),
        ("fit", "1.3 s"),
    ]


def test_energies_of_single_conformers_are_no_errors_of_zero():
    [group] = make_results().groups
    group = dataclasses.replace(group, n_single_conformer_entries=group.n_entries)
    results = make_results(groups=[group])
    pictures = {name: [] for name in ("sources", "relative_energy", "learning", "changes", "parity_energy")}
    pictures |= {"parity_force": [], "profiles": [None], "structures": [Picture("one.svg", "", b"")]}
    text = render_report(results, pictures, [], "a title")
    assert re.search(r"<caption>energy.*?<td>\s*–\s*</td>.*?<caption>force", text, re.DOTALL)
