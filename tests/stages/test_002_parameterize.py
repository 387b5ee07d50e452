"""Stage 002 as a user runs it."""

import json
import pathlib
import re
import subprocess
import sys

import pytest

from common.forcefields.parameter_file import load_parameters
from tests.helpers import ROOT

STARTER = ROOT / "example" / "starter.offxml"

METHANE = "[C:1]([H:2])([H:3])([H:4])[H:5]"
WATER = "[O:1]([H:2])[H:3]"
SILANE = "[Si:1]([H:2])([H:3])([H:4])[H:5]"


def run(folder: pathlib.Path, *arguments: str | pathlib.Path) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / "002-parameterize.py", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def write_smiles(folder: pathlib.Path, *smiles: str) -> None:
    (folder / "outputs" / "data-raw").mkdir(parents=True)
    (folder / "outputs" / "data-raw" / "smiles.json").write_text(json.dumps(smiles))


def test_a_run_with_the_starter(tmp_path):
    write_smiles(tmp_path, METHANE, WATER, METHANE)
    done = run(tmp_path, "--force-field", STARTER)
    assert done.returncode == 0, done.stderr
    assert "2 molecules, force field starter.offxml, engine builtin" in done.stdout
    assert "charges: LibraryCharges, then openff-gnn-am1bcc-1.0.0.pt (NAGLCharges)" in done.stdout
    assert "2 molecules parameterised, 0 failed" in done.stdout
    assert "molecules per second" in done.stdout
    assert "003-cluster-and-filter.py" in done.stdout.splitlines()[-1]
    molecules = load_parameters(tmp_path / "outputs" / "starter.pt")
    assert list(molecules.topologies) == [METHANE, WATER]
    electrostatics = molecules.force_field.potentials_by_type["Electrostatics"]
    rows = molecules.topologies[METHANE].parameters["Electrostatics"].parameter_idxs
    charges = electrostatics.parameters[rows, 0]
    assert charges[0] < 0.0 < charges[1] == pytest.approx(charges[2].item())
    assert sorted(path.name for path in (tmp_path / "outputs").iterdir()) == ["data-raw", "starter.pt"]


def test_too_many_failures_end_the_stage_and_leave_the_earlier_result(tmp_path):
    smiles, output = tmp_path / "mine.smi", tmp_path / "mine.pt"
    smiles.write_text(f"{METHANE}\n\n{SILANE}\n")
    output.write_text("earlier")
    done = run(tmp_path, "--force-field", STARTER, "--smiles", smiles, "--output", output, "--n-workers", "1")
    assert done.returncode == 1
    assert f"1  no vdW pattern for Si, e.g. {SILANE}" in done.stdout
    assert "error: 1 of 2 molecules failed, more than 5%" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads((tmp_path / "mine.failures.json").read_text()) == {SILANE: "no vdW pattern for Si(1)"}
    assert output.read_text() == "earlier"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], r"outputs/data-raw.*no such file; run 001-convert"),
        (["--force-field", "none.offxml"], "force-fields/none.offxml"),
        (["--smiles", "empty.smi"], "empty.smi: expected SMILES"),
        (["--input", "damaged"], "damaged JSON"),
        (["--smiles", "binary.smi"], "binary.smi: no text"),
        (["--smiles", "methane.smi", "--output", "damaged"], "damaged: is a folder; name a file with --output"),
    ],
)
def test_says_in_a_line_what_is_missing(tmp_path, arguments, reason):
    (tmp_path / "empty.smi").write_text("\n")
    (tmp_path / "methane.smi").write_text(METHANE)
    (tmp_path / "binary.smi").write_bytes(bytes(range(128, 256)))
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "smiles.json").write_text('["[H:1]')
    done = run(tmp_path, *(["--force-field", STARTER] if "--force-field" not in arguments else []), *arguments)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert re.search(reason, done.stderr, re.DOTALL), done.stderr


def test_plain_smiles_with_names_and_a_limit_of_size(tmp_path):
    (tmp_path / "mine.smi").write_text(f"# my molecules\nC methane\n{METHANE}\n{'C' * 40} long\n")
    options = ("--force-field", STARTER, "--smiles", "mine.smi", "--max-atoms", "100", "--n-workers", "1")
    done = run(tmp_path, *options, "--max-failed-fraction", "0.5")
    assert done.returncode == 0, done.stderr
    assert "1  too large: more than 100 atoms (--max-atoms), e.g. CCCC" in done.stdout
    molecules = load_parameters(tmp_path / "outputs" / "starter.pt")
    assert list(molecules.topologies) == [METHANE]
    assert list(molecules.failures) == ["C" * 40]


def test_several_force_field_files_in_order(tmp_path):
    write_smiles(tmp_path, METHANE, WATER)
    water = '<vdW version="0.3"><Atom smirks="[#1]-[#8X2H2+0:1]-[#1]" epsilon="0.1521*mole**-1*kilocalorie"'
    water += ' sigma="3.1507*angstrom"/></vdW>'
    (tmp_path / "water.offxml").write_text(
        f'<SMIRNOFF version="0.3" aromaticity_model="OEAroModel_MDL">{water}</SMIRNOFF>'
    )
    done = run(tmp_path, "--force-field", STARTER, "water.offxml", "--n-workers", "1")
    assert done.returncode == 0, done.stderr
    assert "force field starter+water.offxml" in done.stdout
    molecules = load_parameters(tmp_path / "outputs" / "starter+water.pt")
    potential = molecules.force_field.potentials_by_type["vdW"]
    rows = molecules.topologies[WATER].parameters["vdW"].parameter_idxs
    epsilon = potential.parameters[rows[0], potential.parameter_cols.index("epsilon")]
    assert epsilon.item() == pytest.approx(0.1521)
