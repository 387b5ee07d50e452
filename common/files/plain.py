"""JSON and CSV files, whole or not at all."""

import collections.abc
import csv
import json
import os
import pathlib
import typing

from common.files.atomic import replace_atomically


def write_json(path: str | os.PathLike, value: typing.Any) -> None:
    """Writes a JSON file, whole or not at all."""
    with replace_atomically(path) as beside:
        beside.write_text(json.dumps(value, indent=2, default=str) + "\n")


def write_table(
    path: pathlib.Path, records: collections.abc.Sequence[collections.abc.Mapping[str, typing.Any]]
) -> None:
    """Writes records with the same names as CSV, whole or not at all; None becomes an empty cell."""
    with replace_atomically(path) as beside, beside.open("w", newline="") as file:
        if records:
            writer = csv.DictWriter(file, fieldnames=list(records[0]))
            writer.writeheader()
            writer.writerows(records)
