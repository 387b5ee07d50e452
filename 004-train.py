r"""Fit the force field: one pass over the data, then every epoch is free.

Reads   outputs/data-clustered/<source>/ and outputs/openff-2.1.0.pt
Writes  outputs/statistics/          what the pass found out, reused as long as data and parameters stay
        outputs/runs/<run>/          config.json, splits.json, TensorBoard events, checkpoints/, force-field.pt and
                                     .offxml, optimum.offxml, parameters.csv, summary.json; a run is called after its
                                     start and what sets it apart from the first one there

One machine, all processors:         python 004-train.py
Several nodes, the same on each:     torchrun --nnodes 2 --nproc-per-node 16 --rdzv-backend c10d \
                                         --rdzv-endpoint HOST:PORT 004-train.py
Go on with an interrupted run:       python 004-train.py --resume outputs/runs/<run>
Watch it:                            tensorboard --logdir outputs/runs

The pass takes 0.02 to 0.12 ms a conformer and processor, small molecules to large; an epoch takes about a millisecond
and the exact solve less than a second, whatever the size of the data. Edit the hyperparameters below and run again:
only changes of the data, the parameters and the settings under "the pass" need a new pass.
"""

import argparse
import dataclasses
import math
import pathlib
import time

import numpy

from common.analysis.tensorboard import log_results
from common.data.splits import SPLITS
from common.files.fingerprints import compute_fingerprint
from common.files.plain import write_json
from common.files.provenance import describe_versions
from common.fitting.exact_fit import fit_valence, try_prior_strengths
from common.fitting.methods import Fit, run_adam, run_exact, run_lbfgs
from common.fitting.objective import Objective, build_objective
from common.fitting.outputs import compute_losses, save_force_field, summarise
from common.fitting.parameter_table import write_parameter_table
from common.fitting.priors import build_prior
from common.fitting.uncertainty import compute_uncertainty
from common.forcefields.parameter_file import load_parameters
from common.forcefields.tensors import ParameterizedMolecules, TensorForceField
from common.forcefields.trainable import Column, Trainable, build_trainable
from common.processes.memory import format_peak_memory
from common.processes.stage import run_stage
from common.runs.checkpoints import Checkpoint, load_checkpoint
from common.runs.folder import create_run_folder
from common.runs.settings import name_run, read_first_settings
from common.sufficient_statistics.accumulation import compute_statistics
from common.sufficient_statistics.settings import PassSettings
from common.sufficient_statistics.statistics import Statistics

# --- what is trained -------------------------------------------------------------------------------------------------
# Each type with its columns. scale: the optimiser sees value * scale; lower, upper: limits; prior: width of the
# Gaussian prior (how far a value may well lie from its start). Units: kcal/mol, Angstrom, radian. Take a # away to
# train more.
PARAMETERS = {
    "Bonds": {
        "k": Column(scale=1 / 100, lower=0.0, prior=100.0),
        "length": Column(lower=0.0, upper=5.0, prior=0.05),
    },
    "Angles": {
        "k": Column(scale=1 / 100, lower=0.0, prior=50.0),
        "angle": Column(lower=0.0, upper=math.pi, prior=0.1),
    },
    "ProperTorsions": {"k": Column(prior=1.0)},
    # "ImproperTorsions": {"k": Column(prior=2.0)},
    # "vdW": {"epsilon": Column(scale=10.0, lower=0.0, prior=0.05), "sigma": Column(lower=0.5, upper=6.0, prior=0.1)},
}
INCLUDE: dict[str, list[str]] = {}  # by type, the only SMIRKS to train; types not named: all
EXCLUDE: dict[str, list[str]] = {}  # by type, SMIRKS that keep their starting values

# --- how -------------------------------------------------------------------------------------------------------------
METHOD = "adam"  # "adam", "lbfgs", or "exact": the global optimum, by a solve
N_EPOCHS = 1000  # full-batch steps of Adam; most iterations of L-BFGS
LEARNING_RATE = 0.01  # of Adam with amsgrad, in units of the scaled values
FORCE_WEIGHT = 1.0  # [Angstrom²] of the mean squared force error against the mean squared energy error
SOURCE_WEIGHTS: dict[str, float] = {}  # weight of each entry of a source; sources not named: 1
PRIOR_STRENGTH: float | str = 0.0  # [kcal²/mol²] times the sum of squares; "validation": the best on that split
PRIOR_CENTRE = None  # .pt file with the force field that the priors draw towards; None: the starting one
CHECKPOINT_INTERVAL = 100  # [epochs] between saved force fields

# --- the pass: a change here needs a new one -------------------------------------------------------------------------
PASS = PassSettings(
    validation_fraction=0.1,  # of the molecules
    test_fraction=0.1,  # of the molecules
    split_seed=0,  # another seed, another split
    keep_exercised=True,  # no molecule validates or tests that is the only one with some parameter; False: any may
    energy_ceiling=None,  # [kcal/mol] conformers so far above the lowest of their entry are left out (espaloma: 62.75)
    boltzmann_temperature=None,  # [K] weights conformers by exp(-ΔE/RT); None: all alike
    with_vdw="vdW" in PARAMETERS,  # the statistics then hold every pair of vdW types
    device="cpu",  # "cuda" where there is a GPU; use one process for each
)
N_PROCESSES = None  # None: one for each available processor where there is enough to do

