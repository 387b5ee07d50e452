"""The report: numbers of the findings, pictures, and a sentence that does not say more than they do."""

import dataclasses
import math

from common.replicas.report import describe, format_time, render_report
from tests.replicas.findings import DEVIATIONS, MOTION, make_observables


def with_survival(findings, name, **changes):
    return dataclasses.replace(findings, name=name, survival=dataclasses.replace(findings.survival, **changes))


def test_the_page_holds_the_numbers_and_pictures(findings, made_up_reference):
    other = dataclasses.replace(findings, name="other")
    page = render_report(
        [findings, other], made_up_reference, make_observables(made_up_reference), DEVIATIONS, MOTION, 5.0
    )
    assert page.count("data:image/svg+xml") == 1 + 2 + 1 + 2
    assert f"{findings.survival.n_failures} in " in page
    assert "made-up, replica" in page
    assert "scatter of the reference" in page


def test_the_sentence_says_whether_intervals_are_apart(findings):
    first = with_survival(findings, "pre", mean_time_to_failure=5.0, low=4.0, high=7.0, n_failures=20)
    second = with_survival(findings, "stable", mean_time_to_failure=50.0, low=20.0, high=130.0)
    assert describe([first, second]) == (
        "stable lives 50 ps on average until it fails, 10.0 times as long as pre (5 ps); intervals apart."
    )
    close = with_survival(findings, "stable", mean_time_to_failure=8.0, low=5.0, high=13.0)
    assert "intervals overlapping" in describe([first, close])
    worse = with_survival(findings, "stable", low=1.0)
    assert describe([first, worse]).startswith("pre lives")


def test_no_failure_has_no_end(findings):
    first = with_survival(findings, "pre", mean_time_to_failure=5.0, low=4.0, high=7.0)
    never = with_survival(findings, "stable", mean_time_to_failure=math.inf, low=90.0, high=math.inf, n_failures=0)
    assert describe([first, never]) == (
        f"stable never fails in {never.survival.total_time:.0f} ps, pre lives 5 ps on average until it fails; "
        "intervals apart."
    )
    assert describe([never]) == f"stable never fails in {never.survival.total_time:.0f} ps."
    assert describe([never, never]) == f"None of the 2 fails, in {never.survival.total_time:.0f} ps each."
    assert format_time(math.inf) == "∞"
