"""Campaigns side by side: errors by the number of calculations paid for, over seeds, and what the calculations were.

Campaigns of the same settings but for the seed are one group. Differences between groups are taken seed by seed: two
campaigns of one seed start from the same initial set, the same trajectories and the same first networks, so that most
of what differs between seeds drops out.
"""

import collections
import collections.abc
import dataclasses
import itertools
import statistics
import typing

import scipy.stats

from common.active_learning.records import MODES, CampaignRecord, Purchase, sum_busy_seconds

LEVEL = 0.95
"""Of the intervals, Student's t over seeds."""

IGNORED = (
    *("seed", "preset", "versions", "contents", "search_space"),
    *("output", "data", "resume", "model_cache", "max_conformers"),
    *("executor", "parsl_config", "num_qc_workers", "num_learning_workers", "num_samplers", "device"),
)
"""Settings that do not set campaigns apart; the search space counts by its contents."""


class Estimate(typing.NamedTuple):
    """A mean over seeds.

    Attributes:
        mean: of ``values``.
        low, high: of the 95 % interval of the mean; None with a single seed.
        values: by seed.
    """

    mean: float
    low: float | None
    high: float | None
    values: dict[int, float]


def estimate(values: collections.abc.Mapping[int, float]) -> Estimate:
    """The mean of values by seed, with its interval."""
    numbers = list(values.values())
    mean = statistics.fmean(numbers)
    if len(numbers) < 2:
        return Estimate(mean, None, None, dict(values))
    half = float(scipy.stats.t.ppf(0.5 + 0.5 * LEVEL, len(numbers) - 1)) * statistics.stdev(numbers)
    half /= len(numbers) ** 0.5
    return Estimate(mean, mean - half, mean + half, dict(values))


def group_campaigns(records: collections.abc.Sequence[CampaignRecord]) -> dict[str, list[CampaignRecord]]:
    """Campaigns by a name for their settings: what they are called, and what sets groups of one name apart.

    Raises:
        ValueError: two campaigns have the same settings and seed.
    """
    keys: dict[str, list[CampaignRecord]] = collections.defaultdict(list)
    plain = {}
    for record in sorted(records, key=lambda each: each.seed):
        settings = _list_settings(record)
        keys[repr(sorted(settings.items()))].append(record)
        plain[repr(sorted(settings.items()))] = settings
    for own in keys.values():
        seeds = [record.seed for record in own]
        if len(set(seeds)) < len(seeds):
            names = ", ".join(record.name for record in own)
            raise ValueError(f"campaigns of the same settings and seed: {names}; name each seed once")
    known = [*MODES.values()]
    modes = sorted({own[0].mode for own in keys.values()}, key=lambda mode: known.index(mode) if mode in known else 99)
    named = {}
    for mode in modes:
        of_mode = {key: own for key, own in keys.items() if own[0].mode == mode}
        for key, own in of_mode.items():
            others = [plain[each] for each in of_mode if each != key]
            differences = [
                f"{name} {value}"
                for name, value in plain[key].items()
                if any(other.get(name) != value for other in others)
            ]
            named[", ".join([mode, *differences])] = own
    return named


def _list_settings(record: CampaignRecord) -> dict[str, typing.Any]:
    contents = record.settings.get("contents", {})
    kept = {name: value for name, value in record.settings.items() if name not in IGNORED}
    return {**kept, "search space": contents.get("search_space", "")}


def list_calls(record: CampaignRecord) -> list[int]:
    """Numbers of calculations at which a campaign is looked at: where trainings fall due, and the budget."""
    interval, budget = int(record.settings["retrain_freq"]), int(record.settings["num_to_run"])
    return [*range(record.n_initial, budget, interval), budget]


def collect_errors(
    groups: collections.abc.Mapping[str, collections.abc.Sequence[CampaignRecord]], test: str, kind: str
) -> dict[str, dict[int, Estimate]]:
    """Errors by group and by the number of calculations that had been paid for.

    The error at a number of calculations is that of the newest networks that had been asked for by then: calculations
    that failed, or came while a training was under way, have taught nothing yet.

    Args:
        groups: what :func:`group_campaigns` gives.
        test: name of the test.
        kind: ``force``, ``member_force`` or ``energy``.
    """
    collected: dict[str, dict[int, Estimate]] = {}
    for name, records in groups.items():
        collected[name] = {}
        for n_calls in sorted({n for record in records for n in list_calls(record)}):
            values = {}
            for record in records:
                rounds = [each for each in record.errors if each.n_calls <= n_calls and test in each.errors]
                if rounds and n_calls in list_calls(record) and record.outcome:
                    values[record.seed] = rounds[-1].errors[test][kind]
            if values:
                collected[name][n_calls] = estimate(values)
    return collected


