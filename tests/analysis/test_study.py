"""What is looked at: runs that have ended, and the split of every molecule."""

import dataclasses
import json
import pathlib

import pytest

from common.analysis.study import SplitChooser, read_run, read_runs
from common.data.weighting import ConformerSelection
from common.molecules.mapped_smiles import from_smiles, to_mapped_smiles


def write_run(folder: pathlib.Path, *missing: str) -> pathlib.Path:
    """The files of a run that are read, but those that are ``missing``."""
    settings = dataclasses.asdict(ConformerSelection(energy_ceiling=5.0))
    files = {
        "config.json": {
            "trained": {"Bonds": {}},
            "data": "data",
            "parameters": "x.pt",
            "force_weight": 1.0,
            **settings,
        },
        "summary.json": {"splits": {}, "loss_initial": 2.0, "loss_final": 1.0},
        "splits.json": {"[H:1][H:2]": "train"},
    }
    folder.mkdir(parents=True)
    for name, contents in files.items():
        if name not in missing:
            (folder / name).write_text(json.dumps(contents))
    return folder


def test_of_several_runs_those_that_have_not_ended_are_passed_over(tmp_path, capsys):
    paths = [write_run(tmp_path / "1"), write_run(tmp_path / "2", "summary.json"), write_run(tmp_path / "3")]
    assert [run.folder.name for run in read_runs(paths)] == ["1", "3"]
    assert capsys.readouterr().out == f"{tmp_path}/2: passed over, this run has not ended\n"
    assert [run.folder.name for run in read_runs([paths[0], paths[2]])] == ["1", "3"]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("n_runs", [1, 2])
def test_where_none_has_ended_that_is_an_error(tmp_path, n_runs):
    paths = [write_run(tmp_path / str(i), "summary.json") for i in range(n_runs)]
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}/0: this run has not ended"):
        read_runs(paths)


def test_a_folder_of_runs_stands_for_the_latest_that_has_ended(tmp_path):
    for name, missing in (
        ("2026-01-01-000000", ()),
        ("2026-01-02-000000", ()),
        ("2026-01-03-000000", ("summary.json",)),
    ):
        write_run(tmp_path / name, *missing)
    assert [run.folder.name for run in read_runs([tmp_path])] == ["2026-01-02-000000"]


def test_what_is_no_run_is_an_error_among_others_too(tmp_path):
    (tmp_path / "notes").mkdir()
    with pytest.raises(FileNotFoundError, match="notes"):
        read_runs([write_run(tmp_path / "1"), tmp_path / "notes"])


def test_a_run_knows_what_it_used(tmp_path):
    run = read_run(write_run(tmp_path / "1"))
    assert (run.data, run.parameters) == (pathlib.Path("data"), pathlib.Path("x.pt"))
    assert run.splits == {"[H:1][H:2]": "train"}
    assert run.conformers == ConformerSelection(5.0, None)


def test_another_drawing_of_a_known_molecule_is_not_new():
    first, second = (to_mapped_smiles(from_smiles(smiles)) for smiles in ("CCO", "OCC"))
    stranger = to_mapped_smiles(from_smiles("CCN"))
    choose = SplitChooser({first: "test"})
    assert [choose(smiles) for smiles in (first, second, stranger)] == ["test", "test", "new"]
