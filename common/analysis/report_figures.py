"""The figures of the report: which there are, and what each of them shows."""

import collections.abc
import math
import typing

import numpy
from matplotlib.figure import Figure

from common.analysis.error_statistics import ErrorSums
from common.analysis.parameter_changes import Change
from common.analysis.predictions import Predictions
from common.analysis.records import GroupErrors, Results, RunDescription
from common.reporting.numbers import ENERGY_UNIT, FORCE_UNIT, format_number
from common.reporting.plots import (
    COLOURS,
    Band,
    LearningCurve,
    Move,
    find_limits,
    plot_bars,
    plot_learning_curves,
    plot_lines,
    plot_moves,
    plot_parity,
    plot_profile,
)
from common.runs.curves import Curve

FORCE_COVERAGE = 0.9999
"""The axes of force parity plots show this fraction of the components: a single clash would hide all others."""

MAX_BINS = 12
"""Of the relative energy, each with as many conformers as the others."""

MIN_PER_BIN = 20
"""Conformers in a bin, while there are three bins."""

FLOOR_TOLERANCE = 1e-6
"""Relative, between the optima that two runs found for the same loss."""

MIN_EPOCHS = 3
"""An exact fit logs its start and its end: no curve."""


class ReportFigure(typing.NamedTuple):
    """A figure with the file name, without suffix, and the words for those who do not see it."""

    name: str
    description: str
    figure: Figure


def choose_colours(names: collections.abc.Sequence[str]) -> dict[str, str]:
    """A colour for each candidate: grey for where the first fit began."""
    first = 0 if names[0] == "initial" else 1
    return {name: COLOURS[(first + i) % len(COLOURS)] for i, name in enumerate(names)}


def draw_parity(predictions: Predictions, errors: ErrorSums, group: GroupErrors) -> dict[str, list[ReportFigure]]:
    """By "energy" and "force", each candidate against the reference, on the split of ``group``; none without data."""
    split = group.split
    in_split = numpy.repeat((errors.splits == split) | (split == "all"), predictions.n_confs)
    samples = predictions.force_samples[split]
    energies = _centre(predictions, numpy.vstack((predictions.reference, predictions.energies)))
    energies = energies[:, in_split & ~numpy.isnan(predictions.reference)]
    figures: dict[str, list[ReportFigure]] = {"energy": [], "force": []}
    for quantity, coverage, values, unit, key in (
        ("energy", 1.0, energies, ENERGY_UNIT, "energy_rmse"),
        ("force", FORCE_COVERAGE, samples, FORCE_UNIT, "force_rmse"),
    ):
        if not values.size:
            continue
        limits = find_limits(list(values), coverage)
        for i, name in enumerate(predictions.names):
            note = f"RMSE {format_number(getattr(group.candidates[name], key))} {unit}"
            figure = plot_parity(values[0], values[i + 1], limits, name, quantity, unit, note)
            description = f"Parity plot of the {quantity} by {name} against the quantum reference; {note}."
            figures[quantity].append(ReportFigure(f"parity-{quantity}-{_to_file_name(name)}", description, figure))
    return figures


def _centre(predictions: Predictions, energies: numpy.ndarray) -> numpy.ndarray:
    """Energies relative to the mean of their entry."""
    means = numpy.add.reduceat(energies, predictions.starts, axis=-1) / predictions.n_confs
    return energies - numpy.repeat(means, predictions.n_confs, axis=-1)


def _to_file_name(name: str) -> str:
    return "".join(character if character.isalnum() or character in ".-" else "-" for character in name)