class Difference(typing.NamedTuple):
    """How one group's error differs from another's.

    Attributes:
        group, other: their names.
        test: of the errors.
        n_calls, n_calls_other: calculations paid for in each.
        difference: of the force errors, group less other, seed by seed [kcal/mol/Angstrom].
        n_better: seeds in which the group's error is the smaller one.
    """

    group: str
    other: str
    test: str
    n_calls: int
    n_calls_other: int
    difference: Estimate
    n_better: int


def compare_groups(
    groups: collections.abc.Mapping[str, collections.abc.Sequence[CampaignRecord]], tests: collections.abc.Iterable[str]
) -> list[Difference]:
    """All groups against the first of them, at the same number of calculations, and where that has one round more.

    The second asks whether the first group gets with fewer calculations where another needs more.
    """
    first, *others = groups
    differences = []
    for test in tests:
        errors = collect_errors(groups, test, "force")
        for other in others:
            calls = sorted(set(errors[first]) & set(errors[other]))[1:]  # they begin alike
            pairs = [(n, n) for n in calls] + list(itertools.pairwise(calls))
            for n, n_other in pairs:
                one, two = errors[first][n].values, errors[other][n_other].values
                seeds = sorted(set(one) & set(two))
                if seeds:
                    by_seed = {seed: one[seed] - two[seed] for seed in seeds}
                    n_better = sum(value < 0.0 for value in by_seed.values())
                    differences.append(Difference(first, other, test, n, n_other, estimate(by_seed), n_better))
    return differences


def describe_group(records: collections.abc.Sequence[CampaignRecord]) -> dict[str, typing.Any]:
    """What the calculations of a group were, and where its time went; sums and means over its campaigns."""
    purchases = [purchase for record in records for purchase in record.purchases]
    audits = [audit for record in records for audit in record.audits]
    busy: collections.Counter[str] = collections.Counter()
    for record in records:
        busy.update(sum_busy_seconds(record))
    chosen = [each for record in records for each in _list_chosen(record)]
    overheads = [each for record in records for each in record.overheads]
    return {
        "n_campaigns": len(records),
        "n_purchases": len(purchases),
        "n_audits": len(audits),
        "n_audits_passed": sum(audit.passed for audit in audits),
        "n_wasted": sum(each.is_wasted for each in purchases),
        "n_runs_of_chosen": len({(record.name, each.run) for record in records for each in _list_chosen(record)}),
        "regions_of_audits": dict(collections.Counter(e.region for e in purchases if e.purpose == "audit")),
        "regions_of_chosen": dict(collections.Counter(each.region for each in chosen)),
        "failures": dict(collections.Counter(each.reason for each in purchases if each.reason)),
        "busy_seconds": {kind: busy[kind] / len(records) for kind in sorted(busy)},
        "seconds": statistics.fmean(record.seconds for record in records),
        "median_overhead": statistics.median(overheads) if overheads else None,
        "outcomes": dict(collections.Counter(record.outcome or "not ended" for record in records)),
    }


def _list_chosen(record: CampaignRecord) -> list[Purchase]:
    return [each for each in record.purchases if each.purpose != "audit"]


def list_tests(records: collections.abc.Iterable[CampaignRecord]) -> list[str]:
    """Names of all tests, sorted."""
    return sorted({test for record in records for each in record.errors for test in each.errors})


def summarize(groups: collections.abc.Mapping[str, collections.abc.Sequence[CampaignRecord]]) -> dict[str, typing.Any]:
    """All figures, as plain values; the report holds no others."""
    records = [record for own in groups.values() for record in own]
    tests = list_tests(records)
    return {
        "tests": tests,
        "groups": {
            name: {
                "campaigns": [record.name for record in own],
                "seeds": [record.seed for record in own],
                **describe_group(own),
            }
            for name, own in groups.items()
        },
        "errors": {
            kind: {
                test: {
                    name: {str(n): each._asdict() for n, each in of.items()}
                    for name, of in collect_errors(groups, test, kind).items()
                }
                for test in tests
            }
            for kind in ("force", "member_force", "energy")
        },
        "differences": [
            {**each._asdict(), "difference": each.difference._asdict()} for each in compare_groups(groups, tests)
        ],
        "campaigns": [
            {
                "name": record.name,
                "seed": record.seed,
                "outcome": record.outcome,
                "seconds": record.seconds,
                "audits": [dataclasses.asdict(audit) for audit in record.audits],
            }
            for record in records
        ],
    }