# --- where -----------------------------------------------------------------------------------------------------------
DATA = pathlib.Path("outputs/data-clustered")
PARAMETERS_FILE = pathlib.Path("outputs/openff-2.1.0.pt")
OUTPUT = pathlib.Path("outputs/runs")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, default=DATA, help="folder of data sets (default: %(default)s)")
    parser.add_argument(
        "--parameters", type=pathlib.Path, default=PARAMETERS_FILE, help="what 002 wrote (default: %(default)s)"
    )
    parser.add_argument("--output", type=pathlib.Path, default=OUTPUT, help="folder of runs (default: %(default)s)")
    parser.add_argument(
        "--statistics", type=pathlib.Path, help="folder of statistics (default: 'statistics' beside the runs)"
    )
    parser.add_argument("--method", choices=("adam", "lbfgs", "exact"), default=METHOD, help="default: %(default)s")
    parser.add_argument("--n-epochs", type=int, default=N_EPOCHS, help="default: %(default)s")
    parser.add_argument("--learning-rate", type=float, default=LEARNING_RATE, help="default: %(default)s")
    parser.add_argument(
        "--prior-strength",
        type=lambda text: text if text == "validation" else float(text),
        default=PRIOR_STRENGTH,
        help="a number, or 'validation' (default: %(default)s)",
    )
    parser.add_argument("--n-processes", type=int, default=N_PROCESSES, help="ranks of the pass (default: as needed)")
    parser.add_argument("--resume", type=pathlib.Path, metavar="RUN", help="go on with an interrupted run")
    return parser.parse_args()


def describe_settings(arguments: argparse.Namespace) -> dict:
    """Everything that determines the run, as plain values."""
    return {
        "parameters": {t: {c: dataclasses.asdict(s) for c, s in cols.items()} for t, cols in PARAMETERS.items()},
        "include": INCLUDE,
        "exclude": EXCLUDE,
        "method": arguments.method,
        "n_epochs": arguments.n_epochs,
        "learning_rate": arguments.learning_rate,
        "force_weight": FORCE_WEIGHT,
        "source_weights": SOURCE_WEIGHTS,
        "prior_strength": arguments.prior_strength,
        "prior_centre": None if PRIOR_CENTRE is None else str(PRIOR_CENTRE),
        "pass": dataclasses.asdict(PASS),
        "data": str(arguments.data),
        "parameters_file": str(arguments.parameters),
    }


def build_objectives(statistics: Statistics, molecules: ParameterizedMolecules, trainable: Trainable) -> dict:
    """The loss on each split that has entries, with the prior, of strength 0, on the training split."""
    objectives = {
        split: objective
        for split in SPLITS
        if (objective := build_objective(statistics, split, FORCE_WEIGHT, SOURCE_WEIGHTS)) is not None
    }
    if "train" not in objectives:
        raise ValueError("no training data is left: check SOURCE_WEIGHTS and the split fractions")
    centre = molecules if PRIOR_CENTRE is None else load_parameters(PRIOR_CENTRE)
    prior = build_prior(trainable, PARAMETERS, statistics.linearization, statistics.columns, centre.force_field)
    return objectives | {"train": dataclasses.replace(objectives["train"], prior=prior)}


def choose_prior_strength(asked: float | str, objectives: dict[str, Objective], trainable: Trainable) -> float:
    """The strength that was asked for, or the one with the smallest validation loss."""
    if asked != "validation":
        return asked
    if "validation" not in objectives:
        raise ValueError("PRIOR_STRENGTH = 'validation' needs validation data: raise validation_fraction")
    choices = try_prior_strengths(objectives["train"], objectives["validation"], trainable, PARAMETERS)
    best = min(choices, key=lambda choice: choice.loss_validation)
    print("prior strength   training loss   validation loss")
    for choice in choices:
        mark = "  <- chosen" if choice is best else ""
        print(f"{choice.strength:14.0e} {choice.loss_train:15.6g} {choice.loss_validation:17.6g}{mark}")
    return best.strength


def run_method(fit: Fit, arguments: argparse.Namespace, checkpoint: Checkpoint | None) -> TensorForceField:
    """The fitted force field."""
    if arguments.method == "adam":
        return run_adam(fit, arguments.learning_rate, arguments.n_epochs, CHECKPOINT_INTERVAL, checkpoint)
    return run_exact(fit) if arguments.method == "exact" else run_lbfgs(fit, arguments.n_epochs)


