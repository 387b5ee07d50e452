"""Levels by name."""

import dataclasses
import importlib.metadata
import pathlib
import shutil
import subprocess
import sys

import numpy
import pytest

from common.calculators import registry
from common.calculators.density_functional import DensityFunctional
from common.calculators.force_field import ForceField
from common.calculators.imported import AseCalculator
from common.calculators.registry import compute_level_fingerprint, describe_level, make_calculator
from common.calculators.tight_binding import TightBinding
from common.forcefields.parameter_file import save_parameters
from tests.calculators import made_up
from tests.helpers import ROOT, change_parameters


@pytest.fixture(scope="module")
def file(parity_molecules, tmp_path_factory):
    path = tmp_path_factory.mktemp("parameters") / "parity.pt"
    save_parameters(path, parity_molecules)
    return path


def test_levels_by_name(file):
    smiles = "[H:1][H:2]"
    assert make_calculator("gfn2-xtb") == TightBinding("GFN2-xTB")
    assert make_calculator("GFN1-xTB") == TightBinding("GFN1-xTB")
    assert isinstance(make_calculator(f"smirnoff:{file}"), ForceField)
    with pytest.raises(ValueError, match=r"no parameters for \[H:1\]\[H:2\]"):
        make_calculator(f"smirnoff:{file}:{smiles}")
    assert isinstance(make_calculator("ase:ase.calculators.emt:EMT"), AseCalculator)
    assert isinstance(make_calculator('ase:ase.calculators.lj:LennardJones:{"sigma": 2.0}'), AseCalculator)
    assert make_calculator("function:tests.calculators.made_up:harmonic") is made_up.harmonic


def test_options_of_an_ase_calculator_count():
    numbers, coords = numpy.array([18, 18]), numpy.array([[0.0, 0.0, 0.0], [0.0, 0.0, 2.5]])
    energies = [
        make_calculator(f'ase:ase.calculators.lj:LennardJones:{{"sigma": {sigma}}}')(numbers, coords, 0).energy
        for sigma in (2.0, 2.4)
    ]
    assert energies[0] != energies[1]


def test_dft_where_it_is_installed():
    pytest.importorskip("pyscf")
    pytest.importorskip("pyscf.dispersion")
    assert make_calculator("B3LYP-D3BJ/DZVP") == DensityFunctional()


@pytest.mark.parametrize(
    ("level", "message"),
    [
        ("gfn3-xtb", r"'gfn3-xtb' is not known; there are gfn2-xtb, gfn1-xtb, b3lyp-d3bj/dzvp, smirnoff:"),
        ("", "not known"),
        ("smirnoff:", "not known"),
        ("function:tests.calculators.made_up", "not known"),
        ("ase:ase.calculators.emt", "expected ase:MODULE:NAME"),
        ("ase:ase.calculators.emt:EMT:{]", "no JSON"),
        ("ase:ase.calculators.emt:EMT:[1]", "no JSON object"),
        ("ase:mace.calculators:mace_off", "cannot import 'mace.calculators'"),
        ("function:nowhere.at_all:f", "cannot import 'nowhere.at_all'"),
    ],
)
def test_what_is_not_known_is_named(level, message):
    with pytest.raises(ValueError, match=message):
        make_calculator(level)
    with pytest.raises(ValueError, match=message):
        compute_level_fingerprint(level)


@pytest.mark.parametrize(("level", "packages"), [("gfn2-xtb", "tblite"), ("b3lyp-d3bj/dzvp", "pyscf")])
def test_what_is_not_installed_is_named(level, packages, monkeypatch):
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=f"this level needs {packages}.*pip install {packages}"):
        make_calculator(level)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        make_calculator(f"smirnoff:{tmp_path / 'none.pt'}")
    with pytest.raises(FileNotFoundError):
        compute_level_fingerprint(f"smirnoff:{tmp_path / 'none.pt'}")


def test_a_fingerprint_says_what_counts_and_nothing_else(file, tmp_path, parity_molecules):
    assert compute_level_fingerprint("gfn2-xtb") == compute_level_fingerprint("GFN2-xTB")
    assert compute_level_fingerprint("gfn2-xtb") != compute_level_fingerprint("gfn1-xtb")
    copy = pathlib.Path(shutil.copy(file, tmp_path / "elsewhere.pt"))
    level = f"smirnoff:{file}"
    assert compute_level_fingerprint(level) == compute_level_fingerprint(f"smirnoff:{copy}")
    save_parameters(copy, dataclasses.replace(parity_molecules, provenance={"created": "later"}))
    assert compute_level_fingerprint(level) == compute_level_fingerprint(f"smirnoff:{copy}")
    values = change_parameters(parity_molecules.force_field, ("Bonds",), seed=0)
    save_parameters(copy, dataclasses.replace(parity_molecules, force_field=values))
    assert compute_level_fingerprint(level) != compute_level_fingerprint(f"smirnoff:{copy}")
    assert compute_level_fingerprint(level) != compute_level_fingerprint(f"{level}:[H:1][H:2]")
    emt = "ase:ase.calculators.emt:EMT"
    assert compute_level_fingerprint(emt) != compute_level_fingerprint(f'{emt}:{{"asap_cutoff": true}}')


def test_the_version_of_the_program_counts():
    version = importlib.metadata.version("tblite")
    assert describe_level("gfn2-xtb") == {"level": "gfn2-xtb", "tblite": version}


def test_a_worker_that_labels_with_xtb_loads_no_torch():
    code = (
        "import sys; from common.calculators.registry import make_calculator; "
        "from common.calculators.ledger import Ledger; make_calculator('gfn2-xtb'); print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.stdout == "False\n", result.stderr
