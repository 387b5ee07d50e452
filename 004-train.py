r"""Fit the force field: one pass over the data, then every epoch is free.

Reads   outputs/data-clustered/<source>/ and outputs/openff-2.1.0.pt
Writes  outputs/statistics/                 what the pass found out, reused as long as data and parameters stay
        outputs/runs/<timestamp>/           config, TensorBoard events, checkpoints, force-field.pt, force-field.offxml,
                                            summary.json

One machine, all processors:        python 004-train.py
Several nodes, same on each:        torchrun --nnodes 2 --nproc-per-node 16 --rdzv-backend c10d \
                                        --rdzv-endpoint HOST:PORT 004-train.py
Watch it:                           tensorboard --logdir outputs/runs

Time: the pass takes about 0.05 ms a conformer and processor, an epoch about a millisecond, whatever the size of the
data. Edit the hyperparameters below and run again: only changes of the data, the parameters or the settings under
"the pass" need a new pass.
"""

import argparse
import dataclasses
import math
import pathlib
import time

import tqdm

from common.accumulation import PassSettings, compute_statistics
from common.losses import Objective, build_objective
from common.runs import (
    Log,
    compute_losses,
    create_run_folder,
    describe_losses,
    describe_versions,
    save_force_field,
    write_json,
)
from common.statistics import Statistics
from common.tensors import ParameterizedMolecules, TensorForceField, load_parameters
from common.trainable import Column, Trainable, build_trainable
from common.training import iterate_adam
from common.workers import format_peak_memory, run_stage

# --- what is trained -------------------------------------------------------------------------------------------------
# for each type its columns; scale: the optimiser sees value * scale; limits in kcal/mol, Angstrom and radian
PARAMETERS = {
    "Bonds": {"k": Column(scale=1 / 100, lower=0.0), "length": Column(lower=0.0)},
    "Angles": {"k": Column(scale=1 / 100, lower=0.0), "angle": Column(lower=0.0, upper=math.pi)},
    "ProperTorsions": {"k": Column()},
}
INCLUDE: dict[str, list[str]] = {}  # by type, the only SMIRKS to train; types not named: all
EXCLUDE: dict[str, list[str]] = {}  # by type, SMIRKS that keep their starting values

# --- how -------------------------------------------------------------------------------------------------------------
N_EPOCHS = 1000  # full-batch steps
LEARNING_RATE = 0.01  # of Adam with amsgrad, in units of the scaled values
FORCE_WEIGHT = 1.0  # [Angstrom²] of the mean squared force error against the mean squared energy error
SOURCE_WEIGHTS: dict[str, float] = {}  # weight of each entry of a source; sources not named: 1
CHECKPOINT_INTERVAL = 100  # [epochs] between saved force fields

