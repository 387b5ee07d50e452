"""The card of a fitted force field: what it was fitted on, how well it does, what it does not know, whose data."""

import collections.abc
import os
import pathlib
import typing

from common.data.dataset import list_sources, read_provenance
from common.files.atomic import replace_atomically

WITHOUT_LICENSE = "not stated; see where the data come from"


class DataSource(typing.NamedTuple):
    """One data set.

    Attributes:
        name: of the data set.
        counts: ``entries``, ``molecules``, ``conformers``, as far as its provenance says.
        license: of the data.
        doubts: how many entries look wrong by the checks of 001 and 003.
    """

    name: str
    counts: dict[str, int]
    license: str
    doubts: int


def describe_data(folder: str | os.PathLike) -> list[DataSource]:
    """What the data sets in a folder say of themselves."""
    sources = []
    for name in list_sources(folder):
        provenance = read_provenance(pathlib.Path(folder) / name)
        counts = provenance.get("counts", {})
        license_ = provenance.get("license", WITHOUT_LICENSE)
        sources.append(DataSource(name, counts.get("after", counts), license_, len(provenance.get("doubts", {}))))
    return sources


def write_model_card(
    path: pathlib.Path,
    comments: collections.abc.Sequence[str],
    sources: collections.abc.Sequence[DataSource],
    summary: collections.abc.Mapping[str, typing.Any],
    n_undetermined: int,
    n_trained: int,
) -> None:
    """Writes :func:`format_model_card` to a file; the arguments are the same."""
    with replace_atomically(path) as beside:
        beside.write_text(format_model_card(comments, sources, summary, n_undetermined, n_trained), encoding="utf-8")


def format_model_card(
    comments: collections.abc.Sequence[str],
    sources: collections.abc.Sequence[DataSource],
    summary: collections.abc.Mapping[str, typing.Any],
    n_undetermined: int,
    n_trained: int,
) -> str:
    """The card, in Markdown.

    Args:
        comments: how the force field came about, a line each.
        sources: the data sets.
        summary: as ``common.fitting.outputs.summarise`` gives it, with ``warnings``.
        n_undetermined: of the trained values, how many the data do not determine.
        n_trained: number of trained values.
    """
    lines = ["# A fitted SMIRNOFF force field", "", *(f"- {line}" for line in comments), ""]
    lines += ["## Files", ""]
    lines += [
        "- `force-field.offxml`: the force field, with the constraints of the file it started from",
        "- `force-field-unconstrained.offxml`: without constraints of bonds: energies as they were fitted",
        "- `parameters.csv`: every trained value with its standard error",
        "",
        "## Data",
        "",
        "| data set | molecules | conformers | licence | doubtful entries |",
        "| --- | ---: | ---: | --- | ---: |",
    ]
    for source in sources:
        counts = [str(source.counts.get(name, "?")) for name in ("molecules", "conformers")]
        lines.append(f"| {source.name} | {' | '.join(counts)} | {source.license} | {source.doubts} |")
    lines += ["", "Who passes the force field on answers to the licences of the data.", "", "## Errors", ""]
    lines += [
        "Root mean squares, every entry counting the same, energies relative to the mean of theirs. What counts is",
        "the split that did not train.",
        "",
        "| split | molecules | conformers | energy [kcal/mol], before | after | force [kcal/mol/Å], before | after |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, split in summary["splits"].items():
        if "loss_energy_final" in split:
            values = [
                f"{max(split[f'loss_{part}_{field}'], 0.0) ** 0.5:.2f}"
                for part in ("energy", "forces")
                for field in ("initial", "final")
            ]
            lines.append(f"| {name} | {split['n_molecules']} | {split['n_conformers']} | {' | '.join(values)} |")
    lines += ["", "## What it does not know", ""]
    lines += [f"- {n_undetermined} of {n_trained} trained values are not determined by the data (`parameters.csv`)"]
    lines += [f"- {warning}" for warning in summary.get("warnings", ())]
    lines += ["- molecules with groups that the data do not have keep the starting parameters there", ""]
    return "\n".join(lines)
