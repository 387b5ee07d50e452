"""How fits do on molecules that they have not seen, by the number of those that they have.

    python benchmarks/make_quantum_data.py --molecules 330
    python benchmarks/transfer.py --force-field openff-2.1.0.offxml --discover-types 60

For each seed the same molecules test, whatever the number that train. Compared are, on these: 1,000 epochs of Adam; the
exact fit with each strength of one prior for all, of which the best *on the test molecules* counts; the exact fit as it
comes, its strengths chosen by cross-validation; and with --discover-types the same with finer types. Errors are those
of the loss, roots of means over entries.
"""

import argparse
import dataclasses
import json
import pathlib
import random
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from common.data.dataset import Entry, ShardWriter, finish_dataset, list_sources, open_dataset, read_entries
from common.data.splits import SplitSettings
from common.fitting.exact_fit import fit_valence
from common.fitting.objective import Objective, build_objective
from common.fitting.optimizers import iterate_adam
from common.fitting.outputs import compute_losses
from common.fitting.priors import build_prior, is_of_children
from common.forcefields.parameter_file import load_parameters, save_parameters
from common.forcefields.trainable import Column, Trainable, build_trainable
from common.model_selection.prior_choice import GRID, choose_prior
from common.molecules.mapped_smiles import compute_connectivity_key
from common.smirnoff.find import find_force_field
from common.smirnoff.offxml import read_force_field
from common.smirnoff.parameterize import parameterize
from common.sufficient_statistics.accumulation import compute_statistics
from common.sufficient_statistics.settings import PassMachine, PassSettings
from common.sufficient_statistics.statistics import Statistics
from common.type_discovery.finer_types import SearchSettings, find_finer_types, find_parent_rows
from common.type_discovery.leaf_statistics import LossSettings

COLUMNS = {
    "Bonds": {
        "k": Column(scale=1 / 100, lower=0.0, prior=100.0),
        "length": Column(lower=0.0, upper=5.0, prior=0.05),
    },
    "Angles": {
        "k": Column(scale=1 / 100, lower=0.0, prior=50.0),
        "angle": Column(lower=0.0, upper=3.141592653589793, prior=0.1),
    },
    "ProperTorsions": {"k": Column(prior=1.0)},
}
"""As in 004."""

TEST_SHARE = 0.15
N_EPOCHS, LEARNING_RATE = 1000, 0.01
MACHINE = PassMachine(1)


def read_all(data: pathlib.Path) -> list[Entry]:
    return [entry for source in list_sources(data) for entry in read_entries(open_dataset(data / source))]


def write_subset(folder: pathlib.Path, entries: list[Entry]) -> None:
    work = folder / ".work"
    work.mkdir(parents=True, exist_ok=True)
    with ShardWriter(work / "shard.arrow") as shard:
        for entry in entries:
            shard.write(entry)
    finish_dataset(work, [work / "shard.arrow"], folder / "data" / "subset", {"stage": "benchmark"})


@dataclasses.dataclass(frozen=True)
class Setup:
    """A fit that is set up: its statistics, its loss on both splits and what is trained."""

    statistics: Statistics
    objectives: dict[str, Objective]
    trainable: Trainable


def set_up(data: pathlib.Path, parameters: pathlib.Path, cache: pathlib.Path, settings: PassSettings, parents) -> Setup:
    molecules = load_parameters(parameters)
    found = compute_statistics(data, parameters, cache, settings, MACHINE)
    assert found is not None
    trainable = build_trainable(molecules.force_field, COLUMNS)
    rows = find_parent_rows(molecules.force_field, parents)
    prior = build_prior(trainable, COLUMNS, found.linearization, found.features, molecules.force_field, rows)
    objectives = {split: build_objective(found, split) for split in ("train", "test")}
    objectives["train"] = dataclasses.replace(objectives["train"], prior=prior)
    return Setup(found, objectives, trainable)


def solve(setup: Setup, strengths) -> dict[str, float]:
    """The test errors of the exact fit."""
    train = setup.objectives["train"].with_strengths(strengths)
    fitted = fit_valence(train, setup.trainable, COLUMNS, setup.trainable.force_field).force_field
    return compute_losses(setup.objectives, fitted)["test"]


def run_adam(setup: Setup) -> dict[str, float]:
    trainable, train = setup.trainable, setup.objectives["train"].with_strengths(0.0)
    values = trainable.to_values(trainable.force_field)
    for epoch in iterate_adam(train, trainable, values, LEARNING_RATE, N_EPOCHS, 0, None):
        values = epoch.values
    return compute_losses(setup.objectives, trainable.to_force_field(values))["test"]


