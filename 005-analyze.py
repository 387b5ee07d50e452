r"""Analyze: how good is the fitted force field, what changed, and where does it fail.

Reads   outputs/runs/<run>/                  what 004-train.py wrote, and the data and parameters that it used
Writes  outputs/analysis/<timestamp>/        report.html (read this), metrics.json, figures/, tables/

    python 005-analyze.py                                        the latest finished run
    python 005-analyze.py RUN RUN                                several runs side by side
    python 005-analyze.py --force-field openff-2.1.0.offxml      and other force fields on the same data
    python 005-analyze.py --data DIR --parameters FILE.pt        no run: score a force field on data

Energies and forces of every conformer are computed anew and not taken from the statistics of the fit: this is its
independent check. About 0.3 ms for each conformer, force field and processor.
"""

import argparse
import pathlib
import time

from common.analysis.console import print_results
from common.analysis.evaluation import evaluate, index_data, load_candidates
from common.analysis.figures import draw_all
from common.analysis.folder import REPORT, create_analysis_folder, write_analysis
from common.analysis.metrics import sum_over_entries
from common.analysis.results import collect_results
from common.analysis.study import Study, add_force_fields, read_run, study_parameters, study_runs
from common.processes.memory import format_peak_memory
from common.processes.stage import run_stage
from common.processes.threads import count_available_cpus
from common.runs.curves import read_curves

RUNS = pathlib.Path("outputs/runs")
OUTPUT = pathlib.Path("outputs/analysis")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "runs", metavar="RUN", nargs="*", type=pathlib.Path, help=f"run folder, or folder of runs (default: {RUNS})"
    )
    parser.add_argument("--output", type=pathlib.Path, default=OUTPUT, help="folder of analyses (default: %(default)s)")
    parser.add_argument("--data", type=pathlib.Path, help="folder of data sets (default: that of the first run)")
    parser.add_argument("--parameters", type=pathlib.Path, help="what 002 wrote (default: what each run started from)")
    parser.add_argument(
        "--force-field", nargs="+", default=[], metavar="FILE", help="further force field files (.offxml) to score"
    )
    parser.add_argument(
        "--n-workers", type=int, default=count_available_cpus(), help="number of processes (default: %(default)s)"
    )
    arguments = parser.parse_args()
    if arguments.n_workers < 1:
        parser.error("--n-workers must be at least 1")
    return arguments


def open_study(arguments: argparse.Namespace) -> Study:
    """What the command line asks for: runs, or without any a force field on data."""
    if not arguments.runs and arguments.data and arguments.parameters:
        return study_parameters(arguments.data, arguments.parameters)
    runs = [read_run(path) for path in arguments.runs or [RUNS]]
    return study_runs(runs, arguments.data, arguments.parameters)


def main() -> None:
    arguments = parse_arguments()
    start = time.perf_counter()
    study = open_study(arguments)
    with create_analysis_folder(arguments.output) as (folder, final):
        study = add_force_fields(study, arguments.force_field, folder / ".parameters", arguments.n_workers)
        molecules = load_candidates(study.candidates)
        index = index_data(study.data, molecules, study.choose_split)
        evaluation = evaluate(study.data, index.rows, study.candidates, study.settings, arguments.n_workers)
        errors = sum_over_entries(evaluation)
        results = collect_results(study, index, evaluation, errors, molecules)
        curves = {name: read_curves(run.folder) for name, run in zip(study.run_names, study.runs, strict=True)}
        drawings = draw_all(results, evaluation, errors, curves)
        write_analysis(folder, results, drawings, curves)
    print_results(results.summary)
    print(f"{time.perf_counter() - start:.0f} s, peak memory {format_peak_memory()}")
    print(f"report: {final / REPORT}")


if __name__ == "__main__":
    run_stage(main)
