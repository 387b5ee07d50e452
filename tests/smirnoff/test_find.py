"""Where a force field file is looked for, and what is said if it is nowhere."""

import pathlib

import pytest

from common.smirnoff import find
from common.smirnoff.find import find_force_field


def test_finds_by_path_in_the_folder_and_in_packages(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    installed = tmp_path / "site-packages" / "offxml"
    monkeypatch.setattr(find, "list_installed_folders", lambda: [installed])
    for folder in (installed, tmp_path / "force-fields", tmp_path / "mine"):
        folder.mkdir(parents=True)
        (folder / "some.offxml").write_text("")
        assert find_force_field(folder / "some.offxml") == folder / "some.offxml"
    assert find_force_field("some.offxml") == pathlib.Path("force-fields/some.offxml")  # one's own file comes first
    (tmp_path / "force-fields" / "some.offxml").unlink()
    assert find_force_field("some.offxml") == installed / "some.offxml"


def test_asks_installed_packages(tmp_path, monkeypatch):
    class EntryPoint:
        def load(self):
            return lambda: [str(tmp_path)]

    monkeypatch.setattr(
        find.importlib.metadata, "entry_points", lambda group: [EntryPoint()] if "smirnoff" in group else []
    )
    (tmp_path / "some.offxml").write_text("")
    assert find_force_field("some.offxml") == tmp_path / "some.offxml"


def test_says_where_it_looked_and_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r"(?s)force-fields/none\.offxml.*conda-forge openff-forcefields.*download none"
    ):
        find_force_field("none.offxml")
