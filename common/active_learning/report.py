"""The report of a comparison: figures, tables on the console, one HTML file."""

import collections.abc
import pathlib
import typing

import numpy

from common.active_learning.comparison import collect_errors, list_tests
from common.active_learning.records import CampaignRecord, sum_busy_seconds
from common.reporting.numbers import FORCE_UNIT, format_number
from common.reporting.pages import Picture, render_page
from common.reporting.plots import COLOURS, Band, plot_bars, plot_lines, render_svg

TEMPLATE = pathlib.Path(__file__).parent / "templates" / "campaigns.html"

KINDS = ("train", "sample", "predict", "calculate", "evaluate")

Groups = collections.abc.Mapping[str, collections.abc.Sequence[CampaignRecord]]


def choose_colours(groups: Groups) -> dict[str, str]:
    """A colour for each group, the same in all figures."""
    return {name: COLOURS[(i + 1) % len(COLOURS)] for i, name in enumerate(groups)}


def draw_figures(groups: Groups) -> list[Picture]:
    """Errors by calculations, audits, run lengths, what was chosen, and where the time went."""
    colours = choose_colours(groups)
    tests = list_tests(record for own in groups.values() for record in own)
    pictures = []
    for test in tests:
        lines = {name: _make_band(of) for name, of in collect_errors(groups, test, "force").items() if of}
        title = f"Force error on the test {test!r}"
        figure = plot_lines(lines, "calculations paid for", f"RMS error [{FORCE_UNIT}]", title, colours)
        pictures.append(Picture(f"force-error-{test}.svg", title, render_svg(figure)))
    audits = {name: _bin_audits(own) for name, own in groups.items()}
    for column, title, label in (
        (0, "Error found by audits", "median error [kcal/mol per atom]"),
        (1, "Length of audited runs", "median length [steps]"),
    ):
        lines = {name: Band(x, values[column], None, None) for name, (x, *values) in audits.items() if len(x)}
        if lines:
            figure = plot_lines(lines, "calculations paid for", label, title, colours)
            pictures.append(Picture(f"audits-{column}.svg", title, render_svg(figure)))
    pictures += [_draw_regions(groups, colours), _draw_time(groups, colours)]
    return pictures


def _make_band(errors: collections.abc.Mapping[int, typing.Any]) -> Band:
    x = numpy.array(list(errors), dtype=numpy.float64)
    mean = numpy.array([each.mean for each in errors.values()])
    low, high = (numpy.array([min(e.values.values()) for e in errors.values()]),
                 numpy.array([max(e.values.values()) for e in errors.values()]))  # fmt: skip
    return Band(x, mean, low, high)


def _bin_audits(records: collections.abc.Sequence[CampaignRecord]) -> tuple[numpy.ndarray, ...]:
    """Medians of error and run length over audits of about the same number of calculations, all seeds together."""
    audits = [audit for record in records for audit in record.audits if audit.error is not None]
    if not audits:
        return numpy.zeros(0), numpy.zeros(0), numpy.zeros(0)
    calls = numpy.array([audit.n_calls for audit in audits])
    edges = numpy.unique(numpy.linspace(calls.min(), calls.max() + 1, 9).astype(int))
    bins = numpy.digitize(calls, edges)
    rows = []
    for k in numpy.unique(bins):
        own = [audits[i] for i in numpy.flatnonzero(bins == k)]
        errors = [float(audit.error or 0.0) for audit in own]
        rows.append((calls[bins == k].mean(), numpy.median(errors), numpy.median([audit.n_steps for audit in own])))
    return tuple(numpy.array(column) for column in zip(*rows, strict=True))


def _draw_regions(groups: Groups, colours: dict[str, str]) -> Picture:
    regions = sorted({each.region for own in groups.values() for record in own for each in record.purchases})
    shares = {}
    for name, own in groups.items():
        purchases = [each for record in own for each in record.purchases]
        shares[name] = [
            100.0 * sum(e.region == region for e in purchases) / max(len(purchases), 1) for region in regions
        ]
    title = "Where the calculations went"
    none = {name: [None] * len(regions) for name in groups}
    figure = plot_bars(regions, shares, none, "share of the calculations [%]", title, colours)
    return Picture("regions.svg", title, render_svg(figure))


def _draw_time(groups: Groups, colours: dict[str, str]) -> Picture:
    seconds = {
        name: [float(numpy.mean([sum_busy_seconds(r).get(kind, 0.0) for r in own])) for kind in KINDS]
        for name, own in groups.items()
    }
    title = "Time of workers, by task"
    none = {name: [None] * len(KINDS) for name in groups}
    figure = plot_bars(KINDS, seconds, none, "seconds of a campaign", title, colours)
    return Picture("time.svg", title, render_svg(figure))


def format_table(groups: Groups, test: str) -> str:
    """The force errors on a test as a table for the console: one line a group, one column a number of calculations."""
    errors = collect_errors(groups, test, "force")
    calls = sorted({n for of in errors.values() for n in of})
    width = max(map(len, errors), default=0)
    lines = [f"{'test ' + test:<{width}}  " + "  ".join(f"{f'{n} calls':>15}" for n in calls)]
    for name, of in errors.items():
        cells = []
        for n in calls:
            if n not in of:
                cells.append(f"{'–':>15}")
                continue
            values = list(of[n].values.values())
            spread = f" ± {numpy.std(values, ddof=1):.2f}" if len(values) > 1 else ""
            cells.append(f"{format_number(of[n].mean) + spread:>15}")
        lines.append(f"{name:<{width}}  " + "  ".join(cells))
    return "\n".join(lines)


def render_comparison(summary: dict[str, typing.Any], pictures: list[Picture], title: str) -> str:
    """The report as HTML; all figures in it come from ``summary``, what metrics.json holds."""
    return render_page(TEMPLATE, summary=summary, pictures=pictures, title=title, kinds=KINDS)
