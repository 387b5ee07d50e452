"""Puts the results of stage 005 together."""

import collections.abc
import dataclasses

from common.analysis.error_statistics import (
    INTERVAL_METHOD,
    ErrorSums,
    calibrate,
    compare_candidates,
    compute_group_errors,
    describe_molecules,
    describe_parameter_errors,
)
from common.analysis.parameter_changes import Change, find_usage, list_changes, rank_changes, read_details
from common.analysis.predictions import Index, Predictions
from common.analysis.profiles import find_worst_molecules
from common.analysis.records import (
    Calibration,
    DataDescription,
    ForceFieldDescription,
    ParameterErrors,
    Results,
    RunDescription,
    Tables,
    find_group,
)
from common.analysis.study import OPTIMUM, Run, Study, check_run
from common.analysis.words import describe_difference, describe_made_worse, find_made_worse, write_verdict
from common.data.dataset import list_sources, read_fingerprint
from common.files.provenance import describe_versions
from common.forcefields.covariance import load_covariance
from common.forcefields.tensors import ParameterizedMolecules
from common.smirnoff.offxml import read_ids

N_CHANGES = 12
"""Values of each group that are shown; the tables have all."""

N_PARAMETER_ERRORS = 15
"""Parameters shown whose molecules have the largest errors; the tables have all."""

MIN_USERS = 5
"""A parameter is shown among those if so many molecules use it and so many others do not."""

FOCUS_ORDER = ("test", "validation", "new", "train", "all")
"""The first of these splits that has data is the one whose errors count."""


def collect_results(
    study: Study,
    index: Index,
    predictions: Predictions,
    errors: ErrorSums,
    molecules: collections.abc.Mapping[str, ParameterizedMolecules],
) -> tuple[Results, Tables]:
    """What is to be said first about a study, and the tables with all of it.

    Args:
        study: what was analyzed.
        index: its entries.
        predictions, errors: what was computed for them.
        molecules: of each candidate.
    """
    groups = compute_group_errors(errors)
    focus = next(split for split in FOCUS_ORDER if any(group.split == split for group in groups))
    main_candidate = study.after or errors.names[0]
    main_molecules = molecules[main_candidate]
    usage = find_usage(main_molecules, set(errors.smiles.tolist()))
    changes = _list_changes(study, molecules, usage, errors)
    parameter_errors = _name_parameters(describe_parameter_errors(errors, main_candidate, usage), main_molecules)
    drawn = [name for name in errors.names if name != OPTIMUM]
    first = drawn[0] if study.before is None else study.before
    comparisons = [compare_candidates(errors, focus, first, name) for name in drawn[1:]]
    comparison = next((one for one in comparisons if one.after == study.after), None)
    n_molecules = find_group(groups, "all").n_molecules
    records = describe_molecules(errors)
    made_worse = [] if comparison is None else find_made_worse(records, focus, comparison.before, comparison.after)
    verdict = write_verdict(find_group(groups, focus), comparison, main_candidate)
    results = Results(
        verdict=verdict + describe_made_worse(made_worse, find_group(groups, focus).n_molecules),
        warnings=[
            *describe_difference(predictions.check),
            *(
                line
                for run, ends in zip(study.runs, study.ends, strict=True)
                for line in check_run(run, ends, study, errors, bool(index.left_out))
            ),
        ],
        candidates=list(errors.names),
        drawn=drawn,
        before=study.before,
        after=study.after,
        main_candidate=main_candidate,
        focus=focus,
        comparison=comparison,
        comparisons=comparisons,
        made_worse=made_worse,
        calibration=_calibrate(study, predictions, main_candidate, focus),
        groups=groups,
        interval=INTERVAL_METHOD,
        left_out=index.left_out,
        n_values_trained=len(changes),
        n_values_changed=sum(change.change != 0.0 for change in changes),
        changes={name: group[:N_CHANGES] for name, group in rank_changes(changes).items()},
        undetermined=[change for change in changes if change.is_determined is False],
        parameter_errors=[
            record for record in parameter_errors if MIN_USERS <= record.n_molecules <= n_molecules - MIN_USERS
        ][:N_PARAMETER_ERRORS],
        worst_molecules=find_worst_molecules(study, predictions, errors, main_candidate, main_molecules),
        check=predictions.check,
        runs=[_describe_run(*pair) for pair in zip(study.run_names, study.runs, strict=True)],
        data=DataDescription(str(study.data), _read_fingerprints(study)),
        force_fields={name: _describe_force_field(one) for name, one in molecules.items()},
        versions=describe_versions(),
    )
    return results, Tables(groups, records, changes, parameter_errors)


def _calibrate(study: Study, predictions: Predictions, name: str, split: str) -> Calibration | None:
    """How far the standard errors of the main candidate's energies can be trusted."""
    [candidate] = [one for one in study.candidates if one.name == name]
    if candidate.covariance is None:
        return None
    return calibrate(predictions, name, split, load_covariance(candidate.covariance).residual)


def _list_changes(
    study: Study,
    molecules: collections.abc.Mapping[str, ParameterizedMolecules],
    usage: dict[str, set[tuple[str, str]]],
    errors: ErrorSums,
) -> list[Change]:
    """The trained values; those that no training molecule uses are not determined, whatever else is known."""
    if study.before is None or study.after is None:
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


def _name_parameters(records: list[ParameterErrors], molecules: ParameterizedMolecules) -> list[ParameterErrors]:
    ids = read_ids(molecules.provenance["offxml"])
    return [dataclasses.replace(record, id=ids.get((record.type, record.smirks), "")) for record in records]


def _describe_run(name: str, run: Run) -> RunDescription:
    return RunDescription(name, str(run.folder), run.config, run.summary)


def _describe_force_field(molecules: ParameterizedMolecules) -> ForceFieldDescription:
    names = ("force_field", "force_field_sha256", "charge_model", "engine", "created")
    origin = {name: molecules.provenance.get(name, "unknown") for name in names}
    return ForceFieldDescription(**origin, is_fitted="fitted" in molecules.provenance)


def _read_fingerprints(study: Study) -> dict[str, str]:
    return {source: read_fingerprint(study.data / source) for source in list_sources(study.data)}
