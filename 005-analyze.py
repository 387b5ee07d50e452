r"""Analyze: how good is the fitted force field, what changed, and where does it fail.

Reads   outputs/runs/<run>/                  what 004-train.py wrote, and the data and parameters that it used
Writes  outputs/analysis/<timestamp>/        report.html (read this), metrics.json, figures/, tables/

    python 005-analyze.py                                        the latest finished run
    python 005-analyze.py outputs/runs/*                         several runs side by side, those that have ended
    python 005-analyze.py --force-field openff-2.1.0.offxml      and other force fields on the same data
    python 005-analyze.py --data DIR --parameters FILE.pt        no run: score a force field on data

Energies and forces of every conformer are computed anew and not taken from the statistics of the fit: this is its
independent check. About 0.3 ms for each conformer, force field and processor.
"""

import dataclasses
import functools
import pathlib
import time

import tyro

from common.analysis.console import print_results, print_what_to_do
from common.analysis.error_statistics import sum_errors
from common.analysis.folder import REPORT, create_analysis_folder, write_analysis
from common.analysis.predictions import Index, index_data, load_candidates, predict
from common.analysis.records import Results
from common.analysis.report_figures import draw_all
from common.analysis.results import collect_results
from common.analysis.study import Study, add_force_fields, read_runs, study_parameters, study_runs
from common.forcefields.tensors import ParameterizedMolecules
from common.processes.memory import format_peak_memory
from common.processes.stage import run_stage
from common.processes.threads import count_available_cpus
from common.relaxation.entries import RECOGNITION, find_tasks
from common.relaxation.records import RelaxedBenchmark
from common.relaxation.summary import summarize
from common.relaxation.tasks import relax_all
from common.reporting.console import point_to_report
from common.runs.curves import read_curves
from common.runs.options import read_settings
from common.runs.settings import AtLeastOne, Contents, Machine, NonNegative, StageSettings

OUTPUTS = pathlib.Path("outputs")


@dataclasses.dataclass(frozen=True)
class Settings(StageSettings):
    """What is set side by side."""

    runs: tyro.conf.Positional[tuple[pathlib.Path, ...]] = ()  # run folders, or a folder of runs; none: outputs/runs
    force_field: tuple[str, ...] = ()  # further force field files (.offxml) to score
    data: Contents[pathlib.Path | None] = None  # folder of data sets; None: that of the first run
    parameters: Contents[pathlib.Path | None] = None  # what 002 wrote; None: what each run started from
    relaxed_scans: NonNegative[int] = 0  # torsion scans relaxed by each force field, test molecules first; 1 s each
    relaxed_minima: NonNegative[int] = 0  # entries whose quantum minima are minimised by each force field; 0.3 s each
    optimized_sources: tuple[str, ...] = ()  # data sets all of whose conformers are minima, whatever their forces
    output: Machine[pathlib.Path] = OUTPUTS / "analysis"  # folder of analyses
    n_workers: Machine[AtLeastOne[int]] = dataclasses.field(default_factory=count_available_cpus)  # processes


def open_study(settings: Settings) -> Study:
    """What the command line asks for: runs, or without any a force field on data."""
    if not settings.runs and settings.data and settings.parameters:
        return study_parameters(settings.data, settings.parameters)
    runs = read_runs(settings.runs or [OUTPUTS / "runs"])
    return study_runs(runs, settings.data, settings.parameters)


def relax(
    settings: Settings,
    study: Study,
    index: Index,
    molecules: dict[str, ParameterizedMolecules],
    results: Results,
) -> RelaxedBenchmark | None:
    """What the drawn force fields make of scans and minima when geometries may move; None where there are none."""
    if not settings.relaxed_scans and not settings.relaxed_minima:
        return None
    topologies = next(iter(molecules.values())).topologies
    limits = (settings.relaxed_scans, settings.relaxed_minima)
    tasks = find_tasks(study.data, index.rows, topologies, *limits, results.focus, settings.optimized_sources)
    if not tasks:
        print(f"no torsion scans and no quantum minima among the data: nothing is relaxed ({RECOGNITION})")
        return None
    candidates = [one for one in study.candidates if one.name in results.drawn]
    load = functools.partial(load_candidates, candidates)
    return summarize(relax_all(study.data, tasks, load, settings.n_workers), results.drawn)


def main() -> None:
    settings = read_settings(Settings)
    start = time.perf_counter()
    study = open_study(settings)
    with create_analysis_folder(settings.output) as (folder, final):
        study = add_force_fields(study, settings.force_field, folder / ".parameters", settings.n_workers)
        molecules = load_candidates(study.candidates)
        index = index_data(study.data, molecules, study.choose_split)
        predictions = predict(study.data, index.rows, study.candidates, study.conformers, settings.n_workers)
        errors = sum_errors(predictions)
        results, tables = collect_results(study, index, predictions, errors, molecules)
        relaxed = relax(settings, study, index, molecules, results)
        results = dataclasses.replace(results, relaxed=relaxed)
        curves = {name: read_curves(run.folder) for name, run in zip(study.run_names, study.runs, strict=True)}
        figures = draw_all(results, predictions, errors, curves)
        write_analysis(folder, results, tables, figures, curves)
    print_results(results)
    print(f"{time.perf_counter() - start:.0f} s, peak memory {format_peak_memory()}")
    print_what_to_do([run.folder for run in study.runs])
    print(point_to_report(final / REPORT))


if __name__ == "__main__":
    run_stage(main)
