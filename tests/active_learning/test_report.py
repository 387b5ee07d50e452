"""Tables, figures and the page of a comparison."""

import json
import re

import pytest

from common.active_learning.comparison import group_campaigns, summarize
from common.active_learning.report import choose_colours, draw_figures, format_table, render_comparison
from tests.active_learning.test_comparison import make_record


@pytest.fixture(scope="module")
def groups():
    records = [
        make_record(mode, seed, (4.0, 3.0 + 0.1 * seed, 2.0)) for mode in ("active", "random") for seed in (1, 2)
    ]
    return group_campaigns([*records, make_record("odd $x$ <name>", 1)])


def test_the_table_has_a_line_a_group(groups):
    lines = format_table(groups, "near").splitlines()
    assert len(lines) == 4
    assert re.split(r"\s{2,}", lines[0]) == ["test near", "20 calls", "40 calls", "60 calls"]
    assert re.split(r"\s{2,}", lines[1]) == ["active", "4.00 ± 0.00", "3.15 ± 0.07", "2.00 ± 0.00"]
    assert "±" not in lines[3]


def test_the_page_shows_all_figures_and_numbers(groups):
    summary = json.loads(json.dumps(summarize(groups)))
    pictures = draw_figures(groups)
    page = render_comparison(summary, pictures, "A comparison")
    assert page.count("<img") == len(pictures) == 5
    assert "odd $x$ &lt;name&gt;" in page
    assert "3.15" in page
    for seed in (1, 2):
        assert f"seed {seed}" in page
    assert "2 of 2 seeds" in page or "0 of 2 seeds" in page
    assert "the SCF does not converge" in page


def test_groups_have_colours_of_their_own(groups):
    assert len(set(choose_colours(groups).values())) == 3
