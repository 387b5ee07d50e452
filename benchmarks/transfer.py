"""How fits do on molecules that they have not seen, by the number of those that they have.

    python benchmarks/make_quantum_data.py --molecules 345
    python benchmarks/transfer.py --force-field openff-2.1.0.offxml --discover-types 60

For each seed the same molecules test, whatever the number that train. Compared are, on these: 1,000 epochs of Adam; the
exact fit with each strength of one prior for all, of which the best *on the test molecules* counts; the exact fit as it
comes, its strengths chosen by cross-validation; and with --discover-types the same with finer types, in pairs. Errors
are those of the loss, roots of means over entries.
"""

import argparse
import dataclasses
import json
import pathlib
import random
import statistics
import sys
import time

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from common.data.dataset import Entry, ShardWriter, finish_dataset, list_sources, open_dataset, read_entries
from common.data.splits import SplitSettings
from common.data.weighting import weigh_conformers
from common.fitting.exact_fit import fit_valence
from common.fitting.methods import fit_quietly
from common.fitting.outputs import compute_losses
from common.forcefields.parameter_file import load_parameters, save_parameters
from common.forcefields.tensors import ParameterizedMolecules, TensorForceField
from common.forcefields.trainable import Column
from common.model_selection.prior_choice import GRID
from common.model_selection.setup import Plan, SetUp, set_up
from common.molecules.mapped_smiles import compute_connectivity_key
from common.smirnoff.find import find_force_field
from common.smirnoff.offxml import read_force_field
from common.smirnoff.parameterize import parameterize
from common.sufficient_statistics.accumulation import compute_statistics
from common.sufficient_statistics.entry_grams import WeightedEntry
from common.sufficient_statistics.gram import compute_entry_grams
from common.sufficient_statistics.interactions import build_interactions
from common.sufficient_statistics.linearization import Linearization
from common.sufficient_statistics.settings import PassMachine, PassSettings
from common.type_discovery.finer_fit import find_types, take_types

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
N_RESAMPLES = 2000


def read_all(data: pathlib.Path) -> list[Entry]:
    return [entry for source in list_sources(data) for entry in read_entries(open_dataset(data / source))]


def prepare_parameters(
    entries: list[Entry], force_field: str, output: pathlib.Path
) -> tuple[list[Entry], pathlib.Path]:
    """The parameters file of the molecules, and the entries of those that the force field can do."""
    parameters = output / "start.pt"
    output.mkdir(parents=True, exist_ok=True)
    if not parameters.is_file():
        smiles = sorted({entry.smiles for entry in entries})
        save_parameters(parameters, parameterize(read_force_field(find_force_field(force_field)), smiles, 1))
    known = load_parameters(parameters).topologies
    return [entry for entry in entries if entry.smiles in known], parameters


def write_subset(folder: pathlib.Path, entries: list[Entry]) -> None:
    work = folder / ".work"
    work.mkdir(parents=True, exist_ok=True)
    with ShardWriter(work / "shard.arrow") as shard:
        for entry in entries:
            shard.write(entry)
    finish_dataset(work, [work / "shard.arrow"], folder / "data" / "subset", {"stage": "benchmark"})


@dataclasses.dataclass(frozen=True)
class Errors:
    """Of a fit on the test molecules: squares of energies and forces of each entry, ``shape=(2, n_entries)``."""

    squares: numpy.ndarray

    @property
    def rmse(self) -> dict[str, float]:
        energy, forces = numpy.sqrt(self.squares.mean(axis=1)).tolist()
        return {"rmse_energy": energy, "rmse_forces": forces}


def measure(molecules: ParameterizedMolecules, force_field: TensorForceField, entries: list[Entry]) -> Errors:
    """The test errors, entry by entry."""
    reference = Linearization(molecules.force_field)
    smiles = sorted({entry.smiles for entry in entries})
    interactions = build_interactions([molecules.topologies[one] for one in smiles], reference)
    weighted = []
    for entry in entries:
        entry, weights = weigh_conformers(entry, PassSettings().conformers)
        weighted.append(WeightedEntry(entry, smiles.index(entry.smiles), weights))
    phi = reference.compute(molecules.force_field)
    change = (reference.compute(force_field) - phi).numpy()
    squares = []
    for grams in compute_entry_grams(iter(weighted), interactions, phi):
        delta = numpy.append(change[grams.features], -1.0)
        squares.append([delta @ one.numpy() @ delta for one in (grams.energy, grams.forces)])
    return Errors(numpy.array(squares).T)


