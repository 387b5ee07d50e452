"""Stages 003 to 005 on data sets whose entries have energies alone, as torsion drives do, or forces alone."""

import dataclasses
import json

import numpy
import pytest

from common.forcefields.parameter_file import save_parameters
from common.smirnoff.offxml import read_force_field
from common.smirnoff.parameterize import parameterize
from tests.commands import complete_here
from tests.helpers import ROOT, change_parameters, simulate_entries, write_dataset
from tests.stages.test_004_train import MOLECULES, make_entry

LACKS = {"scans": "forces", "gradients": "energy"}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    entries = [make_entry(smiles) for smiles in MOLECULES]
    molecules = parameterize(
        read_force_field(ROOT / "example" / "starter.offxml"), [entry.smiles for entry in entries], 1
    )
    truth = change_parameters(molecules.force_field, ("Bonds", "Angles", "ProperTorsions"), seed=1)
    entries = simulate_entries(molecules, truth, entries, sigma_energy=0.1, sigma_forces=0.5)
    scans, gradients = (
        [dataclasses.replace(entry, **{name: numpy.nan * getattr(entry, name)}) for entry in entries]
        for name in ("forces", "energy")
    )
    write_dataset(folder / "scans" / "scans", scans)
    write_dataset(folder / "gradients" / "gradients", gradients)
    write_dataset(folder / "mixed" / "scans", scans[:6])
    write_dataset(folder / "mixed" / "gradients", gradients[4:])
    save_parameters(folder / "starter.pt", molecules)
    return folder


def run(inputs, name: str, *options: str) -> tuple[dict, dict, str]:
    """The summary of 004, the metrics of 005 and the report."""
    output = inputs / f"out-{name}"
    parameters = ("--parameters", str(inputs / "starter.pt"))
    done = complete_here(
        *(ROOT / "003-cluster-and-filter.py", "--input", str(inputs / name), *parameters),
        *("--output", str(output / "data")),
    )
    assert done.returncode == 0, done.stderr
    arguments = ("--data", str(output / "data"), *parameters, "--output", str(output / "runs"), *options)
    done = complete_here(ROOT / "004-train.py", *arguments)
    assert done.returncode == 0, done.stderr
    done = complete_here(ROOT / "005-analyze.py", str(output / "runs"), "--output", str(output / "analysis"))
    assert done.returncode == 0, done.stderr
    assert "do not give the losses" not in done.stdout
    [folder], [analysis] = (list((output / one).iterdir()) for one in ("runs", "analysis"))
    summary = json.loads((folder / "summary.json").read_text())
    return summary, json.loads((analysis / "metrics.json").read_text()), (analysis / "report.html").read_text()


def find_group(metrics: dict, split: str, source: str = "all") -> dict:
    return next(g for g in metrics["groups"] if (g["split"], g["source"]) == (split, source))


@pytest.mark.parametrize("name", ["scans", "gradients"])
def test_one_part_alone_trains_and_is_reported(inputs, name):
    options = ("--method", "exact") if name == "scans" else ("--n-epochs", "200")
    summary, metrics, report = run(inputs, name, *options)
    missing, present = ("force", "energy") if name == "scans" else ("energy", "force")
    train = find_group(metrics, "train")["candidates"]
    assert train["fitted"][f"{present}_rmse"] < 0.7 * train["initial"][f"{present}_rmse"]
    assert train["fitted"][f"{missing}_rmse"] is None
    assert train["fitted"][f"{missing}_rmse_interval"] is None
    assert f"{present} error" in metrics["verdict"]
    assert f"{missing} error" not in metrics["verdict"]
    counts = summary["splits"]["train"]
    assert (counts["n_energies"], counts["n_forces"])[name == "scans"] == 0
    assert "nan" not in report.lower().replace("nanometer", "")


def test_mixed_sources_count_where_they_can(inputs):
    summary, metrics, _ = run(
        inputs, "mixed", "--method", "exact", "--test-fraction", "0.2", "--source-evidence", "--split-seeds", "1", "2"
    )
    assert set(summary["source_weights"]) == set(LACKS)
    assert summary["split_seeds"]["seeds"] == [1, 2]
    total = find_group(metrics, "all")
    alone = {source: find_group(metrics, "all", source) for source in LACKS}
    for source, lacking in LACKS.items():
        key = "force_rmse" if lacking == "forces" else "energy_rmse"
        other = next(one for one in alone if one != source)
        assert alone[source]["candidates"]["fitted"][key] is None
        assert total["candidates"]["fitted"][key] == alone[other]["candidates"]["fitted"][key]
