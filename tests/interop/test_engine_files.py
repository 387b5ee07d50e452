"""The command that writes files for other engines, as a user runs it."""

import pytest

from common.forcefields.parameter_file import save_parameters
from common.interop import engine_files
from common.interop.openmm_export import find_molecule
from common.processes.stage import run_stage
from tests.interop.engines import evaluate, read_gromacs

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # readers of others that leave files open
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def run(monkeypatch, *arguments) -> None:
    monkeypatch.setattr("sys.argv", ["engine_files", *map(str, arguments)])
    run_stage(engine_files.main)


def test_topology_and_coordinates_of_a_molecule(parity_molecules, tmp_path, monkeypatch, capsys):
    pytest.importorskip("openmm")
    save_parameters(tmp_path / "some.pt", parity_molecules)
    run(monkeypatch, tmp_path / "some.pt", "CCO", tmp_path / "ethanol.top")
    smiles = find_molecule(parity_molecules, "CCO")
    assert f"ethanol.gro: 9 atoms, in the order of {smiles}" in capsys.readouterr().out
    system, coords = read_gromacs(tmp_path / "ethanol.top")
    assert system.getNumParticles() == 9
    assert abs(evaluate(system, coords)) < 100.0  # a conformer that is one


def test_another_suffix_is_refused(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, tmp_path / "some.pt", "CCO", tmp_path / "ethanol.gro")
    assert "ethanol.gro: .top (GROMACS) or .prmtop (AMBER) is wanted" in capsys.readouterr().err