def resample(before: Errors, after: Errors) -> list[list[float]]:
    """The 95 % intervals of the relative change of both errors, paired, entries resampled."""
    random_ = numpy.random.default_rng(0)
    chosen = random_.integers(0, before.squares.shape[1], (N_RESAMPLES, before.squares.shape[1]))
    sums = [one.squares[:, chosen].sum(axis=2) for one in (before, after)]
    changes = numpy.sqrt(sums[1] / sums[0]) - 1.0
    return numpy.quantile(changes, [0.025, 0.975], axis=1).T.tolist()


def solve(setup: SetUp, strengths=None) -> TensorForceField:
    train = setup.objectives["train"]
    train = train if strengths is None else train.with_strengths(strengths)
    return fit_valence(train, setup.trainable, COLUMNS, setup.start).force_field


def run_adam(setup: SetUp) -> TensorForceField:
    train = setup.objectives["train"].with_strengths(0.0)
    return fit_quietly("adam", train, setup.trainable, COLUMNS, setup.start, N_EPOCHS, LEARNING_RATE)


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
    statistics_ = compute_statistics(data, parameters, cache, settings, MACHINE)
    assert statistics_ is not None
    start = time.process_time()
    setup = set_up(Plan(COLUMNS, criterion="cross-validation"), load_parameters(parameters), statistics_)
    seconds = time.process_time() - start
    fixed = [compute_losses(setup.objectives, solve(setup, 10.0**exponent))["test"] for exponent in GRID]
    test = [entry for entry in chosen if assigned[entry.smiles] == "test"]
    assert setup.choice is not None
    exact = measure(setup.molecules, solve(setup), test)
    record = {
        "seed": seed,
        "size": len([key for key, split in split_of.items() if split == "train"]),
        "n_columns": len(statistics_.features),
        "seconds_cross_validation": seconds,
        "n_trials": len(setup.choice.trials),
        "strengths": setup.choice.to_plain()["strengths"],
        "start": compute_losses(setup.objectives, setup.start)["test"],
        "adam": compute_losses(setup.objectives, run_adam(setup))["test"],
        "exact": exact.rmse,
        "best_fixed_force": min(one["rmse_forces"] for one in fixed),
        "best_fixed_energy": min(one["rmse_energy"] for one in fixed),
    }
    if arguments.discover_types:
        start, clock = time.process_time(), time.perf_counter()
        types = find_types(setup, data, cache, settings, arguments.discover_types, 1)
        record["finer"] = {
            "n_splits": len(types.splits),
            "seconds": time.process_time() - start,
            "seconds_clock": time.perf_counter() - clock,
            "strength": types.strength,
            **exact.rmse,
        }
        if types.splits:
            finer = take_types(setup, types, assigned, data, cache, settings, MACHINE)
            errors = measure(finer.molecules, solve(finer), test)
            record["finer"] |= {**errors.rmse, "intervals": resample(exact, errors)}
    return record


def describe(record: dict) -> str:
    parts = [f"seed {record['seed']}, {record['size']} molecules, {record['n_columns']} columns"]
    for name in ("start", "adam", "exact", "finer"):
        if name in record:
            one = record[name]
            parts.append(f"{name} {one['rmse_forces']:.3f} / {one['rmse_energy']:.3f}")
    parts.append(f"best fixed {record['best_fixed_force']:.3f} / {record['best_fixed_energy']:.3f}")
    parts.append(f"cross-validation {record['seconds_cross_validation']:.1f} s")
    if finer := record.get("finer"):
        parts.append(f"{finer['n_splits']} splits in {finer['seconds']:.0f} s")
        if "intervals" in finer:
            energy, forces = ([f"{end:+.1%}" for end in ends] for ends in finer["intervals"])
            parts.append(f"95 % of the change force {' to '.join(forces)}, energy {' to '.join(energy)}")
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
    entries, parameters = prepare_parameters(read_all(arguments.data), arguments.force_field, arguments.output)
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
