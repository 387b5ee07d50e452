"""Puts the results of stage 005 together: one record that the console, ``metrics.json`` and the report all show."""

import collections.abc
import dataclasses
import typing

import numpy

from common.analysis.changes import Change, find_usage, list_changes, rank_changes, read_details
from common.analysis.evaluation import Evaluation, Index
from common.analysis.metrics import (
    BOOTSTRAP_SEED,
    CONFIDENCE,
    MIN_MOLECULES,
    N_RESAMPLES,
    EntryErrors,
    compare_candidates,
    compute_metrics,
    describe_molecules,
    describe_parameter_errors,
)
from common.analysis.profiles import build_profile, find_scan
from common.analysis.study import OPTIMUM, Run, Study, check_run
from common.analysis.verdict import write_verdict
from common.data.dataset import list_sources, open_dataset, read_entries, read_fingerprint
from common.data.weighting import weigh_conformers
from common.files.provenance import describe_versions
from common.forcefields.tensors import ParameterizedMolecules
from common.smirnoff.offxml import read_ids

N_WORST = 12
"""Molecules that are drawn."""

N_CHANGES = 12
"""Values of each group that are shown; the tables have all."""

N_PARAMETER_ERRORS = 15
"""Parameters shown whose molecules have the largest errors; the tables have all."""

MIN_USERS = 5
"""A parameter is shown among those if so many molecules use it and so many others do not."""

FOCUS_ORDER = ("test", "validation", "new", "train", "all")
"""The first of these splits that has data is the one whose figures count."""


@dataclasses.dataclass(frozen=True)
class Tables:
    """Long tables, as records: each goes to a CSV file."""

    errors: list[dict[str, typing.Any]]
    molecules: list[dict[str, typing.Any]]
    parameter_changes: list[dict[str, typing.Any]]
    parameter_errors: list[dict[str, typing.Any]]


@dataclasses.dataclass(frozen=True)
class Results:
    """What stage 005 found.

    Attributes:
        summary: plain values, what ``metrics.json`` holds and the console and the report show.
        tables: all records, of which ``summary`` holds the first.
        changes: by group, the determined values that the fit moved, the largest change first.
    """

    summary: dict[str, typing.Any]
    tables: Tables
    changes: dict[str, list[Change]]


def collect_results(
    study: Study,
    index: Index,
    evaluation: Evaluation,
    errors: EntryErrors,
    molecules: collections.abc.Mapping[str, ParameterizedMolecules],
) -> Results:
    """Everything that is to be said about a study.

    Args:
        study: what was analyzed.
        index: its entries.
        evaluation, errors: what was computed for them.
        molecules: of each candidate.
    """
    groups = compute_metrics(errors)
    focus = next(split for split in FOCUS_ORDER if any(group["split"] == split for group in groups))
    main_candidate = study.after or errors.names[0]
    main_molecules = molecules[main_candidate]
    usage = find_usage(main_molecules, set(errors.smiles.tolist()))
    changes = _list_changes(study, molecules, usage, errors)
    moved = rank_changes(changes)
    parameter_errors = _name_parameters(describe_parameter_errors(errors, main_candidate, usage), main_molecules)
    drawn = [name for name in errors.names if name != OPTIMUM]
    comparisons = [compare_candidates(errors, focus, study.before, name) for name in drawn[1:] if study.runs]
    comparison = next((one for one in comparisons if one["after"] == study.after), None)
    total = next(group for group in groups if group["split"] == focus and group["source"] == "all")
    summary = {
        "verdict": write_verdict(total, comparison, main_candidate),
        "warnings": [
            line
            for run, ends in zip(study.runs, study.ends, strict=True)
            for line in check_run(run, ends, study, errors, bool(index.left_out))
        ],
        "candidates": list(errors.names),
        "drawn": drawn,
        "before": study.before,
        "after": study.after,
        "main_candidate": main_candidate,
        "focus": focus,
        "comparison": comparison,
        "comparisons": comparisons,
        "groups": groups,
        "interval": {
            "confidence": CONFIDENCE,
            "method": "percentile bootstrap over molecules",
            "n_resamples": N_RESAMPLES,
            "seed": BOOTSTRAP_SEED,
            "min_molecules": MIN_MOLECULES,
        },
        "left_out": index.left_out,
        "n_values_trained": len(changes),
        "n_values_changed": sum(change.change != 0.0 for change in changes),
        "changes": {name: [_to_record(one) for one in group[:N_CHANGES]] for name, group in moved.items()},
        "undetermined": [_to_record(one) for one in changes if one.is_determined is False],
        "parameter_errors": [
            record
            for record in parameter_errors
            if MIN_USERS <= record["n_molecules"] <= total_molecules(groups) - MIN_USERS
        ][:N_PARAMETER_ERRORS],
        "worst_molecules": describe_worst_molecules(study, evaluation, errors, main_candidate, main_molecules),
        "runs": [_describe_run(*pair) for pair in zip(study.run_names, study.runs, strict=True)],
        "data": {"path": str(study.data), "fingerprints": _read_fingerprints(study, errors)},
        "force_fields": {name: _describe_force_field(one) for name, one in molecules.items()},
        "versions": describe_versions(),
    }
    tables = Tables(
        errors=[record for group in groups for record in _flatten_group(group)],
        molecules=describe_molecules(errors),
        parameter_changes=[_to_record(change) for change in changes],
        parameter_errors=parameter_errors,
    )
    return Results(summary, tables, moved)


