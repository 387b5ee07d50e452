"""What stage 005 prints: the verdict, the errors and the largest changes."""

import collections.abc
import pathlib

from common.analysis.records import Interval, Results, list_relaxed_groups
from common.relaxation.summary import LABELS as RELAXED_LABELS
from common.reporting.console import format_command
from common.reporting.numbers import ENERGY_UNIT, FORCE_UNIT, format_interval, format_number

N_CHANGES = 3
"""Values of each kind that are printed."""

PRINTED_MEASURES = {
    "scans": ("profile_rmse", "profile_mean_error", "barrier_rmse"),
    "minima": ("rmsd_heavy", "tfd", "dde_rmse"),
}
"""Of relaxed geometries; report and tables have all."""

_RULE = "!" * 100


def print_results(results: Results) -> None:
    """Prints what a reader wants to know first."""
    for name, molecules in results.left_out.items():
        smiles, reason = next(iter(molecules.items()))
        print(f"left out for all: {len(molecules)} molecules that {name} cannot do, e.g. {smiles} ({reason})")
    _print_errors(results)
    _print_relaxed(results)
    _print_changes(results)
    if results.warnings:
        print(_RULE)
        for warning in results.warnings:
            print(f"WARNING: {warning}")
        print(_RULE)
    print(f"\n{results.verdict}")


def print_what_to_do(runs: collections.abc.Sequence[pathlib.Path]) -> None:
    """Prints what the fitted force fields are good for.

    Args:
        runs: folders of the runs that were analyzed; nothing is printed without any.
    """
    if not runs:
        return
    print()
    for folder in sorted({run.parent for run in runs}):
        print(f"watch: {format_command('-m', 'tensorboard.main', '--logdir', folder)}")
    for run in runs:
        print(f"use: {run / 'force-field.offxml'}")
    print(
        "     Any SMIRNOFF engine reads it, the OpenFF toolkit for example by ForceField(PATH); beside it, the same\n"
        "     without constraints (force-field-unconstrained.offxml) and what it was fitted on (force-field.md)."
    )


def _print_errors(results: Results) -> None:
    width = max(len(name) for name in results.candidates)
    print(f"\nroot mean square errors{'':{max(0, width - 19)}}   energy [{ENERGY_UNIT}]          force [{FORCE_UNIT}]")
    for group in results.groups:
        if group.source != "all":
            continue
        print(f"{group.split}: {group.n_molecules} molecules, {group.n_conformers} conformers")
        for name, errors in group.candidates.items():
            energy = _format_cell(errors.energy_rmse, errors.energy_rmse_interval)
            force = _format_cell(errors.force_rmse, errors.force_rmse_interval)
            print(f"  {name:<{max(width, 20)}}     {energy:<26}{force}".rstrip())


def _print_relaxed(results: Results) -> None:
    for group in list_relaxed_groups(results):
        what = "scans with relaxed geometries" if group.kind == "scans" else "relaxed minima"
        print(f"\n{what}, {group.split}: {group.n_molecules} molecules, {group.n_geometries} geometries")
        for measure in PRINTED_MEASURES[group.kind]:
            label, unit = RELAXED_LABELS[measure]
            values = (f"{name} {format_number(own[measure].value)}" for name, own in group.measures.items())
            print(f"  {label + (f' [{unit}]' if unit else ''):<56} {', '.join(values)}")
        missing = [f"{n} by {name}" for name, n in group.n_not_relaxed.items() if n]
        if missing:
            print(f"  not brought to a minimum: {', '.join(missing)} (named in tables/relaxed-failures.csv)")


def _format_cell(value: float | None, interval: Interval | None) -> str:
    return f"{format_number(value):>6}" + (f"  ({format_interval(interval)})" if interval else "")


def _print_changes(results: Results) -> None:
    if not results.changes:
        return
    print("\nlargest changes")
    for name, changes in results.changes.items():
        for change in changes[:N_CHANGES]:
            error = change.standard_error
            values = f"{format_number(change.initial, 4):>8} -> {format_number(change.fitted, 4):>8}"
            values += f" ± {format_number(error, 2)}" if error is not None else ""
            limit = ", at its limit" if change.is_at_limit else ""
            print(f"  {name:<20} {change.label:<24.24} {values} {change.unit}{limit}")
    if results.undetermined:
        print(f"  {len(results.undetermined)} of {results.n_values_trained} values are not determined by the data")
