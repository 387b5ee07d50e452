"""Stage 005 on a fit of made-up data: its figures are computed anew here, from the OFFXML file and the data."""

import csv
import dataclasses
import html.parser
import json
import os
import pathlib
import re
import runpy
import shutil
import subprocess
import sys

import numpy
import pytest
import torch

from common.analysis.error_statistics import sum_errors
from common.analysis.predictions import index_data, load_candidates, predict_here
from common.analysis.study import Run, check_run, read_run, study_runs
from common.data.dataset import list_sources, open_dataset, read_entries
from common.forcefields.energy import compute_energy, compute_forces
from common.forcefields.parameter_file import load_parameters, save_parameters
from common.reporting.numbers import format_number
from common.smirnoff.offxml import read_force_field
from common.smirnoff.parameterize import parameterize
from tests.helpers import ROOT, change_parameters, make_entries, raises_with_advice, simulate_entries, write_dataset

STARTER = ROOT / "example" / "starter.offxml"

N_MOLECULES = 26
MAX_ATOMS = 14
N_CONFORMERS = 4

ROUNDING = 1e-9
"""Relative, between figures and the same sums in plain loops: energies have up to 1e3 kcal/mol, errors about 1."""


@pytest.fixture(scope="module")
def project(tmp_path_factory, parity_energies) -> pathlib.Path:
    """Data of two sources, parameters, and a run of 20 epochs."""
    folder = tmp_path_factory.mktemp("project")
    small = [record for record in parity_energies if len(record["forces"][0]) <= MAX_ATOMS]
    molecules = parameterize(read_force_field(STARTER), [record["smiles"] for record in small], 1)
    covered = [record for record in small if record["smiles"] in molecules.topologies][:N_MOLECULES]
    truth = change_parameters(molecules.force_field, ("Bonds", "Angles", "ProperTorsions"), seed=0)
    entries = simulate_entries(molecules, truth, make_entries(covered, N_CONFORMERS), 0.3, 2.0)
    write_dataset(folder / "data" / "gen2-opt", [*entries[:13], entries[0].select([0])])
    write_dataset(folder / "data" / "spice", entries[13:])
    save_parameters(folder / "starter.pt", molecules)
    command = [sys.executable, ROOT / "004-train.py", "--n-epochs", "20", "--data", folder / "data"]
    command += ["--parameters", folder / "starter.pt", "--output", folder / "runs"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
    return folder


def analyze(monkeypatch, *arguments) -> None:
    """Runs the stage in this process, errors and all."""
    monkeypatch.setattr(sys, "argv", ["005-analyze.py", *map(str, arguments)])
    runpy.run_path(str(ROOT / "005-analyze.py"))["main"]()


def find_analysis(output: pathlib.Path) -> pathlib.Path:
    [folder] = output.iterdir()
    return folder


def read_metrics(folder: pathlib.Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def find_group(metrics: dict, split: str, source: str = "all") -> dict:
    return next(g for g in metrics["groups"] if (g["split"], g["source"]) == (split, source))


@pytest.fixture(scope="module")
def finished(project) -> subprocess.CompletedProcess:
    """The stage as a user runs it."""
    command = [sys.executable, ROOT / "005-analyze.py", project / "runs", "--output", project / "analysis"]
    done = subprocess.run(
        [*command, "--n-workers", "1"], cwd=project, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def analysis(project, finished) -> pathlib.Path:
    return find_analysis(project / "analysis")


def test_console_and_files(project, finished, analysis):
    metrics = read_metrics(analysis)
    said = read_run(project / "runs").summary["warnings"]  # of its few test molecules
    assert "no test molecule is of spice" in said[0]
    assert [warning.split(": ", 1)[1] for warning in metrics["warnings"]] == said
    assert finished.stdout.count("WARNING") == len(said)
    assert metrics["verdict"] in finished.stdout
    assert finished.stdout.endswith(f"\nread: {analysis / 'report.html'} (in a browser)\n")
    assert sorted(path.name for path in analysis.iterdir()) == ["figures", "metrics.json", "report.html", "tables"]
    assert {path.stem for path in (analysis / "tables").iterdir()} == {
        *("errors", "molecules", "parameter-changes", "parameter-errors", "learning-curves"),
    }
    figures = {path.name for path in (analysis / "figures").iterdir()}
    assert {"parity-energy-initial.svg", "parity-force-fitted.svg", "learning-curve-loss.svg"} <= figures
    assert sum(name.startswith("molecule-") for name in figures) == 12


@pytest.mark.parametrize("candidate", ["initial", "fitted", "optimum"])
def test_metrics_equal_the_offxml_file_on_the_data(project, analysis, candidate):
    """The force field file is read anew, applied to the molecules, and every conformer computed in plain loops."""
    metrics, run = read_metrics(analysis), read_run(project / "runs")
    files = {"initial": STARTER, "fitted": run.folder / "force-field.offxml", "optimum": run.folder / "optimum.offxml"}
    molecules = parameterize(read_force_field(files[candidate]), list(run.splits), 1)
    errors: dict[tuple[str, str], list[tuple[numpy.ndarray, numpy.ndarray]]] = {}
    for source in list_sources(project / "data"):
        for entry in read_entries(open_dataset(project / "data" / source)):
            topology, coords = molecules.topologies[entry.smiles], torch.tensor(entry.coords)
            energy = compute_energy(topology, molecules.force_field, coords).numpy()
            forces = compute_forces(topology, molecules.force_field, coords).numpy()
            pair = (energy - energy.mean() - (entry.energy - entry.energy.mean()), forces - entry.forces)
            for split in (run.splits[entry.smiles], "all"):
                for name in (source, "all"):
                    errors.setdefault((split, name), []).append(pair)
    assert set(errors) == {(group["split"], group["source"]) for group in metrics["groups"]}
    for (split, source), pairs in errors.items():
        found = find_group(metrics, split, source)["candidates"][candidate]
        for i, (short, long) in enumerate((("energy", "energy"), ("force", "forces"))):
            pooled = numpy.concatenate([pair[i].ravel() for pair in pairs])
            by_entry = numpy.mean([numpy.mean(pair[i] ** 2) for pair in pairs])
            assert found[f"{short}_rmse"] == pytest.approx(numpy.sqrt(numpy.mean(pooled**2)), rel=ROUNDING)
            assert found[f"{short}_mae"] == pytest.approx(numpy.mean(numpy.abs(pooled)), rel=ROUNDING)
            assert found[f"loss_{long}"] == pytest.approx(by_entry, rel=ROUNDING)


def test_metrics_equal_what_the_fit_read_off_its_statistics(project, analysis):
    metrics, summary = read_metrics(analysis), read_run(project / "runs").summary
    for split, recorded in summary["splits"].items():
        group = find_group(metrics, split)
        for name in ("n_entries", "n_molecules", "n_conformers"):
            assert group[name] == recorded[name]
        for label, candidate in (("initial", "initial"), ("final", "fitted")):
            for part in ("loss_energy", "loss_forces"):
                found = group["candidates"][candidate][part]
                assert found == pytest.approx(recorded[f"{part}_{label}"], rel=1e-6)
    train = find_group(metrics, "train")["candidates"]
    assert train["fitted"]["force_rmse"] < train["initial"]["force_rmse"]


def test_changes_are_those_between_the_two_force_field_files(project, analysis):
    with (analysis / "tables" / "parameter-changes.csv").open(newline="") as file:
        records = list(csv.DictReader(file))
    files = [read_force_field(path) for path in (STARTER, read_run(project / "runs").folder / "force-field.offxml")]
    before, after = ({p.smirks: p.values[0] for p in one.sections["Bonds"].parameters} for one in files)
    bonds = [record for record in records if record["type"] == "Bonds" and record["column"] == "length"]
    assert len(bonds) == len(before)
    for record in bonds:
        assert float(record["initial"]) == before[record["smirks"]][1]
        assert float(record["fitted"]) == after[record["smirks"]][1]
    shown = read_metrics(analysis)["changes"]["Bonds length"]
    sizes = [abs(change["change"]) for change in shown]
    assert sizes == sorted(sizes, reverse=True)
    angles = [record for record in records if record["column"] == "angle"]
    assert {record["unit"] for record in angles} == {"degree"}
    assert max(float(record["initial"]) for record in angles) == pytest.approx(180.0)


class TableReader(html.parser.HTMLParser):
    """All rows of all tables, as lists of cells without their white space."""

    def __init__(self):
        super().__init__()
        self.rows, self.cell, self.text = [], None, []

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.cell = []

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.rows[-1].append(" ".join("".join(self.cell).split()))
            self.cell = None

    def handle_data(self, data):
        self.text.append(data)
        if self.cell is not None:
            self.cell.append(data)


def test_report_says_what_metrics_say(analysis):
    metrics, reader = read_metrics(analysis), TableReader()
    reader.feed((analysis / "report.html").read_text())
    assert metrics["verdict"] in "".join(reader.text)
    rows = iter(reader.rows)
    for key in ("energy_rmse", "force_rmse"):
        for group in metrics["groups"]:
            name = {"all": "all data"}.get(group["split"], group["split"])
            cells = [name if group["source"] == "all" else group["source"]]
            cells += [str(group["n_molecules"])] if key == "energy_rmse" else []
            for figures in (group["candidates"][name] for name in metrics["candidates"]):
                interval = figures[f"{key}_interval"] or []
                text = f"{format_number(figures[key])} {' to '.join(map(format_number, interval))}"
                cells.append(text.strip())
            assert cells in rows  # consumes them: in this order
    figures = find_group(metrics, metrics["focus"])["candidates"]["fitted"]
    names = ("energy_rmse", "loss_energy_root", "energy_mae", "force_rmse", "loss_forces_root", "force_mae")
    assert ["fitted", *(format_number(figures[name]) for name in names)] in rows
    for record in metrics["worst_molecules"]:
        assert record["molecule"] in "".join(reader.text)
    for change in metrics["undetermined"]:
        assert any(change["label"] in row and change["smirks"] in row for row in reader.rows)


def test_links_and_images_of_the_report_are_there(analysis):
    text = (analysis / "report.html").read_text()
    links = re.findall(r'href="([^"]+)"', text)
    assert "metrics.json" in links
    for link in links:
        assert link == "data:," or (analysis / link).is_file(), link
    sources = re.findall(r'src="([^"]+)"', text)
    assert len(sources) > 30
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)


def test_worst_molecules_have_the_largest_errors(analysis):
    metrics = read_metrics(analysis)
    with (analysis / "tables" / "molecules.csv").open(newline="") as file:
        molecules = list(csv.DictReader(file))
    total = find_group(metrics, "all")["candidates"]["fitted"]
    multiples = [
        max(float(m["energy_rmse fitted"]) / total["energy_rmse"], float(m["force_rmse fitted"]) / total["force_rmse"])
        for m in molecules
    ]
    worst = metrics["worst_molecules"]
    assert [w["multiple"] for w in worst] == pytest.approx(sorted(multiples, reverse=True)[: len(worst)], rel=ROUNDING)


# --- other columns ---------------------------------------------------------------------------------------------------


def test_runs_and_force_fields_side_by_side(project, tmp_path, monkeypatch, capsys):
    """The starting force field once more, by its file, and one that cannot do molecules with nitrogen."""
    (tmp_path / "again.offxml").write_text(STARTER.read_text())
    lines = STARTER.read_text().splitlines(keepends=True)
    without = [line for line in lines if not ("<Atom " in line and "#7" in line)]
    assert len(without) < len(lines)
    (tmp_path / "no-nitrogen.offxml").write_text("".join(without))
    [run] = (path.parent for path in (project / "runs").glob("*/summary.json"))
    shutil.copytree(run, tmp_path / "runs" / "second")
    shutil.copytree(run, tmp_path / "at-work", ignore=shutil.ignore_patterns("summary.json"))
    fields = ["--force-field", tmp_path / "again.offxml", tmp_path / "no-nitrogen.offxml"]
    runs = (run, tmp_path / "at-work", tmp_path / "runs")
    analyze(monkeypatch, *runs, "--output", tmp_path / "out", "--n-workers", 1, *fields)
    metrics = read_metrics(find_analysis(tmp_path / "out"))
    assert metrics["candidates"] == ["initial", "adam", "second", "again", "no-nitrogen"]
    assert [one["after"] for one in metrics["comparisons"]] == metrics["candidates"][1:]
    assert [metrics["force_fields"][name]["is_fitted"] for name in metrics["candidates"]] == [
        False,
        True,
        True,
        False,
        False,
    ]
    left_out = metrics["left_out"]["no-nitrogen"]
    assert all("N" in smiles or "n" in smiles for smiles in left_out)
    text = capsys.readouterr().out
    assert f"left out for all: {len(left_out)} molecules that no-nitrogen cannot do" in text
    assert f"{tmp_path}/at-work: passed over, this run has not ended" in text
    assert any("molecules were left out" in warning for warning in metrics["warnings"])
    for group in metrics["groups"]:
        figures = group["candidates"]
        for key in ("energy_rmse", "force_rmse"):
            assert figures["again"][key] == pytest.approx(figures["initial"][key], rel=ROUNDING)
            assert figures["second"][key] == figures["adam"][key]
    n_entries = find_group(metrics, "all")["n_entries"]
    assert 0 < n_entries < N_MOLECULES


def test_a_force_field_on_data_without_a_run(project, analysis, tmp_path, monkeypatch):
    files = ["--data", project / "data", "--parameters", project / "starter.pt"]
    analyze(monkeypatch, *files, "--output", tmp_path / "out", "--n-workers", 1)
    folder = find_analysis(tmp_path / "out")
    metrics = read_metrics(folder)
    assert metrics["candidates"] == ["starter"]
    assert {group["split"] for group in metrics["groups"]} == {"all"}
    found = find_group(metrics, "all")["candidates"]["starter"]
    expected = find_group(read_metrics(analysis), "all")["candidates"]["initial"]
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        # the resampling of one force field and of three differ in the last bit
        assert found[name] == pytest.approx(value, rel=ROUNDING), name
    assert metrics["verdict"] in (folder / "report.html").read_text()


# --- what must be said loudly ----------------------------------------------------------------------------------------


def evaluate_run(run, data):
    study = study_runs([run], data, None)
    candidates = load_candidates(study.candidates)
    rows = index_data(study.data, candidates, study.choose_split).rows
    return study, sum_errors(predict_here(study.data, rows, candidates, study.conformers))


def read_without_warnings(project: pathlib.Path) -> Run:
    """A run with nothing to say of its test molecules."""
    run = read_run(project / "runs")
    return dataclasses.replace(run, summary=run.summary | {"warnings": []})


def test_data_that_changed_since_the_fit_are_noticed(project, tmp_path):
    run = read_without_warnings(project)
    for source in list_sources(project / "data"):
        entries = list(read_entries(open_dataset(project / "data" / source)))
        entries[3] = dataclasses.replace(entries[3], forces=entries[3].forces * 1.001)
        write_dataset(tmp_path / "data" / source, entries)
    changed = dataclasses.replace(run, config={**run.config, "data": str(tmp_path / "data")})
    study, errors = evaluate_run(changed, None)
    [warning] = check_run(changed, study.ends[0], study, errors, molecules_are_missing=False)
    assert "do not give the losses that the fit wrote down" in warning
    assert "loss_forces of fitted" in warning
    assert "loss_energy" not in warning
    study, errors = evaluate_run(run, tmp_path / "data")
    [warning] = check_run(run, study.ends[0], study, errors, molecules_are_missing=False)
    assert "other data" in warning


def test_parameters_that_changed_since_the_fit_are_refused(project, tmp_path, monkeypatch):
    molecules = load_parameters(project / "starter.pt")
    values = change_parameters(molecules.force_field, ("Bonds",), seed=5)
    save_parameters(tmp_path / "changed.pt", dataclasses.replace(molecules, force_field=values))
    with raises_with_advice(
        ValueError, r"force-field\.pt was fitted from .*starter\.pt.*changed\.pt holds .*--parameters"
    ):
        analyze(monkeypatch, project / "runs", "--parameters", tmp_path / "changed.pt", "--output", tmp_path / "out")
    save_parameters(tmp_path / "again.pt", molecules)
    analyze(monkeypatch, project / "runs", "--parameters", tmp_path / "again.pt", "--output", tmp_path / "out")


def test_source_weights_are_part_of_the_check(project):
    run = read_without_warnings(project)
    study, errors = evaluate_run(run, None)
    weighted = dataclasses.replace(run, config={**run.config, "source_weights": {"spice": 2.0}})
    assert check_run(run, study.ends[0], study, errors, molecules_are_missing=False) == []
    assert check_run(weighted, study.ends[0], study, errors, molecules_are_missing=False) != []


def test_a_run_that_was_fitted_to_the_validation_molecules_is_told_by_its_own_splits(project):
    run = read_without_warnings(project)
    study, errors = evaluate_run(run, None)
    splits = {smiles: "train" if split == "validation" else split for smiles, split in run.splits.items()}
    prior = {"open_ends": ["Bonds.k"], "strengths": {"Bonds.k": 1e4, "Angles.k": 1.0}}
    other = dataclasses.replace(run, splits=splits, summary=run.summary | {"prior": prior})
    warnings = check_run(other, study.ends[0], study, errors, molecules_are_missing=False)
    n_validation = sum(split == "validation" for split in run.splits.values())
    assert warnings[0].endswith("lie at the end of what was tried: Bonds.k (1e+04)")
    assert f"was fitted to the {n_validation} molecules that validate here" in warnings[1]
    assert "train: " in warnings[2]  # its summary counts the others, so that the losses do not agree


def test_a_run_that_was_fitted_to_the_test_molecules_is_noticed(project):
    run = read_without_warnings(project)
    study, errors = evaluate_run(run, None)
    other = dataclasses.replace(run, splits=dict.fromkeys(run.splits, "train"))
    [warning] = check_run(other, study.ends[0], study, errors, molecules_are_missing=False)
    n_test = sum(split == "test" for split in run.splits.values())
    assert f"fitted to or validated on {n_test} of the molecules that are test here" in warning


def test_each_run_is_compared_with_its_own_start(project, tmp_path):
    first, other = read_run(project / "runs"), read_run(copy_run(project, tmp_path, parameters="other.pt"))
    assert study_runs([first, other], None, None).ends == (("initial", "adam"), ("run initial", "run"))
    assert study_runs([first, other], None, tmp_path / "one.pt").ends == (("initial", "adam"), ("initial", "run"))


def copy_run(project: pathlib.Path, folder: pathlib.Path, without: tuple[str, ...] = (), **config) -> pathlib.Path:
    [run] = (path.parent for path in (project / "runs").glob("*/summary.json"))
    shutil.copytree(run, folder / "run")
    settings = {**json.loads((run / "config.json").read_text()), **config}
    kept = {name: value for name, value in settings.items() if name not in without}
    (folder / "run" / "config.json").write_text(json.dumps(kept))
    return folder / "run"


def test_bad_input_is_answered_with_a_sentence(project, tmp_path, monkeypatch):
    run = copy_run(project, tmp_path / "gone", data=str(tmp_path / "nowhere"))
    for arguments, sentence in (
        ([tmp_path / "empty"], "no finished run here; run 004-train.py"),
        ([run], "nowhere: no data sets here; run the stage that writes them"),
        ([copy_run(project, tmp_path / "old", without=("energy_ceiling",))], "made by another version"),
        ([copy_run(project, tmp_path / "lost", parameters="lost.pt")], "lost.pt: no such file; run 002"),
        ([project / "runs", "--force-field", "none.offxml"], "no force field file 'none.offxml'"),
        ([project / "runs", project / "runs" / "nothing"], "nothing: no finished run here"),
        ([project / "runs", project / "runs"], "two runs are called"),
    ):
        with raises_with_advice((ValueError, FileNotFoundError), re.escape(sentence)):
            analyze(monkeypatch, *arguments, "--output", tmp_path / "out", "--n-workers", 1)
        assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
    for name, contents, sentence in (
        ("summary.json", '{"splits": ', "summary.json: damaged JSON"),
        ("summary.json", "{}", "summary.json: lacks splits"),
        ("splits.json", None, "splits.json: no such file; run 004-train.py again"),
        ("summary.json", None, "this run has not ended"),
        ("parameters.csv", "type,smirks\nBonds,x\n", "parameters.csv: damaged"),
    ):
        damaged = copy_run(project, tmp_path / f"{name}-{len(contents or '')}")
        (damaged / name).unlink() if contents is None else (damaged / name).write_text(contents)
        with raises_with_advice((ValueError, FileNotFoundError), re.escape(sentence)):
            analyze(monkeypatch, damaged, "--output", tmp_path / "out", "--n-workers", 1)
    done = subprocess.run(
        [sys.executable, ROOT / "005-analyze.py", tmp_path / "empty"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.strip().startswith("error: ")
    assert "Traceback" not in done.stderr


def test_of_the_ranks_of_torchrun_one_does_the_work(project, tmp_path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, ROOT / "005-analyze.py", project / "runs", "--output", tmp_path / "out", "--n-workers", "1"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").iterdir())) == 1
    assert done.stdout.count("read: ") == 1


# --- the report in a browser -----------------------------------------------------------------------------------------

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

PROBE = """<script>
const errors = [];
addEventListener("error", event => errors.push(String(event.message || event.target.src)), true);
addEventListener("load", () => parent.postMessage({
  errors,
  images: document.images.length,
  loaded: [...document.images].filter(image => image.complete && image.naturalWidth > 0).length,
  requests: performance.getEntriesByType("resource").map(entry => entry.name),
  width: document.documentElement.scrollWidth,
  window: innerWidth,
  contrast: getComputedStyle(document.body).color + " on " + getComputedStyle(document.body).backgroundColor,
}, "*"));
</script>"""

FRAME = """<!DOCTYPE html><pre id="found"></pre><script>
addEventListener("message", event => { found.textContent = JSON.stringify(event.data); });
</script><iframe src="%s" style="width: %dpx; height: 900px; border: 0"></iframe>"""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("width", [400, 1280])
def test_report_opens_offline_and_fits_the_screen(analysis, tmp_path, width):
    text = (analysis / "report.html").read_text()
    (tmp_path / "report.html").write_text(text.replace("<head>", f"<head>{PROBE}"))
    (tmp_path / "frame.html").write_text(FRAME % ("report.html", width))
    flags = ["--headless=new", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    flags += ["--virtual-time-budget=10000", "--enable-logging=stderr", f"--window-size={width + 50},1000"]
    flags += ["--no-sandbox"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [BROWSER, *flags, (tmp_path / "frame.html").as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    found = json.loads(re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)[1])
    assert "CONSOLE" not in done.stderr
    assert found["errors"] == []
    assert found["requests"] == []
    assert found["loaded"] == found["images"] > 30
    assert found["window"] == width
    assert found["width"] <= width
