"""The folder of a run: made, described by config.json, found again."""

import collections.abc
import dataclasses
import json
import os
import pathlib
import typing

from common.files.artifacts import MissingArtifactError
from common.files.plain import write_json
from common.files.provenance import describe_versions
from common.runs.names import propose_names
from common.runs.settings import S, SettingsError, StageSettings, from_plain, to_plain

CONFIG = "config.json"
COVARIANCE = "covariance.pt"
SUMMARY = "summary.json"
"""Written last: a run that has it has ended."""


def create_run_folder(output: str | os.PathLike, name: str) -> pathlib.Path:
    """A new folder below ``output``: date, time and ``name``; a number is added where there is such a one."""
    output = pathlib.Path(output)
    output.mkdir(parents=True, exist_ok=True)
    names = propose_names(name)
    for proposed in names:
        try:
            (output / proposed).mkdir()
        except FileExistsError:
            continue
        return output / proposed
    raise OSError(f"{output}: no free name for a run folder {names[0]}")


def find_latest_run(output: str | os.PathLike) -> pathlib.Path:
    """The run that was started last and has ended.

    Raises:
        MissingArtifactError: there is none.
    """
    runs = sorted(path.parent for path in pathlib.Path(output).glob(f"*/{SUMMARY}"))
    if not runs:
        raise MissingArtifactError(f"{output}: no finished run here", "run")
    return runs[-1]


def resolve_run(path: str | os.PathLike) -> pathlib.Path:
    """A run folder as it is; of a folder of runs the latest that has ended.

    Raises:
        MissingArtifactError: it is neither.
    """
    folder = pathlib.Path(path)
    return folder if (folder / CONFIG).is_file() else find_latest_run(folder)


def write_config(
    folder: pathlib.Path, settings: StageSettings, contents: collections.abc.Mapping[str, str] | None = None
) -> None:
    """Writes config.json: all settings, what names the contents of the files that count, and the versions.

    Args:
        folder: of the run.
        settings: that it was started with, or goes on with.
        contents: by setting, as ``fingerprint_settings`` takes them.
    """
    described = {"contents": dict(contents)} if contents else {}
    write_json(folder / CONFIG, {**to_plain(settings), **described, "versions": describe_versions()})


def read_config(folder: pathlib.Path) -> dict[str, typing.Any]:
    """What config.json holds.

    Raises:
        FileNotFoundError: the folder is no run.
        ValueError: the file is damaged.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; {folder} is no run folder")
    try:
        config = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: damaged JSON ({error}); start the run anew") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path}: holds no settings; start the run anew")
    return config


def read_settings_of_run(folder: pathlib.Path, kind: type[S]) -> S:
    """The settings that a run was started with.

    Raises:
        FileNotFoundError: the folder is no run.
        SettingsError: the run was made by another stage or version.
    """
    config = read_config(folder)
    names = {field.name for field in dataclasses.fields(kind)}
    missing = sorted(names - set(config))
    if missing:
        raise SettingsError(
            f"{folder / CONFIG}: lacks {', '.join(missing)}; it was made by another stage or an older version: start a "
            "new run"
        )
    return from_plain(kind, {name: config[name] for name in names}, str(folder / CONFIG))
