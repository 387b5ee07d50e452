"""Time a fit: one pass and free epochs, against epochs that go through the data with autograd.

    python -m benchmarks.fit --data outputs/example/data-raw --parameters outputs/example/starter.pt

All figures come from one run on the same data: copies of the data's entries with noise on the coordinates, energies and
forces of the force field plus noise (for time that makes no difference). Each is measured in a process of its own with
one thread, in rounds, all in turn; in a process everything is done once before, which loads libraries, compiles and
touches memory for the first time. Seconds are those of the processor, which other programs on the machine disturb
little, and wall time stands beside them; of the rounds the median counts, and ratios are of these medians. Memory is
the process's high-water mark.

    autograd     one epoch as smee + descent do it: molecule by molecule, forces by autograd with create_graph, backward
                 (written here on this project's own energy functions; the gradient is accumulated entry by entry, which
                 keeps its memory small)
    smee         the same by smee and descent themselves, where they can be imported; coordinates in float32, as they do
    pass         common.sufficient_statistics.accumulation.compute_statistics, with its reading and checking of the
                 data and its file; like smee's epoch it begins with the parameters read
    kernel       the Gram matrices of that pass alone, and
    BLAS         the products among them alone, on matrices of the same shapes
    epoch        one epoch of stage 004's Adam, in closed form; the mean of a thousand
    epoch+       the same with what 004 logs on the way: the losses of all splits, TensorBoard's events
    solve        the exact optimum of the valence terms
"""

import argparse
import collections.abc
import dataclasses
import json
import math
import pathlib
import platform
import subprocess
import sys
import tempfile
import time

import numpy
import torch
from matplotlib import pyplot as plt

from common.data.dataset import Entry, ShardWriter, finish_dataset, list_sources, open_dataset, read_entries
from common.data.splits import SplitSettings
from common.fitting.adam import begin, run_epochs
from common.fitting.closed_form import build_closed_form, compute_loss_with_gradient
from common.fitting.exact_fit import fit_exact
from common.fitting.methods import Fit, run_adam
from common.fitting.objective import Objective, build_objective
from common.forcefields.energy import compute_energy, compute_forces
from common.forcefields.parameter_file import load_parameters
from common.forcefields.tensors import ParameterizedMolecules
from common.forcefields.trainable import Column, Trainable, build_trainable
from common.geometry.loop_geometry import LANES
from common.processes.memory import measure_peak_memory
from common.processes.stage import run_stage
from common.processes.threads import use_one_thread
from common.sufficient_statistics.accumulation import compute_statistics
from common.sufficient_statistics.entry_grams import WeightedEntry
from common.sufficient_statistics.gram import compute_entry_grams
from common.sufficient_statistics.interactions import build_interactions
from common.sufficient_statistics.linearization import Linearization
from common.sufficient_statistics.settings import PassMachine, PassSettings
from common.sufficient_statistics.statistics import Statistics

SIZES = (1_000, 10_000, 100_000)  # conformers
N_EPOCHS = 1_000  # of the fit that is compared
N_ROUNDS = 3
SMEE_BATCH = 8  # entries of one call of descent: larger ones only cost memory
NOISE = 0.03  # [Angstrom] on the coordinates of the copies
SETTINGS = PassSettings(split=SplitSettings(validation_fraction=0.0, test_fraction=0.0))
COLUMNS = {
    "Bonds": {"k": Column(scale=1 / 100, lower=0.0), "length": Column(lower=0.0)},
    "Angles": {"k": Column(scale=1 / 100, lower=0.0), "angle": Column(lower=0.0, upper=math.pi)},
    "ProperTorsions": {"k": Column()},
}


def write_copies(
    entries: list[Entry], molecules: ParameterizedMolecules, n_conformers: int, folder: pathlib.Path
) -> None:
    """A data set of ``n_conformers`` made of noisy copies of the entries, round and round."""
    random = numpy.random.default_rng(0)
    work = folder.with_name(folder.name + ".work")
    work.mkdir(parents=True)
    n_left = n_conformers
    with ShardWriter(work / "shard.arrow") as writer:
        while n_left > 0:
            for entry in entries:
                entry = entry.select(slice(0, n_left))
                coords = entry.coords + random.normal(0.0, NOISE, entry.coords.shape)
                topology, x = molecules.topologies[entry.smiles], torch.from_numpy(coords)
                energy = compute_energy(topology, molecules.force_field, x).numpy()
                energy = energy + random.normal(0.0, 1.0, energy.shape)
                forces = compute_forces(topology, molecules.force_field, x).numpy()
                forces = forces + random.normal(0.0, 5.0, forces.shape)
                writer.write(dataclasses.replace(entry, coords=coords, energy=energy - energy.mean(), forces=forces))
                n_left -= entry.n_confs
                if n_left <= 0:
                    break
    finish_dataset(work, [work / "shard.arrow"], folder, {"stage": "benchmark"})


