"""Words of a command line and the files that they mean."""

import json

import pytest

from common.replicas.candidates import find_candidates


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A run of pretraining and one of stability training that started from it."""
    monkeypatch.chdir(tmp_path)
    pre = tmp_path / "potentials" / "2026-01-01-000000-schnet"
    stable = tmp_path / "stable" / "2026-01-02-000000-stable"
    for folder in (pre, stable / "potentials"):
        folder.mkdir(parents=True)
    for path in (pre / "potential.pt", stable / "potential.pt"):
        path.write_bytes(b"")
    for name in ("cycle1-epoch1", "cycle1", "cycle2"):
        (stable / "potentials" / f"{name}.pt").write_bytes(b"")
    (stable / "config.json").write_text(json.dumps({"potential": str(pre)}))
    return pre, stable


def test_every_form_is_found(runs, tmp_path):
    pre, stable = runs
    (tmp_path / "sage.pt").write_bytes(b"")
    words = ("pre", str(stable), f"{stable}@cycle1", f"{stable}@cycle1-epoch1", str(pre), str(tmp_path / "sage.pt"))
    candidates = find_candidates(words)
    assert [one.name for one in candidates] == [
        "pre",
        "stable",
        "stable-cycle1",
        "stable-cycle1-epoch1",
        "schnet",
        "sage",
    ]
    assert candidates[0].path == pre / "potential.pt" == candidates[4].path
    assert candidates[2].path == stable / "potentials" / "cycle1.pt"


def test_a_fit_of_a_force_field_is_found(tmp_path):
    (tmp_path / "fit").mkdir()
    (tmp_path / "fit" / "force-field.pt").write_bytes(b"")
    assert find_candidates((str(tmp_path / "fit"),))[0].path.name == "force-field.pt"


def test_like_names_are_told_apart(runs):
    _, stable = runs
    names = [one.name for one in find_candidates((str(stable), str(stable)))]
    assert names == ["stable", "stable-2"]


def test_what_is_not_there_is_named(runs, tmp_path):
    pre, stable = runs
    with pytest.raises(ValueError, match="has no 'cycle9'; there are cycle1, cycle1-epoch1, cycle2"):
        find_candidates((f"{stable}@cycle9",))
    with pytest.raises(FileNotFoundError, match="no such run or file"):
        find_candidates(("nowhere",))
    with pytest.raises(ValueError, match="name at least one"):
        find_candidates(())
    with pytest.raises(ValueError, match="pre: is what a run"):
        find_candidates(("pre",))
    with pytest.raises(ValueError, match="is a file"):
        find_candidates((f"{pre / 'potential.pt'}@cycle1",))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no run here has ended"):
        find_candidates((str(tmp_path / "empty"),))
    (tmp_path / "empty" / "config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match="has not ended"):
        find_candidates((str(tmp_path / "empty"),))


def test_a_folder_of_runs_stands_for_the_latest_that_has_ended(runs):
    pre, stable = runs
    (stable / "summary.json").write_text("{}")
    later = stable.with_name("2026-01-03-000000-later")
    later.mkdir()
    (later / "config.json").write_text("{}")
    candidates = find_candidates(("pre", str(stable.parent), f"{stable.parent}@cycle1"))
    assert [one.name for one in candidates] == ["pre", "stable", "stable-cycle1"]
    assert [one.path for one in candidates][:2] == [pre / "potential.pt", stable / "potential.pt"]
