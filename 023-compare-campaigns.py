"""Compare campaigns: errors by the number of calculations, over seeds; what was chosen; where the time went.

Reads   outputs/campaigns/<run>/             what 022-run-campaign.py wrote, any number of them
Writes  outputs/comparisons/<timestamp>/     report.html, metrics.json, errors.csv, figures

    python 023-compare-campaigns.py outputs/campaigns/*
    python 023-compare-campaigns.py outputs/campaigns/RUN

Campaigns that differ in nothing but the seed are one group, with bands over its seeds. Groups are compared seed by
seed with the first that is named, at the same number of calculations and with a round's less. Every calculation counts:
the initial set, audits, chosen frames, and those that failed. Campaigns that have not ended are passed over.
"""

import dataclasses
import pathlib

import tyro

from common.active_learning.comparison import group_campaigns, list_tests, summarize
from common.active_learning.records import CampaignRecord, read_campaign
from common.active_learning.report import draw_figures, format_table, render_comparison
from common.files.plain import write_json, write_table
from common.processes.stage import run_stage
from common.reporting.console import point_to_report
from common.runs.folder import create_run_folder
from common.runs.options import read_settings
from common.runs.settings import Machine, StageSettings

OUTPUTS = pathlib.Path("outputs")


@dataclasses.dataclass(frozen=True)
class Settings(StageSettings):
    """Which campaigns, and where the report goes."""

    campaigns: tyro.conf.Positional[Machine[tuple[pathlib.Path, ...]]] = ()  # folders of campaigns
    title: Machine[str] = "Campaigns side by side"  # of the report
    output: Machine[pathlib.Path] = OUTPUTS / "comparisons"


def read_campaigns(folders: tuple[pathlib.Path, ...]) -> list[CampaignRecord]:
    """Those that have ended; of the others a line each."""
    records = []
    for folder in folders:
        record = read_campaign(folder)
        if record.outcome:
            records.append(record)
        else:
            print(f"{folder}: has not ended, passed over; go on: python 022-run-campaign.py --resume {folder}")
    if not records:
        raise ValueError("no campaign that has ended: name the folders of some, e.g. outputs/campaigns/*")
    return records


def list_rows(summary: dict) -> list[dict]:
    """The errors of every seed, one row each."""
    return [
        {"kind": kind, "test": test, "group": group, "n_calls": n_calls, "seed": seed, "error": error}
        for kind, tests in summary["errors"].items()
        for test, groups in tests.items()
        for group, of in groups.items()
        for n_calls, each in of.items()
        for seed, error in each["values"].items()
    ]


def main() -> None:
    settings = read_settings(Settings)
    records = read_campaigns(settings.campaigns)
    groups = group_campaigns(records)
    summary = summarize(groups)
    pictures = draw_figures(groups)
    folder = create_run_folder(settings.output, "comparison")
    for picture in pictures:
        (folder / picture.file_name).write_bytes(picture.contents)
    write_table(folder / "errors.csv", list_rows(summary))
    write_json(folder / "metrics.json", summary)
    (folder / "report.html").write_text(render_comparison(summary, pictures, settings.title))
    n_seeds = {name: len(own) for name, own in groups.items()}
    print("RMS force error [kcal/mol/Å], mean ± standard deviation over seeds; " + str(n_seeds).strip("{}"))
    for test in list_tests(records):
        print(format_table(groups, test))
    for each in summary["differences"]:
        difference = each["difference"]
        if difference["low"] is not None:
            print(
                f"test {each['test']}: {each['group']} with {each['n_calls']} less {each['other']} with "
                f"{each['n_calls_other']}: {difference['mean']:+.2f} ({difference['low']:+.2f} to "
                f"{difference['high']:+.2f}), better in {each['n_better']} of {len(difference['values'])} seeds"
            )
    print(point_to_report(folder / "report.html"))


if __name__ == "__main__":
    run_stage(main)
