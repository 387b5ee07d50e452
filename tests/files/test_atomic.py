"""Files and folders that are whole or not there."""

import ctypes
import os
import pathlib
import subprocess
import sys

import pytest

from common.files import atomic as files
from common.files.atomic import get_beside, recover_folder, remove_leftovers, replace_atomically, replace_folder

N_SWAPS = 300
"""Often enough that a watcher sees a moment without a folder where there is one: with two renames it does."""


def make_folder(path: pathlib.Path, text: str) -> pathlib.Path:
    path.mkdir(parents=True)
    (path / "text").write_text(text)
    return path


def can_exchange(folder: pathlib.Path) -> bool:
    if not hasattr(ctypes.CDLL(None), "renameat2"):
        return False
    return files._exchange(make_folder(folder / "1", ""), make_folder(folder / "2", ""))


@pytest.fixture(params=["exchange", "two renames"])
def way(request, monkeypatch):
    """Both ways of replacing a folder."""
    if request.param == "two renames":
        monkeypatch.setattr(files, "_exchange", lambda *_: False)


def test_a_file_replaces_the_earlier_one(tmp_path):
    for text in ("first", "second"):
        with replace_atomically(tmp_path / "deep" / "file") as beside:
            beside.write_text(text)
            assert text == "first" or (tmp_path / "deep" / "file").read_text() == "first"
    assert (tmp_path / "deep" / "file").read_text() == "second"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["file"]


def test_an_error_leaves_the_earlier_file_and_nothing_beside_it(tmp_path):
    (tmp_path / "file").write_text("earlier")
    with pytest.raises(KeyboardInterrupt), replace_atomically(tmp_path / "file") as beside:
        beside.write_text("half")
        raise KeyboardInterrupt
    assert (tmp_path / "file").read_text() == "earlier"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def name_half(path: pathlib.Path, pid: int, host: str = files._HOST) -> pathlib.Path:
    """What a process writes to before it is ``path``."""
    return path.with_name(get_beside(path).name.replace(f"{files._HOST}-{os.getpid()}", f"{host}-{pid}"))


@pytest.fixture
def ended() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path, ended):
    path = tmp_path / "file[1].txt"
    staying = {
        name_half(path, os.getppid()),
        name_half(path, ended, host="another"),
        name_half(tmp_path / "file2.txt", ended),
    }
    for half in (name_half(path, ended), *staying):
        half.write_text("half")
    with replace_atomically(path) as beside:
        beside.write_text("whole")
    assert set(tmp_path.iterdir()) == {path, *staying}


def test_leftovers_of_any_name_files_and_folders(tmp_path, ended):
    (name_half(tmp_path / "x", ended) / "figures").mkdir(parents=True)
    name_half(tmp_path / "y", ended).write_text("half")
    staying = name_half(tmp_path / "z", os.getppid())
    staying.write_text("half")
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [staying]


@pytest.mark.parametrize("has_old", [False, True])
def test_a_folder_replaces_the_earlier_one(way, has_old, tmp_path):
    if has_old:
        make_folder(tmp_path / "data", "old")
    replace_folder(make_folder(tmp_path / "new", "new"), tmp_path / "data")
    assert (tmp_path / "data" / "text").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


WATCHER = """
import os, sys
print("watching", flush=True)
while not os.path.exists(sys.argv[1] + ".stop"):
    if not os.path.exists(sys.argv[1] + "/text"):
        sys.exit(1)
"""


def swap_watched(path: pathlib.Path) -> int:
    """Replaces a folder many times; 1 if a process that watches saw none at some moment."""
    make_folder(path, "0")
    with subprocess.Popen([sys.executable, "-c", WATCHER, str(path)], stdout=subprocess.PIPE) as watcher:
        watcher.stdout.readline()
        for i in range(N_SWAPS):
            replace_folder(make_folder(path.with_name("new"), str(i)), path)
        path.with_name(path.name + ".stop").touch()
    return watcher.returncode


def test_at_every_moment_there_is_a_whole_folder(tmp_path):
    if not can_exchange(tmp_path / "try"):
        pytest.skip("this system cannot exchange two names in one step")
    assert swap_watched(tmp_path / "data") == 0


def test_a_run_killed_between_two_renames_is_undone(tmp_path):
    make_folder(tmp_path / ".data.old", "old")
    recover_folder(tmp_path / "data")
    assert (tmp_path / "data" / "text").read_text() == "old"
    make_folder(tmp_path / ".data.old", "older")
    recover_folder(tmp_path / "data")  # nothing to undo
    assert (tmp_path / "data" / "text").read_text() == "old"


def test_an_error_in_the_exchange_is_raised(tmp_path):
    make_folder(tmp_path / "data", "old")
    with pytest.raises(FileNotFoundError, match="new"):
        replace_folder(tmp_path / "new", tmp_path / "data")
    assert (tmp_path / "data" / "text").read_text() == "old"
