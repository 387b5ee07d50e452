"""The measures that relaxed entries add up to, with intervals, in the terms that force fields are compared by.

Of torsion scans (relaxed, the dihedral held at its quantum value):

- ``profile_rmse``: root mean square error of the relative energies of all points, each profile relative to its mean;
- ``profile_mean_error``: mean of the errors of all points, each profile relative to its point of lowest quantum energy;
- ``barrier_rmse``, ``barrier_mean_error``: of the heights of the barriers of the quantum profiles.

Of minima (minimised from quantum minima):

- ``rmsd_heavy``, ``rmsd_all``: mean root mean square deviation from the quantum minimum after superposition;
- ``tfd``: mean torsion fingerprint deviation;
- ``dde_rmse``, ``dde_mae``: errors of the energies of an entry's conformers relative to the one of the lowest quantum
  energy (ΔΔE), of all others than this one;
- ``bond_rmse``, ``angle_rmse``, ``improper_rmse``: of all such coordinates against the quantum minimum.

A geometry counts where all candidates relaxed it, so that differences between them are paired.
"""

import collections.abc
import typing

import numpy

from common.relaxation.entries import MINIMUM_FORCE
from common.relaxation.minimization import MAX_FORCE
from common.relaxation.records import (
    Failure,
    Measure,
    ParameterGeometry,
    RelaxedBenchmark,
    RelaxedGroup,
    RelaxedMinima,
    RelaxedScan,
)
from common.relaxation.scans import find_barriers, measure_barrier
from common.reporting.resampling import find_interval, resample_sums

Relaxed = RelaxedScan | RelaxedMinima

SCAN_MEASURES = ("profile_rmse", "profile_mean_error", "barrier_rmse", "barrier_mean_error")
MINIMA_MEASURES = (
    *("rmsd_heavy", "rmsd_all", "tfd", "dde_rmse", "dde_mae", "bond_rmse", "angle_rmse", "improper_rmse"),
)
MEASURES = {"scans": SCAN_MEASURES, "minima": MINIMA_MEASURES}

LABELS = {
    "profile_rmse": ("energy along the scan, root mean square error", "kcal/mol"),
    "profile_mean_error": ("energy above the lowest point, mean error", "kcal/mol"),
    "barrier_rmse": ("barrier heights, root mean square error", "kcal/mol"),
    "barrier_mean_error": ("barrier heights, mean error", "kcal/mol"),
    "rmsd_heavy": ("RMSD without hydrogens", "Å"),
    "rmsd_all": ("RMSD of all atoms", "Å"),
    "tfd": ("torsion fingerprint deviation", ""),
    "dde_rmse": ("ΔΔE of conformers, root mean square", "kcal/mol"),
    "dde_mae": ("ΔΔE of conformers, mean absolute", "kcal/mol"),
    "bond_rmse": ("bonds, root mean square error", "Å"),
    "angle_rmse": ("angles, root mean square error", "°"),
    "improper_rmse": ("impropers, root mean square error", "°"),
}
"""What each measure is called, and its unit."""

SIGNED = ("profile_mean_error", "barrier_mean_error")
"""Of these a relative change says nothing."""

_OF_TYPES = {"Bonds": "bond_rmse", "Angles": "angle_rmse", "ImproperTorsions": "improper_rmse"}


class Sums(typing.NamedTuple):
    """What an entry adds to a measure: a number, and sums ``shape=(n_candidates,)``."""

    n: float
    totals: numpy.ndarray


def summarize(
    relaxed: collections.abc.Sequence[Relaxed], candidates: collections.abc.Sequence[str]
) -> RelaxedBenchmark:
    """All measures by split, the geometry by parameter, and what was not relaxed.

    Args:
        relaxed: entries, of any split.
        candidates: the force fields; changes are relative to the first.
    """
    scans = [one for one in relaxed if isinstance(one, RelaxedScan)]
    minima = [one for one in relaxed if isinstance(one, RelaxedMinima)]
    groups = []
    for kind, entries in (("scans", scans), ("minima", minima)):
        splits = sorted({one.origin.split for one in entries} - {"all"})
        for split in (*splits, "all"):
            chosen = [one for one in entries if split in (one.origin.split, "all")]
            if chosen:
                groups.append(_describe_group(split, kind, chosen, candidates))
    failures: dict[str, list[Failure]] = {}
    for one in relaxed:
        if one.failures:
            origin = one.origin
            failures[f"{origin.source}, row {origin.row}, {origin.smiles}"] = one.failures
    return RelaxedBenchmark(
        candidates=list(candidates),
        max_force=MAX_FORCE,
        minimum_force=MINIMUM_FORCE,
        n_scans=len(scans),
        n_minima=len(minima),
        groups=groups,
        parameters=describe_parameters(minima, candidates),
        scans=scans,
        failures=failures,
    )


