"""Stage 004 with --discover-types: finer types in the result, which 002 reads back alike, and in the report."""

import csv
import json

import numpy
import pytest
import torch

from common.forcefields.energy import compute_energy
from common.forcefields.parameter_file import load_parameters, save_parameters
from common.molecules.conformers import embed_conformers
from common.molecules.mapped_smiles import from_mapped_smiles
from common.smirnoff.offxml import read_force_field
from common.smirnoff.parameterize import parameterize
from tests.commands import complete_here
from tests.helpers import ROOT
from tests.type_discovery.test_discovery import molecules
from tests.type_discovery.test_finer_types import made

__all__ = ["made", "molecules"]

EXACT = 1e-9
"""Relative."""


@pytest.fixture(scope="module")
def finished(made, molecules, tmp_path_factory):
    folder, output = made[0], tmp_path_factory.mktemp("run")
    save_parameters(folder / "start.pt", molecules)
    done = complete_here(
        *(ROOT / "004-train.py", "--data", str(folder / "data"), "--parameters", str(folder / "start.pt")),
        *("--output", str(output / "runs"), "--method", "exact", "--discover-types", "3", "--n-folds", "3"),
    )
    assert done.returncode == 0, done.stderr
    [run] = (output / "runs").iterdir()
    return run, done


def test_the_result_has_the_children(finished):
    run, done = finished
    summary = json.loads((run / "summary.json").read_text())
    splits = summary["types"]["splits"]
    assert f"types: {len(splits)} splits" in done.stdout
    smirks = {one for section in ("Bonds", "Angles", "ProperTorsions") for one in _list_smirks(run, section)}
    assert 1 <= len(splits) <= 3
    assert {split["child"] for split in splits} <= smirks
    with (run / "types.csv").open() as file:
        assert [row["child"] for row in csv.DictReader(file)] == [split["child"] for split in splits]
    assert any(kind.endswith("of children") for kind in summary["prior_strengths"])


def _list_smirks(run, section: str) -> list[str]:
    force_field = read_force_field(run / "force-field.offxml")
    return [one.smirks for one in force_field.sections[section].parameters]


def test_read_back_it_gives_the_same_energies(finished):
    run, _ = finished
    fitted = load_parameters(run / "force-field.pt")
    smiles = sorted(fitted.topologies)[:20]
    read = parameterize(read_force_field(run / "force-field.offxml"), smiles, 1)
    for one in smiles:
        coords = torch.from_numpy(embed_conformers(from_mapped_smiles(one), 2, seed=0))
        energies = [compute_energy(of.topologies[one], of.force_field, coords) for of in (fitted, read)]
        numpy.testing.assert_allclose(*energies, rtol=EXACT)


def test_the_report_shows_what_was_split(finished):
    run, _ = finished
    output = run.parents[1] / "analysis"
    done = complete_here(ROOT / "005-analyze.py", str(run), "--output", str(output))
    assert done.returncode == 0, done.stderr
    assert "do not give the losses" not in done.stdout
    [analysis] = output.iterdir()
    report = (analysis / "report.html").read_text()
    assert "Types that were split" in report
    summary = json.loads((run / "summary.json").read_text())
    assert summary["types"]["splits"][0]["words"] in report
