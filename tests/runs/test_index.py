"""A page over a folder of outputs says what lies there and what it came to."""

import json
import subprocess
import sys

import pytest

from common.runs.folder import CONFIG, SUMMARY
from common.runs.index import NOT_ENDED, describe_run, list_items, read_head, write_index
from tests.helpers import ROOT

REPORT = """<html><head><title>Campaigns &amp; more</title></head><body><main><header>
<p class="kicker">Active learning</p><h1>Campaigns</h1>
<p class="verdict">The error falls
by <b>12 %</b>.</p></header><p class="verdict">another</p></main></body></html>"""


@pytest.fixture
def outputs(tmp_path):
    report = tmp_path / "a <b>" / "report.html"
    report.parent.mkdir()
    report.write_text(REPORT)
    for name, summary in (
        ("fit", {"loss_initial": 2.0, "loss_final": 1.0, "splits": {
            "train": {"n_molecules": 9, "loss_forces_initial": 4.0, "loss_forces_final": 1.0},
            "validation": {"n_molecules": 0},
            "test": {"n_molecules": 3, "loss_forces_initial": 9.0, "loss_forces_final": 4.0}}}),
        ("open", None),
    ):  # fmt: skip
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / CONFIG).write_text("{}")
        if summary is not None:
            (tmp_path / "runs" / name / SUMMARY).write_text(json.dumps(summary))
    return tmp_path


def test_a_report_is_read_from_its_first_lines(outputs):
    head = read_head(outputs / "a <b>" / "report.html")
    assert head == {"title": "Campaigns & more", "kicker": "Active learning", "verdict": "The error falls by 12 %."}


def test_reports_and_runs_are_listed(outputs):
    pages, runs = list_items(outputs)
    assert [(one.title, one.headline) for one in pages] == [("Campaigns & more", "The error falls by 12 %.")]
    assert {one.title: (one.kind, one.headline) for one in runs} == {
        "fit": ("fit of a force field", "root of the force loss 3.00 to 2.00 kcal/mol/Å (test, 3 molecules)"),
        "open": ("run", NOT_ENDED),
    }


def test_the_page_links_to_what_it_lists(outputs):
    text = write_index(outputs).read_text()
    assert 'href="a%20%3Cb%3E/report.html"' in text
    assert "1 report, 2 runs, 1 of them not ended" in text
    assert "<script" not in text


def test_a_damaged_summary_is_named(outputs):
    (outputs / "runs" / "fit" / SUMMARY).write_text("{")
    _, runs = list_items(outputs)
    assert "damaged" in {one.title: one.headline for one in runs}["fit"]


@pytest.mark.parametrize("summary", [{}, {"outcome": "stable"}, {"errors": None, "n_frames": 1}, {"anything": 1}])
def test_summaries_of_any_kind_can_be_described(summary):
    assert all(describe_run(summary))


def test_a_missing_folder_is_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "common.runs.index", str(tmp_path / "none")], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "none: no such folder" in done.stderr
    assert "Traceback" not in done.stderr