def add_up_scan(scan: RelaxedScan) -> dict[str, Sums]:
    """What a scan adds to each measure; nothing where fewer than three points are left."""
    reference = numpy.array(scan.reference)
    if len(reference) < 3:
        return {}
    energies = numpy.array(list(scan.energies.values()))
    errors = energies - reference
    centred = errors - errors.mean(axis=-1, keepdims=True)
    others = numpy.arange(len(reference)) != int(reference.argmin())  # the zero has no error
    barriers = find_barriers(reference, scan.closed)
    heights = numpy.array(
        [
            [measure_barrier(own, barrier, scan.closed) - (reference[barrier.top] - reference[barrier.bottom])]
            for own in energies
            for barrier in barriers
        ]
    ).reshape(len(energies), len(barriers))
    return {
        "profile_rmse": Sums(len(reference), (centred**2).sum(axis=-1)),
        "profile_mean_error": Sums(int(others.sum()), errors[:, others].sum(axis=-1)),
        "barrier_rmse": Sums(len(barriers), (heights**2).sum(axis=-1)),
        "barrier_mean_error": Sums(len(barriers), heights.sum(axis=-1)),
    }


def add_up_minima(minima: RelaxedMinima) -> dict[str, Sums]:
    """What the minima of an entry add to each measure."""
    sums = {}
    for name in ("rmsd_heavy", "rmsd_all", "tfd"):
        values = numpy.array(list(getattr(minima, name).values()))
        sums[name] = Sums(values.shape[-1], values.sum(axis=-1))
    if len(minima.reference) > 1:
        reference = numpy.array(minima.reference)
        others = numpy.arange(len(reference)) != int(reference.argmin())
        errors = (numpy.array(list(minima.energies.values())) - reference)[:, others]
        sums["dde_rmse"] = Sums(int(others.sum()), (errors**2).sum(axis=-1))
        sums["dde_mae"] = Sums(int(others.sum()), numpy.abs(errors).sum(axis=-1))
    for type_, name in _OF_TYPES.items():
        own = [[one for one in mine if one.type == type_] for mine in minima.parameters.values()]
        squares = numpy.array([sum(one.squares for one in mine) for mine in own])
        sums[name] = Sums(sum(one.n for one in own[0]) if own else 0, squares)
    return sums


def _describe_group(
    split: str, kind: str, entries: collections.abc.Sequence[Relaxed], candidates: collections.abc.Sequence[str]
) -> RelaxedGroup:
    names = MEASURES[kind]
    keys, molecules = numpy.unique([one.origin.molecule for one in entries], return_inverse=True)
    # of each molecule, for each measure: how many, then the sums of each candidate
    table = numpy.zeros((len(keys), len(names), 1 + len(candidates)))
    for molecule, one in zip(molecules, entries, strict=True):
        for name, sums in (add_up_scan(one) if isinstance(one, RelaxedScan) else add_up_minima(one)).items():
            table[molecule, names.index(name)] += [sums.n, *sums.totals]
    resampled = resample_sums(table.reshape(len(keys), -1))
    if resampled is not None:
        resampled = resampled.reshape(len(resampled), len(names), -1)
    measures: dict[str, dict[str, Measure]] = {candidate: {} for candidate in candidates}
    changes: dict[str, dict[str, Measure]] = {candidate: {} for candidate in candidates[1:]}
    for column, name in enumerate(names):
        values = _divide(table[:, column].sum(axis=0), name)
        samples = None if resampled is None else _divide(resampled[:, column].T, name)
        for i, candidate in enumerate(candidates):
            measures[candidate][name] = _make_measure(values[i], None if samples is None else samples[i])
            if i and name not in SIGNED:
                changes[candidate][name] = _make_measure(
                    _compare(values[i], values[0]), None if samples is None else _compare(samples[i], samples[0])
                )
    failed = [failure for one in entries for failure in one.failures]
    return RelaxedGroup(
        split=split,
        kind=kind,
        n_entries=len(entries),
        n_molecules=len(keys),
        n_geometries=sum(len(one.angles) if isinstance(one, RelaxedScan) else len(one.conformers) for one in entries),
        n_not_relaxed={name: sum(failure.candidate == name for failure in failed) for name in candidates},
        measures=measures,
        changes=changes,
    )


