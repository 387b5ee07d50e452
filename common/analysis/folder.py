"""The folder that stage 005 writes: figures, tables, ``metrics.json`` and the report."""

import collections.abc
import contextlib
import os
import pathlib
import shutil

from common.analysis.records import Results, Tables, WorstMolecule, to_plain
from common.analysis.report import render_report
from common.analysis.report_figures import ReportFigure
from common.files.atomic import get_beside, name_full_disk, remove_leftovers
from common.files.plain import write_json, write_table
from common.relaxation.summary import list_tables
from common.reporting.pages import Picture
from common.reporting.plots import render_svg
from common.reporting.structures import draw_molecule
from common.runs.curves import Curve
from common.runs.names import propose_names

METRICS = "metrics.json"
REPORT = "report.html"


@contextlib.contextmanager
def create_analysis_folder(output: pathlib.Path) -> collections.abc.Iterator[tuple[pathlib.Path, pathlib.Path]]:
    """A folder beside to write to, and the one named by date and time that it becomes when the block has ended.

    Args:
        output: the folder of analyses.
    """
    output.mkdir(parents=True, exist_ok=True)
    remove_leftovers(output)
    path = next(output / name for name in propose_names() if not (output / name).exists())
    beside = get_beside(path)
    beside.mkdir()
    try:
        with name_full_disk(path):
            yield beside, path
        beside.rename(path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def write_analysis(
    folder: pathlib.Path,
    results: Results,
    tables: Tables,
    figures: collections.abc.Mapping[str, collections.abc.Sequence[ReportFigure | None]],
    curves: collections.abc.Mapping[str, collections.abc.Mapping[str, Curve]],
) -> None:
    """Writes all files.

    Args:
        folder: where to.
        results: what is to be said first.
        tables: all of it.
        figures: the figures by section of the report.
        curves: the learning curves of each run.
    """
    pictures = {section: [_render(one) for one in mine] for section, mine in figures.items()}
    pictures["structures"] = [_draw_structure(i, record) for i, record in enumerate(results.worst_molecules, 1)]
    pictures["types"] = _draw_splits(results)
    pictures["relaxed_structures"] = _draw_scans(results)
    written = []
    for picture in (picture for mine in pictures.values() for picture in mine if picture is not None):
        path = folder / "figures" / picture.file_name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(picture.contents)
        written.append(path)
    rows = tables.list_rows()
    rows["learning_curves"] = [
        {"run": run, "curve": tag, "epoch": int(epoch), "value": float(value)}
        for run, own in curves.items()
        for tag, curve in own.items()
        for epoch, value in zip(curve.epochs, curve.values, strict=True)
    ]
    if results.relaxed is not None:
        rows |= list_tables(results.relaxed)
    for name, records in rows.items():
        if records:
            written.append(folder / "tables" / f"{name.replace('_', '-')}.csv")
            write_table(written[-1], records)
    write_json(folder / METRICS, to_plain(results))
    fitted = [os.path.relpath(pathlib.Path(run.folder) / "force-field.offxml", folder) for run in results.runs]
    files = [*fitted, METRICS, *sorted(str(path.relative_to(folder)) for path in written)]
    (folder / REPORT).write_text(render_report(results, pictures, files, _choose_title(results)), encoding="utf-8")


def _render(one: ReportFigure | None) -> Picture | None:
    if one is None:
        return None
    return Picture(f"{one.name}.svg", one.description, render_svg(one.figure))


def _draw_structure(number: int, record: WorstMolecule) -> Picture:
    scanned = record.profile.scanned if record.profile else None
    drawing = draw_molecule(record.smiles, scanned or ())
    return Picture(f"molecule-{number:02d}.svg", f"Structure of {record.molecule}", drawing.encode())


def _draw_scans(results: Results) -> list[Picture | None]:
    """The molecules whose relaxed scans are drawn, with the bond that turns."""
    return [
        Picture(
            f"relaxed-scan-{number:02d}-structure.svg",
            f"Structure of {scan.origin.molecule}",
            draw_molecule(scan.origin.smiles, scan.atoms).encode(),
        )
        for number, scan in enumerate(results.list_drawn_scans(), 1)
    ]


def _draw_splits(results: Results) -> list[Picture | None]:
    """The children of the first run's splits, each in a molecule that has it."""
    splits = results.runs[0].summary.get("types", {}).get("splits", []) if results.runs else []
    pictures: list[Picture | None] = []
    for number, split in enumerate(splits, 1):
        if split["molecule"]:
            drawing = draw_molecule(split["molecule"], split["atoms"])
            description = f"{split['type']}, {split['words']}"
            pictures.append(Picture(f"type-{number:03d}.svg", description, drawing.encode()))
    return pictures


def _choose_title(results: Results) -> str:
    runs = [pathlib.Path(run.folder).name for run in results.runs]
    return f"Run {runs[0]}" if len(runs) == 1 else f"{len(runs)} runs side by side" if runs else results.main_candidate
