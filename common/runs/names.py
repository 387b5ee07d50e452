"""What a run is called: when it began, and what sets it apart from the first run beside it."""

import collections.abc
import datetime
import json
import os
import pathlib
import re
import typing

MAX_DIFFERENCES = 3
"""More are counted, not named."""

_STAMP_FORMAT = "%Y-%m-%d-%H%M%S"
_STAMP = re.compile(r"^\d{4}-\d\d-\d\d-\d{6}-")

_MAX_ALIKE = 99
"""Folders of the same second and name."""

_HIDDEN = ("versions", "contents")
"""What stands in config.json beside the settings."""


def propose_names(*what: str) -> list[str]:
    """Names for a folder made now, to be tried in turn: date, time and ``what``, then the same with a number."""
    first = "-".join((f"{datetime.datetime.now():{_STAMP_FORMAT}}", *what))
    return [first, *(f"{first}-{i}" for i in range(2, _MAX_ALIKE + 1))]


def flatten_settings(settings: collections.abc.Mapping[str, typing.Any]) -> dict[str, bool | int | float | str]:
    """Nested settings as names with slashes and plain values, as the hparams tab takes them; without versions."""
    flat: dict[str, bool | int | float | str] = {}
    for name, value in settings.items():
        if name in _HIDDEN:
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
    what: str,
    settings: collections.abc.Mapping[str, typing.Any],
    first: collections.abc.Mapping[str, typing.Any],
    implied: collections.abc.Collection[str] = (),
) -> str:
    """What a run is called, e.g. "adam-learning-rate-0.1".

    Args:
        what: begins the name, e.g. the method.
        settings: of the run, those that are worth a name.
        first: all settings of the run that it is compared with; where there is none, the name is ``what`` alone.
        implied: settings that ``what`` says already; of a nested one the name of the whole is left out.
    """
    before = flatten_settings(first)
    differences = [
        f"{'-'.join(part for part in name.split('/') if part not in implied)}-{_shorten(value)}"
        for name, value in flatten_settings(settings).items()
        if name not in implied and name in before and value != before[name]
    ]
    n_more = len(differences) - MAX_DIFFERENCES
    more = [f"and-{n_more}-more"] if n_more > 0 else []
    name = "-".join([what, *differences[:MAX_DIFFERENCES], *more])
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", name).strip("-")


def label_runs(names: collections.abc.Sequence[str]) -> list[str]:
    """Names of run folders without date and time, where they are different without them."""
    labels = [_STAMP.sub("", name) for name in names]
    return labels if len(set(labels)) == len(labels) else list(names)


def _shorten(value: bool | int | float | str) -> str:
    """A value as part of a file name: of a path, the last part."""
    return f"{value:g}" if isinstance(value, float) else pathlib.PurePath(str(value)).name
