"""Time a fit: one pass and free epochs, against epochs that go through the data with autograd.

    python -m benchmarks.fit --data outputs/example/data-raw --parameters outputs/example/starter.pt

All figures come from one run on the same data: copies of the data's entries with noise on the coordinates, energies and
forces of the force field plus noise (for time that makes no difference). Every measurement is made twice in a fresh
process with one thread, and the second counts: the first loads libraries and touches memory for the first time (ranks
in processes of their own are always fresh). Memory is the process's high-water mark, for the pass that of its largest
rank.

    autograd     one epoch as smee + descent do it: molecule by molecule, forces by autograd with create_graph, backward
                 (written here on this project's own energy functions; the gradient is accumulated entry by entry, which
                 keeps its memory small)
    smee         the same by smee and descent themselves, where they can be imported; coordinates in float32, as they do
    pass         common.sufficient_statistics.accumulation.compute_statistics, with its reading of the data
    epoch        one epoch of stage 004: loss, gradient and step of Adam; before it, one that is not counted, since
                 torch needs about a second to load its optimisers, whatever the loss
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

from common.data.dataset import Entry, ShardWriter, finish_dataset, list_sources, open_dataset, read_entries
from common.data.splits import SplitSettings
from common.fitting.exact_fit import fit_exact
from common.fitting.objective import build_objective
from common.fitting.optimizers import iterate_adam
from common.forcefields.energy import compute_energy, compute_forces
from common.forcefields.parameter_file import load_parameters
from common.forcefields.tensors import ParameterizedMolecules
from common.forcefields.trainable import Column, build_trainable
from common.processes.memory import measure_peak_memory
from common.processes.stage import run_stage
from common.processes.threads import use_one_thread
from common.sufficient_statistics.accumulation import compute_statistics
from common.sufficient_statistics.settings import PassMachine, PassSettings

SIZES = (1_000, 10_000, 100_000)  # conformers
N_EPOCHS = 1_000  # of the fit that is compared
N_TIMED_EPOCHS = 200
SMEE_BATCH = 8  # entries of one call of descent: larger ones only cost memory
NOISE = 0.03  # [Angstrom] on the coordinates of the copies
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


# --- what is measured, each in a process of its own ------------------------------------------------------------------


def time_autograd(data: pathlib.Path, parameters: pathlib.Path) -> dict:
    """One epoch of a fit that goes through the data."""
    molecules = load_parameters(parameters)
    trainable = build_trainable(molecules.force_field, COLUMNS)
    values = trainable.to_values(molecules.force_field).requires_grad_()
    entries = [e for source in list_sources(data) for e in read_entries(open_dataset(data / source))]
    start = time.perf_counter()
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
    return {"seconds": time.perf_counter() - start, "loss": total, "gradient": values.grad.norm().item()}


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
    start = time.perf_counter()
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
    return {"seconds": time.perf_counter() - start, "loss": total, "gradient": values.grad.norm().item()}


def time_pass(data: pathlib.Path, parameters: pathlib.Path, n_processes: int = 1) -> dict:
    """The pass, then epochs and the solve on what it found."""
    settings = PassSettings(split=SplitSettings(validation_fraction=0.0, test_fraction=0.0))
    with tempfile.TemporaryDirectory() as cache:
        statistics = compute_statistics(data, parameters, cache, settings, PassMachine(n_processes))
    molecules = load_parameters(parameters)
    trainable = build_trainable(molecules.force_field, COLUMNS)
    objective = build_objective(statistics, "train")
    values = trainable.to_values(molecules.force_field).requires_grad_()
    loss = objective.compute_loss(trainable.to_force_field(values))
    (gradient,) = torch.autograd.grad(loss, values)
    list(iterate_adam(objective, trainable, values, 0.01, 1))
    start = time.perf_counter()
    for _ in iterate_adam(objective, trainable, values, 0.01, N_TIMED_EPOCHS):
        pass
    epoch = (time.perf_counter() - start) / N_TIMED_EPOCHS
    start = time.perf_counter()
    exact = fit_exact(objective, trainable, COLUMNS)
    return {
        "seconds": statistics.seconds,
        "memory": statistics.peak_memory,
        "epoch": epoch,
        "solve": time.perf_counter() - start,
        "loss": loss.item(),
        "gradient": gradient.norm().item(),
        "optimality": exact.optimality,
        "n_features": len(statistics.features),
    }


MEASUREMENTS: dict[str, collections.abc.Callable[..., dict]] = {
    "autograd": time_autograd,
    "smee": time_smee,
    "pass": time_pass,
    "pass-2": lambda data, parameters: time_pass(data, parameters, 2),
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


def print_table(results: dict[int, dict[str, dict | None]]) -> None:
    """Markdown, ready for benchmarks/README.md."""
    print(f"\n{describe_machine()}; one thread a process\n")
    print("| conformers | autograd epoch | smee epoch | pass, 1 process | pass, 2 processes | epoch | exact solve |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for n, row in results.items():
        cells = [
            format_cell(row["autograd"]),
            format_cell(row["smee"]),
            format_cell(row["pass"]),
            format_cell(row["pass-2"]),
            f"{1e3 * row['pass']['epoch']:.2f} ms",
            f"{1e3 * row['pass']['solve']:.0f} ms",
        ]
        print(f"| {n:,} | " + " | ".join(cells) + " |")
    print(f"\n| conformers | against | pass / epoch | {N_EPOCHS:,} epochs (from one) | ours | ratio | loss |")
    print("| ---: | --- | ---: | ---: | ---: | ---: | ---: |")
    for n, row in results.items():
        ours = row["pass"]["seconds"] + N_EPOCHS * row["pass"]["epoch"]
        for name in ("autograd", "smee"):
            if row[name] is not None:
                slow = N_EPOCHS * row[name]["seconds"]
                share = row["pass"]["seconds"] / row[name]["seconds"]
                difference = abs(row["pass"]["loss"] / row[name]["loss"] - 1.0)
                cells = f"{share:.3f} | {slow:,.0f} s | {ours:.2f} s | {slow / ours:,.0f} | {difference:.0e}"
                print(f"| {n:,} | {name} | {cells} |")


def format_cell(result: dict | None) -> str:
    return "not installed" if result is None else f"{result['seconds']:.2f} s, {result['memory']:.0f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, default="outputs/example/data-raw")
    parser.add_argument("--parameters", type=pathlib.Path, default="outputs/example/starter.pt")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of conformers")
    parser.add_argument("--measure", choices=MEASUREMENTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        use_one_thread()
        for _ in range(2):
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
            results[n] = {what: measure(what, folder, arguments.parameters) for what in MEASUREMENTS}
            print(f"{n:,} conformers: {json.dumps(results[n])}", flush=True)
    print_table(results)


if __name__ == "__main__":
    run_stage(main)
