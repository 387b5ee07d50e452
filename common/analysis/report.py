"""The report of stage 005: one HTML file that opens anywhere, without a network and without scripts."""

import base64
import collections.abc
import pathlib
import typing

import jinja2

from common.analysis.records import Results, RunDescription
from common.analysis.words import describe_columns
from common.reporting.numbers import ENERGY_UNIT, FORCE_UNIT, format_interval, format_number, format_percentage

TEMPLATES = pathlib.Path(__file__).parent / "templates"

_MEDIA_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


class Picture(typing.NamedTuple):
    """A figure as a file: its name with suffix, what it shows in words, and its contents."""

    file_name: str
    description: str
    contents: bytes

    @property
    def uri(self) -> str:
        """The contents as a data URI."""
        media_type = _MEDIA_TYPES[pathlib.PurePath(self.file_name).suffix]
        return f"data:{media_type};base64,{base64.b64encode(self.contents).decode('ascii')}"


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
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(
        number=format_number, interval=format_interval, percentage=format_percentage, thousands=_separate_thousands
    )
    return environment.get_template("report.html").render(
        results=results,
        pictures=pictures,
        files=files,
        title=title,
        settings=[(run.name, [*list_settings(run.config), *list_facts(run)]) for run in results.runs],
        energy_unit=ENERGY_UNIT,
        force_unit=FORCE_UNIT,
    )


def _separate_thousands(count: int) -> str:
    return f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


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
    if run.config.get("prior_strength") == "validation" and "prior_strength" in summary:
        facts.insert(0, ("prior_strength, chosen", f"{summary['prior_strength']:g}"))
    for name, label in (("seconds_pass", "pass over the data"), ("seconds_epochs", "fit")):
        if name in summary:
            reused = " (an earlier run made it)" if name == "seconds_pass" and summary.get("statistics_reused") else ""
            facts.append((label, f"{summary[name]:.1f} s{reused}"))
    return facts
