"""The folder of a run: its name, and which one is the latest."""

import datetime
import os
import pathlib

from common.files.artifacts import MissingArtifactError

_STAMP_FORMAT = "%Y-%m-%d-%H%M%S"

_MAX_ALIKE = 99
"""Folders of the same second and name."""


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
    runs = sorted(path.parent for path in pathlib.Path(output).glob("*/summary.json"))
    if not runs:
        raise MissingArtifactError(f"{output}: no finished run here", "run")
    return runs[-1]


def propose_names(*what: str) -> list[str]:
    """Names for a folder made now, to be tried in turn: date, time and ``what``, then the same with a number."""
    first = "-".join((f"{datetime.datetime.now():{_STAMP_FORMAT}}", *what))
    return [first, *(f"{first}-{i}" for i in range(2, _MAX_ALIKE + 1))]
