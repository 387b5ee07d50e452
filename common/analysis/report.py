"""The report of stage 005: one HTML file that opens anywhere, without a network and without scripts."""

import collections.abc
import pathlib
import typing

from common.analysis.records import Results, RunDescription, list_relaxed_groups
from common.analysis.words import describe_columns
from common.relaxation.summary import LABELS, compute_profile_error
from common.reporting.numbers import ENERGY_UNIT, FORCE_UNIT
from common.reporting.pages import Picture, render_page

TEMPLATES = pathlib.Path(__file__).parent / "templates"


def render_report(
    results: Results,
    pictures: collections.abc.Mapping[str, collections.abc.Sequence[Picture | None]],
    files: collections.abc.Sequence[str],
    title: str,
) -> str:
    """The report as HTML.

    Args:
        results: no number in the report comes from anywhere else.
        pictures: by section; "profiles" and "structures" have one, or None, for each of the worst molecules.
        files: paths to link to, relative to the report.
        title: of the page.
    """
    return render_page(
        TEMPLATES / "report.html",
        results=results,
        pictures=pictures,
        files=files,
        title=title,
        relaxed_groups=list_relaxed_groups(results),
        relaxed_labels=LABELS,
        relaxed_errors=[
            {name: compute_profile_error(scan, name) for name in scan.energies} for scan in results.list_drawn_scans()
        ],
        settings=[(run.name, [*list_settings(run.config), *list_facts(run)]) for run in results.runs],
        energy_unit=ENERGY_UNIT,
        force_unit=FORCE_UNIT,
    )


def list_settings(config: collections.abc.Mapping[str, typing.Any]) -> list[tuple[str, str]]:
    """The settings of a run as names and values to read, one line each."""
    settings = []
    for name, value in config.items():
        if name in ("versions", "contents"):
            continue
        if name == "trained":
            for type_, columns in value.items():
                settings.append((f"trained {type_}", describe_columns(columns)))
        elif isinstance(value, dict) and value:
            settings += [(f"{name}: {key}", str(one)) for key, one in value.items()]
        elif value not in ({}, [], None):
            settings.append((name, str(value)))
    return settings


def list_facts(run: RunDescription) -> list[tuple[str, str]]:
    """What came out of the settings of a run: the prior that was chosen, the statistics, the time it took."""
    summary = run.summary
    facts = [("statistics", str(summary.get("statistics", "unknown")))]
    if prior := summary.get("prior"):
        what = "evidence, -ln" if prior["criterion"] == "evidence" else "loss left out"
        strengths = ", ".join(f"{kind} {value:.1e}" for kind, value in prior["strengths"].items())
        facts.insert(0, (f"priors by {prior['criterion']}", strengths))
        facts.insert(1, (what, f"{prior['value']:.5g}; with one strength for all {prior['value_shared']:.5g}"))
    if repeats := summary.get("split_seeds"):
        for part, what in (("rmse_forces", "force"), ("rmse_energy", "energy")):
            mean, spread = (repeats[part]["final"][name] for name in ("mean", "standard_deviation"))
            seeds = " ".join(map(str, repeats["seeds"]))
            text = f"{mean:.3g}, standard deviation {spread:.2g}"
            facts.append((f"test {what} error over split seeds {seeds}", text))
    for source, (energy, forces) in summary.get("source_weights", {}).items():
        facts.append((f"weight of {source}", f"energies {energy:.3g}, forces {forces:.3g}"))
    for name, label in (("seconds_pass", "pass over the data"), ("seconds_epochs", "fit")):
        if name in summary:
            reused = " (an earlier run made it)" if name == "seconds_pass" and summary.get("statistics_reused") else ""
            facts.append((label, f"{summary[name]:.1f} s{reused}"))
    return facts