# --- the pass: a change here needs a new one -------------------------------------------------------------------------
PASS = PassSettings(
    validation_fraction=0.1,  # of the molecules
    test_fraction=0.1,  # of the molecules
    split_seed=0,  # another seed, another split
    energy_ceiling=None,  # [kcal/mol] above the lowest of an entry: such conformers are left out; None: all stay
    boltzmann_temperature=None,  # [K] weights conformers by exp(-ΔE/RT); None: all alike
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
    parser.add_argument("--n-epochs", type=int, default=N_EPOCHS, help="default: %(default)s")
    parser.add_argument("--n-processes", type=int, default=N_PROCESSES, help="ranks of the pass (default: as needed)")
    return parser.parse_args()


def describe_settings(arguments: argparse.Namespace) -> dict:
    """Everything that determines the run, as plain values."""
    return {
        "parameters": {t: {c: dataclasses.asdict(s) for c, s in cols.items()} for t, cols in PARAMETERS.items()},
        "include": INCLUDE,
        "exclude": EXCLUDE,
        "n_epochs": arguments.n_epochs,
        "learning_rate": LEARNING_RATE,
        "force_weight": FORCE_WEIGHT,
        "source_weights": SOURCE_WEIGHTS,
        "pass": dataclasses.asdict(PASS),
        "data": str(arguments.data),
        "parameters_file": str(arguments.parameters),
        "versions": describe_versions(),
    }


def summarise_splits(
    statistics: Statistics, objectives: dict[str, Objective], initial: TensorForceField, final: TensorForceField
) -> dict:
    """Counts and losses of every split, before and after."""
    summary = {}
    for split in ("train", "validation", "test"):
        groups = [group for (_, name), group in statistics.groups.items() if name == split]
        summary[split] = {
            "n_entries": sum(group.n_entries for group in groups),
            "n_molecules": statistics.n_molecules[split],
            "n_conformers": sum(group.n_conformers for group in groups),
        }
        for name, force_field in (("initial", initial), ("final", final)):
            if split in objectives:
                losses = compute_losses(objectives[split], force_field)
                summary[split] |= {f"{part}_{name}": losses[part] for part in ("loss_energy", "loss_forces")}
    return summary


def train(
    folder: pathlib.Path,
    trainable: Trainable,
    objectives: dict[str, Objective],
    molecules: ParameterizedMolecules,
    comments: list[str],
    n_epochs: int,
) -> TensorForceField:
    """Runs the epochs; logs them and saves the force field on the way."""
    log = Log(folder)
    objective = objectives["train"]
    values = trainable.to_values(molecules.force_field)
    bar = tqdm.tqdm(iterate_adam(objective, trainable, values, LEARNING_RATE, n_epochs), total=n_epochs, unit="epoch")
    for epoch in bar:
        force_field = trainable.to_force_field(epoch.values)
        losses = describe_losses(epoch.loss_energy, epoch.loss_forces, FORCE_WEIGHT)
        log.add_losses("train", losses, epoch.number - 1)  # of the values before this step
        values = epoch.values
        if "validation" in objectives:
            log.add_losses("validation", compute_losses(objectives["validation"], force_field), epoch.number)
        if epoch.number % CHECKPOINT_INTERVAL == 0:
            bar.set_postfix_str(f"loss {losses['loss']:.4g}")
            path = folder / "checkpoints" / f"epoch-{epoch.number:06d}"
            save_force_field(path, force_field, molecules, [*comments, f"after {epoch.number} epochs"])
    final = trainable.to_force_field(values)
    log.add_losses("train", compute_losses(objective, final), n_epochs)
    log.close()
    return final


def main() -> None:
    arguments = parse_arguments()
    statistics_folder = arguments.statistics or arguments.output.parent / "statistics"
    statistics = compute_statistics(
        arguments.data, arguments.parameters, statistics_folder, PASS, arguments.n_processes
    )
    if statistics is None:
        return  # under torchrun, rank 0 goes on alone: what is left is a matter of seconds
    molecules = load_parameters(arguments.parameters)
    if statistics.is_reused:
        print(f"statistics: reused {statistics_folder / statistics.fingerprint}.pt, no pass over the data")
    else:
        print(f"statistics: one pass over the data in {statistics.seconds:.1f} s on {statistics.n_ranks} ranks")
    objectives = {
        split: objective
        for split in ("train", "validation", "test")
        if (objective := build_objective(statistics, split, FORCE_WEIGHT, SOURCE_WEIGHTS)) is not None
    }
    trainable = build_trainable(molecules.force_field, PARAMETERS, INCLUDE, EXCLUDE)
    print(f"training {len(trainable.names)} values; φ has {len(statistics.columns)} columns that the data exercise")

    folder = create_run_folder(arguments.output)
    settings = describe_settings(arguments)
    write_json(folder / "config.json", settings)
    write_json(folder / "splits.json", statistics.splits)
    comments = [
        f"fitted by 004-train.py, run {folder.name}",
        f"from {molecules.provenance['force_field']} (SHA-256 {molecules.provenance['force_field_sha256']})",
        f"to quantum energies and forces in {arguments.data}, statistics {statistics.fingerprint}",
    ]
    initial = trainable.to_force_field(trainable.to_values(molecules.force_field))
    start = time.perf_counter()
    final = train(folder, trainable, objectives, molecules, comments, arguments.n_epochs)
    seconds = time.perf_counter() - start

    save_force_field(folder / "force-field", final, molecules, comments)
    summary = {
        "loss_initial": compute_losses(objectives["train"], initial)["loss"],
        "loss_final": compute_losses(objectives["train"], final)["loss"],
        "splits": summarise_splits(statistics, objectives, initial, final),
        "seconds_pass": 0.0 if statistics.is_reused else statistics.seconds,
        "seconds_epochs": seconds,
        "statistics": statistics.fingerprint,
        "statistics_reused": statistics.is_reused,
        "n_ranks": statistics.n_ranks,
    }
    write_json(folder / "summary.json", summary)
    print(f"loss {summary['loss_initial']:.6g} -> {summary['loss_final']:.6g} in {seconds:.1f} s")
    print(f"wrote {folder}/force-field.offxml; peak memory {format_peak_memory()}")
    print(f"next: python 005-analyze.py {folder}")


if __name__ == "__main__":
    run_stage(main)
