"""Folders of runs: each its own, described by what it was asked to do, and found again when it has ended."""

import dataclasses
import json

import pytest

from common.files.artifacts import MissingArtifactError
from common.runs.folder import (
    CONFIG,
    SUMMARY,
    create_run_folder,
    find_latest_run,
    read_config,
    read_settings_of_run,
    write_config,
)
from common.runs.settings import AtLeastOne, Duration, SettingsError, StageSettings


@dataclasses.dataclass(frozen=True)
class Settings(StageSettings):
    """Of a made-up stage."""

    learning_rate: float = 0.1
    n_epochs: Duration[AtLeastOne[int]] = 10


def test_runs_of_one_second_have_folders_of_their_own(tmp_path):
    folders = [create_run_folder(tmp_path / "runs", "adam") for _ in range(3)]
    assert len(set(folders)) == 3
    assert all(folder.is_dir() and "-adam" in folder.name for folder in folders)


def test_the_latest_run_is_the_last_that_has_ended(tmp_path):
    for name in ("2026-01-01-000000-a", "2026-01-03-000000-b", "2026-01-02-000000-c"):
        (tmp_path / name).mkdir()
    with pytest.raises(MissingArtifactError, match="no finished run"):
        find_latest_run(tmp_path)
    for name in ("2026-01-01-000000-a", "2026-01-02-000000-c"):
        (tmp_path / name / SUMMARY).write_text("{}")
    assert find_latest_run(tmp_path).name == "2026-01-02-000000-c"


def test_what_was_asked_for_comes_back(tmp_path):
    write_config(tmp_path, Settings(learning_rate=0.5), {"data": "0123"})
    assert read_settings_of_run(tmp_path, Settings) == Settings(learning_rate=0.5)
    config = read_config(tmp_path)
    assert config["contents"] == {"data": "0123"}
    assert "python" in config["versions"]


@pytest.mark.parametrize(("text", "message"), [("{", "damaged JSON"), ("[1]", "holds no settings")])
def test_a_damaged_description_is_named(tmp_path, text, message):
    (tmp_path / CONFIG).write_text(text)
    with pytest.raises(ValueError, match=rf"config\.json: {message}"):
        read_config(tmp_path)


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{tmp_path} is no run folder"):
        read_config(tmp_path)


def test_a_run_of_another_version_is_refused(tmp_path):
    write_config(tmp_path, Settings())
    config = json.loads((tmp_path / CONFIG).read_text())
    del config["n_epochs"]
    (tmp_path / CONFIG).write_text(json.dumps(config))
    with pytest.raises(SettingsError, match="lacks n_epochs"):
        read_settings_of_run(tmp_path, Settings)