def log_for_tensorboard(
    fit: Fit, settings: dict, statistics: Statistics, fields: dict[str, TensorForceField], arguments: argparse.Namespace
) -> None:
    """Hyperparameters, the table of errors and parity plots, beside the curves."""
    names = {"initial": "initial", "final": "fitted", "optimum": "optimum"}
    losses = {names[name]: compute_losses(fit.objectives, force_field) for name, force_field in fields.items()}
    candidates = {
        names[name]: dataclasses.replace(fit.molecules, force_field=fields[name]) for name in ("initial", "final")
    }
    used = settings | {"prior_strength": fit.objectives["train"].prior_strength}
    last_epoch = arguments.n_epochs if arguments.method == "adam" else 1
    log_results(fit.folder, used, statistics.splits, losses, arguments.data, candidates, PASS, last_epoch)


def report_parameters(fit: Fit, statistics: Statistics, final: TensorForceField) -> None:
    """Writes parameters.csv and says how many values the data do not determine."""
    names = fit.trainable.names
    widths = numpy.array([PARAMETERS[type_][name].prior or math.nan for type_, _, name in names], dtype=numpy.float64)
    objective = fit.objectives["train"]
    uncertainty = compute_uncertainty(statistics, objective, fit.trainable, final, widths, SOURCE_WEIGHTS)
    path = fit.folder / "parameters.csv"
    write_parameter_table(path, fit.trainable, final, statistics, fit.molecules, widths, uncertainty)
    n_open = int((~uncertainty.is_determined).sum())
    print(f"{n_open} of {len(names)} trained values are not determined by the data, see {path}")


def main() -> None:
    arguments = parse_arguments()
    cache = arguments.statistics or arguments.output.parent / "statistics"
    statistics = compute_statistics(arguments.data, arguments.parameters, cache, PASS, arguments.n_processes)
    if statistics is None:
        return  # under torchrun, rank 0 goes on alone: what is left is a matter of seconds
    if statistics.is_reused:
        print(f"statistics: reused {cache / statistics.fingerprint}.pt, no pass over the data")
    else:
        print(
            f"statistics: one pass over the data in {statistics.seconds:.1f} s on {statistics.n_ranks} ranks, "
            f"peak memory {statistics.peak_memory:.0f} MB each"
        )
    molecules = load_parameters(arguments.parameters)
    trainable = build_trainable(molecules.force_field, PARAMETERS, INCLUDE, EXCLUDE)
    objectives = build_objectives(statistics, molecules, trainable)
    strength = choose_prior_strength(arguments.prior_strength, objectives, trainable)
    objectives["train"] = dataclasses.replace(objectives["train"], prior_strength=strength)
    print(f"training {len(trainable.names)} values; the data exercise {len(statistics.columns)} columns of φ")

    settings = describe_settings(arguments)
    fingerprint = compute_fingerprint([statistics.fingerprint, settings])
    checkpoint = load_checkpoint(arguments.resume, fingerprint) if arguments.resume else None  # before anything changes
    folder = arguments.resume or create_run_folder(
        arguments.output, name_run(settings, read_first_settings(arguments.output))
    )
    write_json(folder / "config.json", {**settings, "versions": describe_versions()})
    write_json(folder / "splits.json", statistics.splits)
    comments = [
        f"fitted by 004-train.py, run {folder.name}, method {arguments.method}",
        f"from {molecules.provenance['force_field']} (SHA-256 {molecules.provenance['force_field_sha256']})",
        f"to quantum energies and forces in {arguments.data}, statistics {statistics.fingerprint}",
    ]
    fit = Fit(folder, PARAMETERS, trainable, objectives, molecules, comments, fingerprint)
    start = time.perf_counter()
    final = run_method(fit, arguments, checkpoint)
    seconds = {"seconds_epochs": time.perf_counter() - start}
    start = time.perf_counter()
    floor = fit_valence(dataclasses.replace(objectives["train"], prior_strength=0.0), trainable, PARAMETERS, final)
    seconds["seconds_optimum"] = time.perf_counter() - start

    save_force_field(folder / "force-field", final, molecules, comments)
    lines = [*comments, "the global optimum of the training loss without priors: a floor, not a force field to use"]
    save_force_field(folder / "optimum", floor.force_field, molecules, lines, with_topologies=False)
    report_parameters(fit, statistics, final)
    fields = {"initial": fit.initial, "final": final, "optimum": floor.force_field}
    log_for_tensorboard(fit, settings, statistics, fields, arguments)
    summary = summarise(statistics, objectives, fields, seconds)
    write_json(folder / "summary.json", summary)
    print(
        f"loss {summary['loss_initial']:.6g} -> {summary['loss_final']:.6g} in {summary['seconds_epochs']:.1f} s; "
        f"{summary['excess_over_optimum']:.2%} above the optimum {summary['loss_optimum']:.6g}"
    )
    if arguments.method == "exact" and strength == 0.0:
        print("no prior was used: what the data do not determine may be anything; see --prior-strength validation")
    print(f"wrote {folder}/force-field.offxml; peak memory {format_peak_memory()}")
    print(f"next: python 005-analyze.py {folder}")


if __name__ == "__main__":
    run_stage(main, uses_ranks=True)