def total_molecules(groups: list[dict[str, typing.Any]]) -> int:
    """The number of molecules in all splits and sources together."""
    return next(g["n_molecules"] for g in groups if g["split"] == "all" and g["source"] == "all")


def _list_changes(
    study: Study,
    molecules: collections.abc.Mapping[str, ParameterizedMolecules],
    usage: dict[str, set[tuple[str, str]]],
    errors: EntryErrors,
) -> list[Change]:
    """The trained values; those that no training molecule uses are not determined, whatever else is known."""
    if not study.runs:
        return []
    run = study.runs[0]
    details = read_details(run.folder / "parameters.csv")
    before, after = molecules[study.before].force_field, molecules[study.after]
    changes = list_changes(run.config["trained"], before, after, details)
    if details:
        return changes
    users: dict[tuple[str, str], set[str]] = {}
    for smiles, key, split in zip(errors.smiles, errors.keys, errors.splits, strict=True):
        for parameter in usage[smiles] if split == "train" else ():
            users.setdefault(parameter, set()).add(key)
    counts = [len(users.get((change.type, change.smirks), ())) for change in changes]
    return [
        dataclasses.replace(change, n_molecules=count, is_determined=None if count else False)
        for change, count in zip(changes, counts, strict=True)
    ]


def _to_record(change: Change) -> dict[str, typing.Any]:
    return {**dataclasses.asdict(change), "change": change.change, "label": change.label}


def _name_parameters(
    records: list[dict[str, typing.Any]], molecules: ParameterizedMolecules
) -> list[dict[str, typing.Any]]:
    ids = read_ids(molecules.provenance["offxml"])
    return [{"type": r["type"], "id": ids.get((r["type"], r["smirks"]), ""), **r} for r in records]


def _flatten_group(group: dict[str, typing.Any]) -> list[dict[str, typing.Any]]:
    """One record for each candidate, intervals as two columns."""
    counts = {name: value for name, value in group.items() if name != "candidates"}
    records = []
    for name, figures in group["candidates"].items():
        record = {**counts, "candidate": name}
        for figure, value in figures.items():
            if figure.endswith("_interval"):
                record[f"{figure}_low"], record[f"{figure}_high"] = value or (None, None)
            else:
                record[figure] = value
        records.append(record)
    return records


def _describe_run(name: str, run: Run) -> dict[str, typing.Any]:
    return {"name": name, "folder": str(run.folder), "config": run.config, "summary": run.summary}


def _describe_force_field(molecules: ParameterizedMolecules) -> dict[str, typing.Any]:
    names = ("force_field", "force_field_sha256", "charge_model", "engine", "created")
    description = {name: molecules.provenance.get(name, "unknown") for name in names}
    return {**description, "is_fitted": "fitted" in molecules.provenance}


def _read_fingerprints(study: Study, errors: EntryErrors) -> dict[str, str]:
    return {source: read_fingerprint(study.data / source) for source in list_sources(study.data)}


# --- the worst molecules ---------------------------------------------------------------------------------------------


def describe_worst_molecules(
    study: Study,
    evaluation: Evaluation,
    errors: EntryErrors,
    candidate: str,
    molecules: ParameterizedMolecules,
) -> list[dict[str, typing.Any]]:
    """The molecules whose energy or force error is the largest multiple of the error of all, with their profiles.

    Of each molecule the entry with the largest energy error is shown.
    """
    i = errors.names.index(candidate)
    energy_total = max(numpy.sqrt(errors.energy_squares[i].sum() / errors.n_confs.sum()), 1e-12)
    force_total = max(numpy.sqrt(errors.force_squares[i].sum() / errors.n_components.sum()), 1e-12)
    records = describe_molecules(errors)
    for record in records:
        multiples = {
            "energy": record[f"energy_rmse {candidate}"] / energy_total,
            "forces": record[f"force_rmse {candidate}"] / force_total,
        }
        record["worst_in"] = max(multiples, key=multiples.__getitem__)
        record["multiple"] = float(multiples[record["worst_in"]])
    worst = sorted(records, key=lambda record: (-record["multiple"], record["molecule"]))[:N_WORST]
    for record in worst:
        mine = numpy.flatnonzero(errors.keys == record["molecule"])
        entry = mine[numpy.argmax(errors.energy_squares[i, mine] / errors.n_confs[mine])]
        record.update(_describe_entry(study, evaluation, int(entry), molecules))
    return worst


def _describe_entry(
    study: Study, evaluation: Evaluation, entry: int, molecules: ParameterizedMolecules
) -> dict[str, typing.Any]:
    row = evaluation.rows[entry]
    [stored] = read_entries(open_dataset(study.data / row.source), [row.row])
    kept, _ = weigh_conformers(stored, study.conformers)
    place = slice(evaluation.starts[entry], evaluation.starts[entry] + row.n_confs)
    scan = find_scan(molecules.topologies[row.smiles], kept.coords)
    energies = {name: values[place] for name, values in zip(evaluation.names, evaluation.energies, strict=True)}
    profile = build_profile(evaluation.reference[place], energies, scan)
    return {
        "smiles": row.smiles,
        "source": row.source,
        "entry": stored.entry,
        "profile": None if profile is None else dataclasses.asdict(profile),
    }