def discover(setup: Setup, strengths, data, parameters, cache, settings: PassSettings, n: int) -> dict[str, float]:
    molecules = load_parameters(parameters)
    objective = setup.objectives["train"].with_strengths(strengths)
    search = SearchSettings(n, settings.split.n_folds, settings.split.split_seed)
    start = time.process_time()
    arguments = (data, cache, molecules, setup.statistics, objective, setup.trainable, COLUMNS, LossSettings(), search)
    found = find_finer_types(*arguments)
    seconds = time.process_time() - start
    if not found.splits:
        return {"n_splits": 0, "seconds": seconds, **solve(setup, strengths)}
    finer = set_up(data, found.path, cache, settings, found.parents)
    prior = finer.objectives["train"].prior
    strengths = {kind: found.strength if is_of_children(kind) else strengths[kind] for kind in prior.kinds}
    return {"n_splits": len(found.splits), "seconds": seconds, **solve(finer, strengths)}


def compare(entries: list[Entry], seed: int, size: int, arguments, parameters: pathlib.Path) -> dict:
    keys = sorted({compute_connectivity_key(entry.smiles) for entry in entries})
    random.Random(seed).shuffle(keys)
    n_test = round(TEST_SHARE * len(keys))
    split_of = dict.fromkeys(keys[:n_test], "test") | dict.fromkeys(keys[n_test : n_test + size], "train")
    chosen = [entry for entry in entries if compute_connectivity_key(entry.smiles) in split_of]
    folder = arguments.output / f"seed-{seed}-size-{size}"
    write_subset(folder, chosen)
    assigned = {entry.smiles: split_of[compute_connectivity_key(entry.smiles)] for entry in chosen}
    settings = PassSettings(split=SplitSettings(split_seed=seed), assigned=assigned)
    data, cache = folder / "data", folder / "cache"
    setup = set_up(data, parameters, cache, settings, {})
    start = time.process_time()
    choice = choose_prior("cross-validation", setup.statistics, setup.objectives, setup.trainable, COLUMNS, {})
    seconds = time.process_time() - start
    fixed = [solve(setup, 10.0**exponent) for exponent in GRID]
    start_losses = compute_losses(setup.objectives, setup.trainable.force_field)["test"]
    record = {
        "seed": seed,
        "size": len([key for key, split in split_of.items() if split == "train"]),
        "n_columns": len(setup.statistics.features),
        "seconds_cross_validation": seconds,
        "start": start_losses,
        "adam": run_adam(setup),
        "exact": solve(setup, choice.best.strengths),
        "best_fixed_force": min(one["rmse_forces"] for one in fixed),
        "best_fixed_energy": min(one["rmse_energy"] for one in fixed),
    }
    if arguments.discover_types:
        record["finer"] = discover(
            setup, choice.best.strengths, data, parameters, cache, settings, arguments.discover_types
        )
    return record


def describe(record: dict) -> str:
    parts = [f"seed {record['seed']}, {record['size']} molecules, {record['n_columns']} columns"]
    for name in ("start", "adam", "exact", "finer"):
        if name in record:
            one = record[name]
            parts.append(f"{name} {one['rmse_forces']:.3f} / {one['rmse_energy']:.3f}")
    parts.append(f"best fixed {record['best_fixed_force']:.3f} / {record['best_fixed_energy']:.3f}")
    parts.append(f"cross-validation {record['seconds_cross_validation']:.1f} s")
    if "finer" in record:
        parts.append(f"{record['finer']['n_splits']} splits in {record['finer']['seconds']:.0f} s")
    return ", ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path("outputs/benchmarks/gfn2/data-raw"))
    parser.add_argument("--force-field", required=True)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("outputs/benchmarks/transfer"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[25, 50, 100, 100_000], help="training molecules")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--discover-types", type=int, default=0)
    arguments = parser.parse_args()
    entries = read_all(arguments.data)
    parameters = arguments.output / "start.pt"
    arguments.output.mkdir(parents=True, exist_ok=True)
    if not parameters.is_file():
        smiles = sorted({entry.smiles for entry in entries})
        save_parameters(parameters, parameterize(read_force_field(find_force_field(arguments.force_field)), smiles, 1))
    known = load_parameters(parameters).topologies
    entries = [entry for entry in entries if entry.smiles in known]
    print("errors are force [kcal/mol/Angstrom] / energy [kcal/mol] of the test molecules")
    for size in arguments.sizes:
        records = []
        for seed in arguments.seeds:
            records.append(compare(entries, seed, size, arguments, parameters))
            print(describe(records[-1]), flush=True)
        (arguments.output / f"size-{size}.json").write_text(json.dumps(records, indent=2))
        force = [one["exact"]["rmse_forces"] / one["best_fixed_force"] for one in records]
        energy = [one["exact"]["rmse_energy"] / one["adam"]["rmse_energy"] for one in records]
        line = f"median: force exact / best fixed {statistics.median(force):.3f}, energy exact / Adam "
        line += f"{statistics.median(energy):.3f}"
        if arguments.discover_types:
            changes = [
                statistics.median(one["finer"][part] / one["exact"][part] - 1.0 for one in records)
                for part in ("rmse_forces", "rmse_energy")
            ]
            line += f", finer types force {changes[0]:+.1%}, energy {changes[1]:+.1%}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