class Timer:
    """Seconds since it was made, by the clock and of the processor."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        return {"wall": time.perf_counter() - self._wall, "cpu": time.process_time() - self._cpu}


# --- what is measured, each in a process of its own ------------------------------------------------------------------


def time_autograd(data: pathlib.Path, parameters: pathlib.Path) -> dict:
    """One epoch of a fit that goes through the data."""
    molecules = load_parameters(parameters)
    trainable = build_trainable(molecules.force_field, COLUMNS)
    values = trainable.to_values(molecules.force_field).requires_grad_()
    entries = [e for source in list_sources(data) for e in read_entries(open_dataset(data / source))]
    timer = Timer()
    total = 0.0
    for entry in entries:
        force_field = trainable.to_force_field(values)
        coords = torch.tensor(entry.coords, requires_grad=True)
        energy = compute_energy(molecules.topologies[entry.smiles], force_field, coords)
        (gradient,) = torch.autograd.grad(energy.sum(), coords, create_graph=True)
        residual = energy - energy.mean() - torch.tensor(entry.energy)
        loss = residual.pow(2).mean() + (-gradient - torch.tensor(entry.forces)).pow(2).mean()
        (loss / len(entries)).backward()
        total += loss.item() / len(entries)
    return {**timer.read(), "loss": total, "gradient": values.grad.norm().item()}


def time_smee(data: pathlib.Path, parameters: pathlib.Path) -> dict:
    """The same epoch by smee and descent, in batches of entries, each with its own backward."""
    import descent.targets.energy
    import descent.train

    from common.interop.openff_stack import to_smee

    molecules = load_parameters(parameters)
    force_field, topologies = to_smee(molecules.force_field, list(molecules.topologies.values()))
    by_smiles = dict(zip(molecules.topologies, topologies, strict=True))
    configs = {
        type_: descent.train.ParameterConfig(
            cols=list(columns),
            scales={name: column.scale for name, column in columns.items()},
            limits={name: (column.lower, column.upper) for name, column in columns.items()},
        )
        for type_, columns in COLUMNS.items()
    }
    trainable = descent.train.Trainable(force_field, configs, {})
    values = trainable.to_values().requires_grad_()
    datasets = [open_dataset(data / source).with_format("torch", dtype=torch.float64) for source in list_sources(data)]
    n_entries = sum(len(dataset) for dataset in datasets)
    timer = Timer()
    total = 0.0
    for dataset in datasets:
        for first in range(0, len(dataset), SMEE_BATCH):
            batch = dataset.select(range(first, min(first + SMEE_BATCH, len(dataset))))
            energy_ref, energy_pred, forces_ref, forces_pred = descent.targets.energy.predict(
                batch, trainable.to_force_field(values), by_smiles
            )
            loss = ((energy_pred - energy_ref).pow(2).sum() + (forces_pred - forces_ref).pow(2).sum()) / n_entries
            loss.backward()
            total += loss.item()
    return {**timer.read(), "loss": total, "gradient": values.grad.norm().item()}


def time_pass(data: pathlib.Path, parameters: pathlib.Path) -> dict:
    """The pass, and what it found: the loss at the start and its slope."""
    timer = Timer()
    molecules = load_parameters(parameters)
    reading = timer.read()
    with tempfile.TemporaryDirectory() as cache:
        timer = Timer()
        statistics = compute_statistics(data, parameters, cache, SETTINGS, PassMachine(n_processes=1), molecules)
        seconds = timer.read()
    objective, trainable, values = build(statistics, parameters)
    loss, gradient = compute_loss_with_gradient(build_closed_form(objective, trainable), objective, values)
    found = {"loss": loss, "gradient": gradient.norm().item(), "n_features": len(statistics.features)}
    return {**seconds, **found, "n_values": len(trainable.names), "reading": reading["cpu"]}


def build(statistics: Statistics, parameters: pathlib.Path) -> tuple[Objective, Trainable, torch.Tensor]:
    """The loss, what is trained, and the values to start from."""
    molecules = load_parameters(parameters)
    trainable = build_trainable(molecules.force_field, COLUMNS)
    return build_objective(statistics, "train"), trainable, trainable.to_values(molecules.force_field)


def time_kernel(data: pathlib.Path, parameters: pathlib.Path) -> dict:
    """The Gram matrices alone; then BLAS alone, on numbers at random in matrices of the same shapes."""
    molecules = load_parameters(parameters)
    linearization = Linearization(molecules.force_field)
    entries = [e for source in list_sources(data) for e in read_entries(open_dataset(data / source))]
    smiles = sorted({entry.smiles for entry in entries})
    interactions = build_interactions([molecules.topologies[one] for one in smiles], linearization)
    places = {one: i for i, one in enumerate(smiles)}
    sources = [WeightedEntry(e, places[e.smiles], numpy.full(e.n_confs, 1.0 / e.n_confs)) for e in entries]
    phi = linearization.compute(molecules.force_field)
    timer = Timer()
    for _ in compute_entry_grams(sources, interactions, phi):
        pass
    kernel = timer.read()
    random = numpy.random.default_rng(0)
    blas, numbers = 0.0, random.random(10_000_000)
    for source in sources:
        entry, n_rows = source.entry, len(interactions.features[source.molecule_idx]) + 1
        n_frames = min(entry.n_confs, LANES)
        for n in (n_frames, 3 * entry.n_atoms * n_frames):
            matrix = numbers[: n_rows * n].reshape(n_rows, n)
            start = time.process_time()
            matrix @ matrix.T
            blas += (time.process_time() - start) * entry.n_confs / n_frames
    return {**kernel, "blas": blas}


def time_epochs(data: pathlib.Path, parameters: pathlib.Path) -> dict:
    """A thousand epochs, without and with what is logged on the way, and the solve."""
    with tempfile.TemporaryDirectory() as scratch:
        statistics = compute_statistics(data, parameters, scratch, SETTINGS, PassMachine(n_processes=1))
        objective, trainable, values = build(statistics, parameters)
        timer = Timer()
        [_] = run_epochs({"train": objective}, trainable, 0.01, [N_EPOCHS], begin(values))
        epochs = timer.read()
        # all splits are logged: the same loss stands for the two that are not there
        objectives = {"train": objective, "validation": objective, "test": objective}
        molecules = load_parameters(parameters)
        fit = Fit(pathlib.Path(scratch), COLUMNS, trainable, objectives, molecules, [], "")
        timer = Timer()
        run_adam(fit, 0.01, N_EPOCHS, 10 * N_EPOCHS, None)
        logged = timer.read()
        timer = Timer()
        exact = fit_exact(objective, trainable, COLUMNS)
        solve = timer.read()
    return {**epochs, "logged": logged["cpu"], "solve": solve["cpu"], "optimality": exact.optimality}


MEASUREMENTS: dict[str, collections.abc.Callable[..., dict]] = {
    "autograd": time_autograd,
    "smee": time_smee,
    "pass": time_pass,
    "kernel": time_kernel,
    "epochs": time_epochs,
}


def measure(what: str, data: pathlib.Path, parameters: pathlib.Path) -> dict | None:
    """Runs one measurement in a fresh process; None where it needs what is not installed."""
    command = [sys.executable, "-m", "benchmarks.fit", "--measure", what, "--data", str(data)]
    result = subprocess.run([*command, "--parameters", str(parameters)], capture_output=True, text=True, check=False)
    if "ModuleNotFoundError" in result.stderr:
        return None
    if result.returncode:
        raise RuntimeError(f"{what} failed: {result.stderr.strip().splitlines()[-1]}")
    return json.loads(result.stdout.strip().splitlines()[-1])


# --- the table -------------------------------------------------------------------------------------------------------


def describe_machine() -> str:
    """Processor, operating system and versions, in one line."""
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")
    system = f"{platform.system()} {platform.machine()}"
    return f"{model}, {system}, Python {platform.python_version()}, torch {torch.__version__}"


def take_medians(rounds: list[dict]) -> dict:
    """The median of each figure."""
    return {name: float(numpy.median([one[name] for one in rounds])) for name in rounds[0]}


def print_table(results: dict[int, dict[str, dict | None]]) -> None:
    """Markdown, ready for benchmarks/README.md."""
    print(f"\n{describe_machine()}; one thread a process; seconds of the processor (by the clock)\n")
    print("| conformers | autograd epoch | smee epoch | pass | kernel / BLAS | epoch | epoch, logged | exact solve |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for n, row in results.items():
        kernel, epochs = row["kernel"], row["epochs"]
        cells = [
            *(format_cell(row[name]) for name in ("autograd", "smee", "pass")),
            f"{kernel['cpu'] / kernel['blas']:.2f}",
            f"{1e3 * epochs['cpu'] / N_EPOCHS:.3f} ms",
            f"{1e3 * epochs['logged'] / N_EPOCHS:.3f} ms",
            f"{1e3 * epochs['solve']:.0f} ms",
        ]
        print(f"| {n:,} | " + " | ".join(cells) + " |")
    print(f"\n| conformers | against | pass / epoch | {N_EPOCHS:,} epochs (from one) | ours | ratio | loss |")
    print("| ---: | --- | ---: | ---: | ---: | ---: | ---: |")
    for n, row in results.items():
        ours = row["pass"]["cpu"] + row["epochs"]["logged"]
        for name in ("autograd", "smee"):
            if row[name] is not None:
                slow = N_EPOCHS * row[name]["cpu"]
                share = row["pass"]["cpu"] / row[name]["cpu"]
                difference = abs(row["pass"]["loss"] / row[name]["loss"] - 1.0)
                cells = f"{share:.3f} | {slow:,.0f} s | {ours:.2f} s | {slow / ours:,.0f} | {difference:.0e}"
                print(f"| {n:,} | {name} | {cells} |")


def format_cell(result: dict | None) -> str:
    if result is None:
        return "not measured"
    return f"{result['cpu']:.2f} s ({result['wall']:.2f} s), {result['memory']:.0f} MB"


def draw(results: dict[int, dict[str, dict | None]], path: pathlib.Path) -> None:
    """A thousand epochs against the number of conformers, ours and theirs."""
    figure, axes = plt.subplots(figsize=(6.0, 3.6), layout="constrained")
    sizes = list(results)
    for name, label in (("smee", "smee + descent"), ("autograd", "autograd, same functions")):
        if all(row[name] is not None for row in results.values()):
            seconds = [N_EPOCHS * row[name]["cpu"] for row in results.values()]
            axes.loglog(sizes, seconds, "o--", label=f"{label} (from one epoch)")
    ours = [row["pass"]["cpu"] + row["epochs"]["logged"] for row in results.values()]
    axes.loglog(sizes, ours, "o-", label="one pass and 1,000 epochs, measured")
    axes.set(xlabel="conformers", ylabel="seconds of one processor")
    axes.legend(frameon=False)
    figure.savefig(path)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, default="outputs/example/data-raw")
    parser.add_argument("--parameters", type=pathlib.Path, default="outputs/example/starter.pt")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of conformers")
    parser.add_argument("--rounds", type=int, default=N_ROUNDS, help="of all measurements; medians count")
    parser.add_argument("--without", choices=("autograd", "smee"), nargs="+", default=(), help="what is not measured")
    parser.add_argument(
        "--figure", type=pathlib.Path, help="draws time against conformers, e.g. docs/figures/fit-time.svg"
    )
    parser.add_argument("--measure", choices=MEASUREMENTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        use_one_thread()
        MEASUREMENTS[arguments.measure](arguments.data, arguments.parameters)
        result = MEASUREMENTS[arguments.measure](arguments.data, arguments.parameters)
        print(json.dumps({"memory": measure_peak_memory(), **result}))
        return
    molecules = load_parameters(arguments.parameters)
    entries = [
        entry
        for source in list_sources(arguments.data)
        for entry in read_entries(open_dataset(arguments.data / source))
        if entry.smiles in molecules.topologies and entry.n_confs > 1
    ]
    results: dict[int, dict[str, dict | None]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for n in arguments.sizes:
            folder = pathlib.Path(scratch) / str(n)
            write_copies(entries, molecules, n, folder / "copies")
            rounds = [
                {
                    what: None if what in arguments.without else measure(what, folder, arguments.parameters)
                    for what in MEASUREMENTS
                }
                for _ in range(arguments.rounds)
            ]
            results[n] = {
                what: None if rounds[0][what] is None else take_medians([one[what] for one in rounds])
                for what in MEASUREMENTS
            }
            print(f"{n:,} conformers: {json.dumps(results[n])}", flush=True)
    print_table(results)
    if arguments.figure is not None:
        draw(results, arguments.figure)


if __name__ == "__main__":
    run_stage(main)
