"""The report of an evaluation: one HTML file with survival, distributions and failures of all candidates."""

import collections.abc
import math
import pathlib

import numpy

from common.observables.observable import Observable
from common.observables.system import measure_distances
from common.replicas.evaluation_files import NAMES, Findings, correlation_errors
from common.replicas.figures import choose_colours, plot_curves, plot_structure, plot_survival
from common.replicas.reference import Reference
from common.replicas.setup import DeviationSettings, MotionSettings
from common.reporting.pages import Picture, render_page
from common.reporting.plots import render_svg

TEMPLATE = pathlib.Path(__file__).parent / "templates" / "report.html"

SURVIVAL = "survival.svg"

AXES = {"rdf": ("distance [Å]", "pairs [%]"), "adf": ("angle [degree]", "share of angles")}
"""Labels of distributions; those of liquids are g(r)."""

UNITS = {"mean-bonds": "mean bonds [Å]", "mean-angles": "mean angles [degree]"}
"""Names of what has a unit."""


def render_report(
    findings: collections.abc.Sequence[Findings],
    reference: Reference,
    observables: collections.abc.Mapping[str, Observable],
    deviations: DeviationSettings,
    motion: MotionSettings,
    velocity_interval: float,
) -> str:
    """The report as HTML.

    Args:
        findings: of all candidates.
        reference: what they are compared with.
        observables: by name; those with bins are drawn.
        deviations: what failure was.
        motion: how replicas moved.
        velocity_interval: [fs] between the times of velocity correlations.
    """
    colours = choose_colours([one.name for one in findings])
    return render_page(
        TEMPLATE,
        title=f"Stability of {len(findings)} potential{'s' if len(findings) > 1 else ''}",
        verdict=describe(findings),
        n_replicas=findings[0].survival.n_replicas,
        horizon=findings[0].survival.horizon,
        temperature=motion.temperature,
        rows=[_describe_row(one) for one in findings],
        survival=Picture(SURVIVAL, "share of replicas alive over time", draw_survival(findings)),
        observables=_list_errors(findings),
        distributions=_draw_distributions(findings, observables, colours, velocity_interval),
        failures=_draw_failures(findings, reference, deviations.bond_tolerance),
        files=[(one.name, f"{one.name}/") for one in findings],
    )


def draw_survival(findings: collections.abc.Sequence[Findings]) -> bytes:
    """The survival curves of all candidates, as SVG."""
    lives = {one.name: (one.evaluation.times, one.evaluation.has_failed) for one in findings}
    return render_svg(plot_survival(lives, findings[0].survival.horizon, choose_colours(list(lives))))


def describe(findings: collections.abc.Sequence[Findings]) -> str:
    """What the first and the best candidate say, in one sentence."""
    first = findings[0]
    if len(findings) > 1 and not any(one.survival.n_failures for one in findings):
        return f"None of the {len(findings)} fails, in {first.survival.total_time:.0f} ps each."
    best = max(findings, key=lambda one: (one.survival.low, one is first))
    if best is first:
        return f"{first.name} {_describe_life(first)}."
    apart = "apart" if best.survival.low > first.survival.high else "overlapping"
    if not (first.survival.n_failures and best.survival.n_failures):
        return f"{best.name} {_describe_life(best)}, {first.name} {_describe_life(first)}; intervals {apart}."
    before = first.survival.mean_time_to_failure
    gain = best.survival.mean_time_to_failure / before
    return (
        f"{best.name} {_describe_life(best)}, {gain:.1f} times as long as {first.name} ({format_time(before)} ps); "
        f"intervals {apart}."
    )


def _describe_life(one: Findings) -> str:
    if not one.survival.n_failures:
        return f"never fails in {one.survival.total_time:.0f} ps"
    return f"lives {format_time(one.survival.mean_time_to_failure)} ps on average until it fails"


def format_time(value: float) -> str:
    """A time, or that there is no end to it."""
    return f"{value:.3g}" if math.isfinite(value) else "∞"


def _describe_row(one: Findings) -> dict:
    survival = one.survival
    return {
        "name": one.name,
        "survival": survival,
        "errors": one.errors,
        "mean": format_time(survival.mean_time_to_failure),
        "low": survival.low,
        "high": format_time(survival.high),
    }


def _list_errors(findings: collections.abc.Sequence[Findings]) -> list[dict]:
    lines = []
    for name, comparison in findings[0].comparisons.items():
        errors = [one.comparisons[name].error for one in findings]
        lines.append({"name": UNITS.get(name, NAMES.get(name, name)), "errors": errors, "scatter": comparison.scatter})
    if findings[0].velocity_correlations is not None and findings[0].reference_correlation is not None:
        errors = [_mean(correlation_errors(one)) for one in findings]
        lines.append({"name": "VACF, mean over replicas", "errors": errors, "scatter": None})
    return lines


def _mean(values: numpy.ndarray | None) -> float | None:
    known = values[numpy.isfinite(values)] if values is not None else numpy.zeros(0)
    return float(known.mean()) if len(known) else None


def _draw_distributions(findings, observables, colours, velocity_interval: float) -> list[Picture]:
    pictures = []
    for name, observable in observables.items():
        centres = getattr(observable, "centres", None)
        if centres is None:
            continue
        x, labels = centres.numpy(), AXES.get(name, ("distance [Å]", "g(r)"))
        curves = {
            one.name: (x, one.comparisons[name].mean) for one in findings if one.comparisons[name].mean is not None
        }
        figure = plot_curves(curves, (x, findings[0].comparisons[name].target), *labels, colours)
        pictures.append(Picture(f"{name}.svg", NAMES.get(name, name), render_svg(figure)))
    reference = findings[0].reference_correlation
    if reference is not None:
        times = velocity_interval * numpy.arange(len(reference))
        curves = {
            one.name: (times[:length], numpy.nanmean(one.velocity_correlations[:, :length], axis=0))
            for one in findings
            if (length := _count_known_times(one.velocity_correlations))
        }
        figure = plot_curves(curves, (times, reference), "time [fs]", "velocity autocorrelation", colours)
        pictures.append(Picture("vacf.svg", "velocity autocorrelation", render_svg(figure)))
    return pictures


def _count_known_times(correlations: numpy.ndarray | None) -> int:
    """How many of the first times any replica knows."""
    return 0 if correlations is None else int(numpy.isfinite(correlations).any(0).sum())


def _draw_failures(findings, reference: Reference, tolerance: float | None) -> list[Picture]:
    if tolerance is None or len(reference.system.bonds) == 0:
        return []
    means = reference.compute_bond_means()
    pictures = []
    for one in findings:
        if one.evaluation.has_failed.any():
            times = numpy.where(one.evaluation.has_failed, one.evaluation.times, numpy.inf)
            replica = int(times.argmin())
            coords = one.evaluation.last[replica : replica + 1].double()
            deviations = (measure_distances(reference.system, coords, reference.system.bonds)[0] - means).numpy()
            figure = plot_structure(reference.system, coords[0].numpy(), deviations, tolerance)
            words = f"{one.name}, replica {replica} at {times[replica]:.2f} ps"
            pictures.append(Picture(f"failure-{one.name}.svg", words, render_svg(figure)))
    return pictures