def draw_error_against_energy(predictions: Predictions, errors: ErrorSums, split: str) -> list[ReportFigure]:
    """The errors of conformers that lie more or less above the lowest of their entry."""
    in_split = (errors.splits == split) | (split == "all")
    chosen = numpy.repeat(in_split & (errors.n_energies > 1), predictions.n_confs)
    if not chosen.any():
        return []
    lowest = numpy.minimum.reduceat(predictions.reference, predictions.starts)
    relative = (predictions.reference - numpy.repeat(lowest, predictions.n_confs))[chosen]
    n_components = numpy.repeat(errors.n_components / predictions.n_confs, predictions.n_confs)[chosen]
    force_squares = numpy.nan_to_num(predictions.force_squares[:, chosen], nan=0.0)
    residuals = _centre(predictions, predictions.energies - predictions.reference)[:, chosen]
    n_bins = max(3, min(MAX_BINS, len(relative) // MIN_PER_BIN))
    edges = numpy.unique(numpy.quantile(relative, numpy.linspace(0.0, 1.0, n_bins + 1)))
    bins = numpy.clip(numpy.searchsorted(edges, relative, side="right") - 1, 0, max(len(edges) - 2, 0))
    used, bins = numpy.unique(bins, return_inverse=True)  # of few values some quantiles have nothing between them

    def add_up(values: numpy.ndarray) -> numpy.ndarray:
        return numpy.bincount(bins, weights=values, minlength=len(used))

    counts = add_up(numpy.ones_like(relative))
    x = add_up(relative) / counts
    colours = choose_colours(predictions.names)
    figures = []
    for quantity, squares, sizes, unit in (
        ("energy", residuals**2, counts, ENERGY_UNIT),
        ("force", force_squares, add_up(n_components), FORCE_UNIT),
    ):
        if not sizes.all():
            continue
        lines = {
            name: Band(x, numpy.sqrt(add_up(row) / sizes)) for name, row in zip(predictions.names, squares, strict=True)
        }
        figure = plot_lines(
            lines, f"quantum energy above the lowest [{ENERGY_UNIT}]", f"{quantity} RMSE [{unit}]", "", colours
        )
        description = f"Root mean square {quantity} error against the quantum energy above the lowest of the entry."
        figures.append(ReportFigure(f"{quantity}-error-by-relative-energy", description, figure))
    return figures


def draw_calibration(results: Results) -> list[ReportFigure]:
    """Which share of the errors of energies so many standard errors cover, against what they should."""
    one = results.calibration
    if one is None:
        return []
    shares = {
        "as it should be": one.nominal,
        "parameters": one.by_parameters,
        "parameters and residual": one.with_residual,
    }
    lines = {name: Band(numpy.array(one.nominal), numpy.array(values)) for name, values in shares.items()}
    colours = dict(zip(lines, COLOURS, strict=False))
    figure = plot_lines(lines, "share that should be covered", "share that is covered", "", colours)
    description = f"Coverage of the energy errors of {one.candidate} by their standard errors."
    return [ReportFigure("calibration", description, figure)]


def draw_sources(results: Results) -> list[ReportFigure]:
    """The errors by source, on the split whose errors count."""
    groups = [group for group in results.groups if group.split == results.focus and group.source != "all"]
    if not groups:
        return []
    colours = choose_colours(results.drawn)
    figures = []
    for quantity, key, unit in (("energy", "energy_rmse", ENERGY_UNIT), ("force", "force_rmse", FORCE_UNIT)):
        errors = {name: [group.candidates[name] for group in groups] for name in results.drawn}
        values = {
            name: [math.nan if getattr(one, key) is None else getattr(one, key) for one in own]
            for name, own in errors.items()
        }
        if not numpy.isfinite(list(values.values())).any():
            continue
        intervals = {name: [getattr(one, f"{key}_interval") for one in own] for name, own in errors.items()}
        figure = plot_bars(
            [group.source for group in groups], values, intervals, f"{quantity} RMSE [{unit}]", "", colours
        )
        description = f"Root mean square {quantity} error of each source, with 95 % intervals where known."
        figures.append(ReportFigure(f"{quantity}-error-by-source", description, figure))
    return figures


def draw_learning_curves(
    curves: collections.abc.Mapping[str, collections.abc.Mapping[str, Curve]], results: Results
) -> list[ReportFigure]:
    """The loss and its parts, of each run, as far as they were logged."""
    floor = find_floor(results.runs)
    colours = choose_colours(results.drawn)
    figures = []
    for tag, label, y_label in (
        ("loss", "loss", "loss [kcal²/mol²]"),
        ("rmse_energy", "energy", f"energy error [{ENERGY_UNIT}]"),
        ("rmse_forces", "forces", f"force error [{FORCE_UNIT}]"),
    ):
        mine = [
            LearningCurve(
                f"{run}, {split}" if len(curves) > 1 else split,
                *own[f"{tag}/{split}"],
                colours[run] if len(curves) > 1 else COLOURS[1 + i],
                style,
            )
            for run, own in curves.items()
            for i, (split, style) in enumerate((("train", "-"), ("validation", "--")))
            if f"{tag}/{split}" in own
            and len(own[f"{tag}/{split}"].epochs) >= MIN_EPOCHS
            and any(own[f"{tag}/{split}"].values)  # all 0 where there are no such data
        ]
        if mine:
            figure = plot_learning_curves(mine, floor if tag == "loss" else None, y_label, "")
            description = f"Learning curve of the {label}, for train and validation."
            figures.append(ReportFigure(f"learning-curve-{label}", description, figure))
    return figures


def find_floor(runs: collections.abc.Sequence[RunDescription]) -> float | None:
    """The least training loss, where it is known and the same for all runs: losses differ in weights and data."""
    floors = [run.summary["loss_optimum"] for run in runs if "loss_optimum" in run.summary]
    if not floors or len(floors) < len(runs) or max(floors) - min(floors) > FLOOR_TOLERANCE * max(floors):
        return None
    return floors[0]


def draw_changes(changes: collections.abc.Mapping[str, collections.abc.Sequence[Change]]) -> list[ReportFigure]:
    """The values that the fit moved most, a figure for each group of values that may be compared."""
    figures = []
    for name, group in changes.items():
        moves = [Move(one.label, one.initial, one.fitted, one.standard_error) for one in group]
        figure = plot_moves(moves, f"{group[0].column} [{group[0].unit}]", name)
        description = f"The values of {name} that moved most, before and after."
        figures.append(ReportFigure(f"changes-{_to_file_name(name)}", description, figure))
    return figures


def draw_profiles(results: Results) -> list[ReportFigure | None]:
    """The energy profile of each of the worst molecules; None where there is one conformer only."""
    colours = choose_colours(results.drawn)
    figures: list[ReportFigure | None] = []
    for number, record in enumerate(results.worst_molecules, start=1):
        profile = record.profile
        if profile is None:
            figures.append(None)
            continue
        energies = {name: profile.energies[name] for name in results.drawn}
        bars = {name: values for name, values in profile.standard_errors.items() if name in energies}
        figure = plot_profile(profile.x, profile.reference, energies, profile.axis, colours, bars)
        description = f"Energy profile of {record.molecule}: quantum against force fields."
        figures.append(ReportFigure(f"profile-{number:02d}", description, figure))
    return figures


def draw_relaxed_scans(results: Results) -> list[ReportFigure | None]:
    """Relaxed profiles, those with the least and the largest errors and some between."""
    if results.relaxed is None:
        return []
    colours = choose_colours(results.relaxed.candidates)
    figures: list[ReportFigure | None] = []
    for number, scan in enumerate(results.list_drawn_scans(), start=1):
        figure = plot_profile(scan.angles, scan.reference, scan.energies, "dihedral [degree]", colours)
        description = f"Relaxed torsion profile of {scan.origin.molecule}: quantum against force fields."
        figures.append(ReportFigure(f"relaxed-scan-{number:02d}", description, figure))
    return figures


def draw_all(
    results: Results,
    predictions: Predictions,
    errors: ErrorSums,
    curves: collections.abc.Mapping[str, collections.abc.Mapping[str, Curve]],
) -> dict[str, collections.abc.Sequence[ReportFigure | None]]:
    """All figures by the section of the report that they belong to."""
    predictions = predictions.select(results.drawn)
    parity = draw_parity(predictions, errors, results.headline)
    return {
        "sources": draw_sources(results),
        "parity_energy": parity["energy"],
        "parity_force": parity["force"],
        "relative_energy": draw_error_against_energy(predictions, errors, results.focus),
        "calibration": draw_calibration(results),
        "learning": draw_learning_curves(curves, results),
        "changes": draw_changes(results.changes),
        "profiles": draw_profiles(results),
        "relaxed_scans": draw_relaxed_scans(results),
    }
