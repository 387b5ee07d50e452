"""The settings of a run in words: for names that say when and what differs, for reports, for TensorBoard."""

import collections.abc
import json
import os
import pathlib
import re
import typing

MAX_DIFFERENCES = 3
"""More are counted, not named."""

_STAMP = re.compile(r"^\d{4}-\d\d-\d\d-\d{6}-")


def flatten_settings(settings: collections.abc.Mapping[str, typing.Any]) -> dict[str, bool | int | float | str]:
    """Nested settings as names with slashes and plain values, as the hparams tab takes them; without versions."""
    flat: dict[str, bool | int | float | str] = {}
    for name, value in settings.items():
        if name == "versions":
            continue
        if isinstance(value, collections.abc.Mapping) and value:
            flat |= {f"{name}/{key}": one for key, one in flatten_settings(value).items()}
        else:
            flat[name] = value if isinstance(value, bool | int | float | str) else str(value)
    return flat


def read_first_settings(output: str | os.PathLike) -> dict[str, typing.Any]:
    """The settings of the first run in a folder of runs; none where there is no run, or where they are damaged."""
    for path in sorted(pathlib.Path(output).glob("*/config.json"))[:1]:
        try:
            settings = json.loads(path.read_text())
        except (OSError, ValueError):
            return {}
        return settings if isinstance(settings, dict) else {}
    return {}


def name_run(
    settings: collections.abc.Mapping[str, typing.Any], first: collections.abc.Mapping[str, typing.Any]
) -> str:
    """What a run is called, e.g. "adam-learning-rate-0.1".

    Args:
        settings: of the run.
        first: of the run that it is compared with; where there is none, the name is the method alone.
    """
    before = flatten_settings(first)
    differences = [
        f"{name.removeprefix('pass/').removeprefix('parameters/')}-{_shorten(value)}"
        for name, value in flatten_settings(settings).items()
        if name != "method" and name in before and value != before[name]
    ]
    n_more = len(differences) - MAX_DIFFERENCES
    more = [f"and-{n_more}-more"] if n_more > 0 else []
    name = "-".join([settings["method"], *differences[:MAX_DIFFERENCES], *more])
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", name).strip("-")


def _shorten(value: bool | int | float | str) -> str:
    """A value as part of a file name: of a path, the last part."""
    return f"{value:g}" if isinstance(value, float) else pathlib.PurePath(str(value)).name


def label_runs(names: collections.abc.Sequence[str]) -> list[str]:
    """Names of run folders without date and time, where they are different without them."""
    labels = [_STAMP.sub("", name) for name in names]
    return labels if len(set(labels)) == len(labels) else list(names)