def _divide(sums: numpy.ndarray, name: str) -> numpy.ndarray:
    """Means, or their roots, ``shape=(1 + n_candidates, ...) -> (n_candidates, ...)``; NaN where nothing is counted."""
    n = numpy.where(sums[0] > 0.0, sums[0], numpy.nan)
    means = sums[1:] / n
    return numpy.sqrt(means) if name.endswith("_rmse") else means


def _compare(value: numpy.ndarray, first: numpy.ndarray) -> numpy.ndarray:
    """Relative changes; NaN where there was nothing before."""
    return value / numpy.where(first > 0.0, first, numpy.nan) - 1.0


def _make_measure(value: numpy.ndarray, samples: numpy.ndarray | None) -> Measure:
    """A value and the interval of its samples; None for NaN."""
    if not numpy.isfinite(value):
        return Measure(None, None)
    return Measure(float(value), None if samples is None else find_interval(samples))


def describe_parameters(
    minima: collections.abc.Sequence[RelaxedMinima], candidates: collections.abc.Sequence[str]
) -> list[ParameterGeometry]:
    """How the internal coordinates of each parameter differ at minima, the largest error of each type first.

    Args:
        minima: of all splits.
        candidates: the force fields; the errors of the last one order the list.
    """
    found: dict[tuple[str, str], dict[str, list[tuple[str, int, float, float]]]] = {}
    for one in minima:
        for candidate, own in one.parameters.items():
            for deviation in own:
                records = found.setdefault((deviation.type, deviation.smirks), {name: [] for name in candidates})
                values = (one.origin.molecule, deviation.n, deviation.total, deviation.squares)
                records[candidate].append(values)
    described = []
    for (type_, smirks), records in found.items():
        first = records[candidates[0]]
        n = sum(record[1] for record in first)
        described.append(
            ParameterGeometry(
                type=type_,
                smirks=smirks,
                n_molecules=len({record[0] for record in first}),
                n_coordinates=n,
                mean={name: sum(record[2] for record in own) / n for name, own in records.items()},
                rms={name: (sum(record[3] for record in own) / n) ** 0.5 for name, own in records.items()},
            )
        )
    return sorted(described, key=lambda one: (one.type, -one.rms[candidates[-1]], one.smirks))


def find_relaxed_group(benchmark: RelaxedBenchmark, kind: str, split: str) -> RelaxedGroup | None:
    """The measures of a split, or of all where it has no such entries; None where there are none at all."""
    groups = {group.split: group for group in benchmark.groups if group.kind == kind}
    return groups.get(split) or groups.get("all")


def choose_scans(benchmark: RelaxedBenchmark, split: str, candidate: str, n: int) -> list[RelaxedScan]:
    """Scans to be drawn: from the least to the largest error of a candidate in even steps of their rank.

    Args:
        benchmark: with all scans.
        split: from which they are taken; from all where it has none.
        candidate: whose errors order them.
        n: how many, at most.
    """
    whole = [scan for scan in benchmark.scans if len(scan.angles) > 2]
    own = [scan for scan in whole if scan.origin.split == split] or whole
    ordered = sorted(own, key=lambda scan: compute_profile_error(scan, candidate))
    places = numpy.unique(numpy.linspace(0, len(ordered) - 1, min(n, len(ordered))).round().astype(int))
    return [ordered[i] for i in places.tolist()]


def compute_profile_error(scan: RelaxedScan, candidate: str) -> float:
    """Root mean square error [kcal/mol] of a profile, relative to its mean."""
    errors = numpy.array(scan.energies[candidate]) - numpy.array(scan.reference)
    return float(errors.std())


def list_tables(benchmark: RelaxedBenchmark) -> dict[str, list[dict[str, typing.Any]]]:
    """The rows of the tables of a benchmark, by the table's name."""
    failures = [
        {"entry": entry, "conformer": one.conformer, "candidate": one.candidate, "reason": one.reason}
        for entry, own in benchmark.failures.items()
        for one in own
    ]
    profiles = [
        {
            **{name: getattr(scan.origin, name) for name in ("source", "entry", "row", "split", "smiles")},
            "atoms": " ".join(map(str, scan.atoms)),
            "angle": angle,
            "quantum": scan.reference[i],
            **{name: own[i] for name, own in scan.energies.items()},
        }
        for scan in benchmark.scans
        for i, angle in enumerate(scan.angles)
    ]
    return {
        "relaxed": [row for group in benchmark.groups for row in group.list_rows()],
        "relaxed_parameters": [record.to_row() for record in benchmark.parameters],
        "relaxed_profiles": profiles,
        "relaxed_failures": failures,
    }
