"""Campaigns side by side: numbers that can be checked by hand."""

import dataclasses
import json

import numpy
import pytest
import scipy.stats

from common.active_learning.comparison import (
    collect_errors,
    compare_groups,
    describe_group,
    estimate,
    group_campaigns,
    list_calls,
    list_tests,
    summarize,
)
from common.active_learning.records import AuditRecord, CampaignRecord, Purchase, RoundErrors, Span

SETTINGS = {
    "retrain_freq": 20,
    "num_to_run": 60,
    "selection": "energies",
    "audit": True,
    "seed": 0,
    "output": "here",
    "contents": {"search_space": "abc"},
}


def make_record(mode="active", seed=0, errors=(4.0, 3.0, 2.0), calls=(20, 40, 60), **settings):
    rounds = tuple(
        RoundErrors(i + 1, n, {"near": {"force": error, "member_force": 2 * error, "energy": error / 10}})
        for i, (n, error) in enumerate(zip(calls, errors, strict=True))
    )
    return CampaignRecord(
        name=f"{mode}-{seed}",
        mode=mode,
        seed=seed,
        settings={**SETTINGS, "seed": seed, "selection": mode, **settings},
        n_initial=20,
        errors=rounds,
        audits=(AuditRecord(21, 0.1, 20, True), AuditRecord(22, 0.3, 20, False), AuditRecord(23, None, 20, False)),
        purchases=(
            Purchase("audit", "sample-1", "known", 1, False, ""),
            Purchase("active", "sample-2", "new", 1, True, "the SCF does not converge"),
            Purchase("active", "sample-2", "new", 1, False, ""),
        ),
        spans=(Span("train", 0.0, 4.0), Span("calculate", 1.0, 2.0), Span("train", 4.0, 5.0)),
        overheads=(0.001, 0.003, 0.002),
        seconds=10.0,
        outcome="complete",
    )


def test_the_interval_is_students():
    values = {1: 2.0, 2: 2.5, 3: 3.3}
    found = estimate(values)
    expected = scipy.stats.t.interval(
        0.95, 2, loc=numpy.mean([*values.values()]), scale=scipy.stats.sem([*values.values()])
    )
    assert (found.low, found.high) == pytest.approx(expected)
    assert found.mean == pytest.approx(2.6)
    assert estimate({1: 2.0}) == (2.0, None, None, {1: 2.0})


def test_campaigns_that_differ_in_the_seed_alone_are_one_group():
    records = [make_record(mode, seed, output=str(seed)) for mode in ("active", "random") for seed in (3, 1, 2)]
    groups = group_campaigns(records)
    assert list(groups) == ["active", "random"]
    assert [record.seed for record in groups["active"]] == [1, 2, 3]


def test_groups_of_one_mode_are_told_apart_by_what_differs():
    groups = group_campaigns([make_record(seed=1), make_record(seed=1, ensemble_size=8), make_record("random", 1)])
    assert set(groups) == {"active", "active, ensemble_size 8", "random"}
    other = make_record(seed=1, contents={"search_space": "xyz"})
    assert set(group_campaigns([make_record(seed=1), other])) == {
        "active, search space abc",
        "active, search space xyz",
    }


def test_the_same_campaign_twice_is_refused():
    with pytest.raises(ValueError, match=r"same settings and seed: active-1, active-1"):
        group_campaigns([make_record(seed=1), make_record(seed=1)])


def test_errors_by_calculations():
    assert list_calls(make_record()) == [20, 40, 60]
    groups = {"active": [make_record(seed=1), make_record(seed=2, errors=(5.0, 3.5, 2.4))]}
    errors = collect_errors(groups, "near", "force")["active"]
    assert {n: each.mean for n, each in errors.items()} == pytest.approx({20: 4.5, 40: 3.25, 60: 2.2})
    assert collect_errors(groups, "near", "member_force")["active"][20].mean == pytest.approx(9.0)


def test_what_was_paid_for_and_taught_nothing_yet_counts():
    """Failures delay the trainings: at 40 calculations there is no newer network than that of 20."""
    late = make_record(errors=(4.0, 3.0, 2.0), calls=(20, 47, 60))
    errors = collect_errors({"active": [late]}, "near", "force")["active"]
    assert {n: each.mean for n, each in errors.items()} == {20: 4.0, 40: 4.0, 60: 2.0}


def test_differences_are_taken_seed_by_seed():
    active = [make_record("active", seed, (4.0 + seed, 3.0 + seed, 2.0 + seed)) for seed in (1, 2, 3)]
    random = [make_record("random", seed, (4.0 + seed, 3.2 + seed, 2.1 + seed)) for seed in (1, 2, 3)]
    found = {(d.n_calls, d.n_calls_other): d for d in compare_groups({"active": active, "random": random}, ["near"])}
    assert set(found) == {(40, 40), (60, 60), (40, 60)}  # at 20 they are the same
    assert found[40, 40].difference.mean == pytest.approx(-0.2)
    assert found[40, 40].difference.high == pytest.approx(-0.2)  # the seeds' own differences drop out
    assert found[40, 40].n_better == 3
    assert found[40, 60].difference.mean == pytest.approx(3.0 - 2.1)
    assert found[40, 60].n_better == 0


def test_a_seed_that_only_one_has_is_left_out():
    active, random = [make_record("active", s) for s in (1, 2)], [make_record("random", s) for s in (2, 3)]
    (first, *_) = compare_groups({"active": active, "random": random}, ["near"])
    assert set(first.difference.values) == {2}


def test_what_the_calculations_were():
    found = describe_group([make_record(seed=1), make_record(seed=2)])
    assert (found["n_purchases"], found["n_audits"], found["n_audits_passed"], found["n_wasted"]) == (6, 6, 2, 2)
    assert found["regions_of_chosen"] == {"new": 4}
    assert found["n_runs_of_chosen"] == 2  # one in each campaign
    assert found["regions_of_audits"] == {"known": 2}
    assert found["failures"] == {"the SCF does not converge": 2}
    assert found["busy_seconds"] == {"calculate": 1.0, "train": 5.0}
    assert found["median_overhead"] == pytest.approx(0.002)


def test_campaigns_that_have_not_ended_have_no_errors_yet():
    unfinished = dataclasses.replace(make_record(), outcome="")
    assert collect_errors({"active": [unfinished]}, "near", "force") == {"active": {}}


def test_the_summary_is_plain():
    groups = group_campaigns([make_record(mode, seed) for mode in ("active", "random") for seed in (1, 2)])
    summary = summarize(groups)
    assert summary["tests"] == list_tests(groups["active"]) == ["near"]
    again = json.loads(json.dumps(summary))
    assert again["errors"]["force"]["near"]["active"]["40"]["mean"] == 3.0
    assert len(again["differences"]) == 3
