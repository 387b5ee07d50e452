"""Stage 005 relaxes scans and minima where asked: figures, tables and words for them."""

import json
import runpy
import sys

import numpy
import pytest

from common.data.dataset import Entry
from common.forcefields.parameter_file import save_parameters
from common.relaxation.minimization import HeldDihedral, minimize
from common.relaxation.surface import Surface
from tests.helpers import ROOT, write_dataset
from tests.relaxation.openmm_reference import MOLECULES, parameterize_molecules, turn

STARTER = ROOT / "example" / "starter.offxml"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A relaxed scan and minima of butane and biphenyl by the starter, and a force field with other torsions."""
    folder = tmp_path_factory.mktemp("relaxed")
    molecules = parameterize_molecules()
    angles = numpy.radians(numpy.arange(-165.0, 181.0, 30.0))
    scans, minima = [], []
    for name, (smiles, atoms) in MOLECULES.items():
        surface = Surface(molecules.topologies[smiles], molecules.force_field)
        random = numpy.random.default_rng(3).normal(0.0, 1.5, (1, surface.n_atoms, 3))
        start = minimize(surface, random if name == "butane" else random + numpy.arange(surface.n_atoms)[:, None])
        scan = minimize(surface, turn(name, start.coords[0], angles), HeldDihedral(atoms, angles))
        free = minimize(surface, scan.coords[[1, 4]])
        nothing = numpy.full_like(scan.coords, numpy.nan)
        scans.append(Entry(smiles, scan.coords, scan.energy - scan.energy.mean(), nothing, entry=name))
        minima.append(Entry(smiles, free.coords, free.energy - free.energy.mean(), numpy.zeros_like(free.coords)))
    write_dataset(folder / "data" / "torsion", scans)
    write_dataset(folder / "data" / "opt", minima)
    save_parameters(folder / "starter.pt", molecules)
    text = STARTER.read_text()
    (folder / "other.offxml").write_text(text.replace('k1="', 'k1="1'))
    return folder


def analyze(monkeypatch, project, *options):
    output = project / f"analysis{len(list(project.iterdir()))}"
    arguments = ["--data", project / "data", "--parameters", project / "starter.pt", "--output", output]
    command = ["005-analyze.py", *arguments, "--force-field", project / "other.offxml", "--n-workers", 1, *options]
    monkeypatch.setattr(sys, "argv", [str(one) for one in command])
    runpy.run_path(str(ROOT / "005-analyze.py"))["main"]()
    [folder] = output.iterdir()
    return folder


def test_relaxed_scans_and_minima_stand_in_report_and_metrics(monkeypatch, project, capsys):
    folder = analyze(monkeypatch, project, "--relaxed-scans", 5, "--relaxed-minima", 5)
    relaxed = json.loads((folder / "metrics.json").read_text())["relaxed"]
    assert relaxed["candidates"] == ["starter", "other"]
    assert (relaxed["n_scans"], relaxed["n_minima"]) == (2, 2)
    groups = {group["kind"]: group for group in relaxed["groups"] if group["split"] == "all"}
    scans = groups["scans"]["measures"]
    assert scans["starter"]["profile_rmse"]["value"] == pytest.approx(0.0, abs=1e-4)  # the data are its own
    assert scans["other"]["profile_rmse"]["value"] > 0.1
    minima = groups["minima"]["measures"]
    assert minima["starter"]["rmsd_all"]["value"] == pytest.approx(0.0, abs=1e-3)
    report = (folder / "report.html").read_text()
    assert "Relaxed geometries" in report
    assert "barrier heights, root mean square error" in report
    tables = {path.stem for path in (folder / "tables").iterdir()}
    assert {"relaxed", "relaxed-parameters", "relaxed-profiles"} <= tables
    assert {"relaxed-scan-01.svg", "relaxed-scan-01-structure.svg"} <= {
        path.name for path in (folder / "figures").iterdir()
    }
    assert "relaxed" in capsys.readouterr().out


def test_without_the_option_nothing_is_relaxed(monkeypatch, project):
    folder = analyze(monkeypatch, project)
    assert json.loads((folder / "metrics.json").read_text())["relaxed"] is None
    assert "Relaxed geometries" not in (folder / "report.html").read_text()


def test_data_without_scans_and_minima_say_so(monkeypatch, project, capsys, tmp_path):
    coords = numpy.random.default_rng(0).normal(0.0, 2.0, (12, 14, 3))
    smiles = MOLECULES["butane"][0]
    write_dataset(tmp_path / "data" / "hot", [Entry(smiles, coords, numpy.arange(12.0) - 5.5, coords * 10.0)])
    (tmp_path / "starter.pt").write_bytes((project / "starter.pt").read_bytes())
    (tmp_path / "other.offxml").write_bytes((project / "other.offxml").read_bytes())
    folder = analyze(monkeypatch, tmp_path, "--relaxed-minima", 5)
    assert "no torsion scans and no quantum minima" in capsys.readouterr().out
    assert json.loads((folder / "metrics.json").read_text())["relaxed"] is None
