"""Molecule generation: what sharing filters, laying out by numba and opening cubes are worth, each against the long.

    python -m benchmarks.generation --run outputs/example-generate/generators/<run> --molecules MOLECULES.db

Everything is timed in CPU seconds of one thread, both ways in turn, in one run: the ratio is what counts. The run gives
the network that places and generates; its size is used for the training step as well, with fresh weights.
"""

import argparse
import dataclasses
import pathlib
import subprocess
import sys
import time
import typing
from collections.abc import Callable

import numpy
import torch

from common.data.molecule_database import read_database
from common.generation import sampling
from common.generation.placement import Grid, GridSettings, build_grid, compute_log_weights, find_likely_points
from common.generation.sampling import Request, Sampler, SamplingSettings
from common.generators.batches import Geometry, MoleculeTable, TrainingBatch, build_table, draw_steps, lay_out
from common.generators.file import load_generator
from common.generators.losses import compute_losses
from common.generators.network import GeneratorNetwork, NetworkSettings
from common.generators.partial import PartialMolecules, list_edges
from common.generators.training import Training, TrainingData, TrainingSettings
from common.processes.memory import measure_peak_memory
from common.processes.ranks import Ranks
from common.processes.threads import use_one_thread

N_ROUNDS = 15
N_PLACEMENTS = 50


class UnsharedNetwork(GeneratorNetwork):
    """The same network, each partial molecule a graph of its own: a filter for every edge, sums by index."""

    def compute_features(self, partial: PartialMolecules) -> torch.Tensor:
        edges = list_edges(partial)
        filters = self.trunk.compute_filters(partial.distances.index_select(0, edges.pairs))

        def aggregate(own: torch.Tensor, sent: torch.Tensor) -> torch.Tensor:
            return torch.zeros_like(sent).index_add(0, edges.receivers, own * sent.index_select(0, edges.senders))

        return self.trunk(self.kinds(partial.kinds), filters, aggregate)


def measure(functions: dict[str, Callable[[], typing.Any]], n_rounds: int = N_ROUNDS) -> dict[str, float]:
    """The median CPU seconds of each function, in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for i in range(n_rounds + 1):
        for name, function in functions.items():
            start = time.process_time()
            function()
            if i:  # the first compiles
                seconds[name].append(time.process_time() - start)
    return {name: float(numpy.median(own)) for name, own in seconds.items()}


def time_training(table: MoleculeTable, settings: NetworkSettings, n_molecules: int, n_drawn: int) -> None:
    """A step of training, shared and not, and what its batch costs."""
    random = numpy.random.default_rng(0)
    networks = {
        "shared": GeneratorNetwork(settings, torch.Generator().manual_seed(0)),
        "unshared": UnsharedNetwork(settings, torch.Generator().manual_seed(0)),
    }
    molecules = random.choice(len(table), n_molecules, replace=False)

    def prepare() -> TrainingBatch:
        return lay_out(table, draw_steps(table, molecules, n_drawn, random), settings)

    batch = prepare()

    def step(network: GeneratorNetwork) -> float:
        losses = compute_losses(network, batch, None, None)
        loss = losses.types / losses.n_steps + losses.distances / losses.n_distances
        network.zero_grad()
        loss.backward()
        return float(loss.detach())

    values = [step(network) for network in networks.values()]
    found = measure({name: lambda n=network: step(n) for name, network in networks.items()} | {"batch": prepare})
    size = f"{settings.n_channels} x {settings.n_interactions}"
    print(
        f"| {size}, {n_molecules} molecules, {n_drawn or 'all'} steps | {1e3 * found['unshared']:.0f} ms | "
        f"{1e3 * found['shared']:.0f} ms | {found['unshared'] / found['shared']:.1f} | "
        f"{1e3 * found['batch'] / n_molecules:.3f} ms | {abs(values[1] / values[0] - 1.0):.0e} |"
    )


def time_denormals(network: GeneratorNetwork, table: MoleculeTable) -> None:
    """A step of a trained network, whose distributions have tails that float32 hardly holds, with and without them."""
    random = numpy.random.default_rng(0)
    settings = network.settings
    batch = lay_out(table, draw_steps(table, random.choice(len(table), 32, replace=False), 10, random), settings)
    network.requires_grad_(True)
    values = {
        c.name: torch.ones(32, len(settings.types) if c.kind == "composition" else 1) for c in settings.conditions
    }
    told = {name: torch.zeros(32, dtype=torch.bool) for name in values}

    def step(is_flushed: bool) -> None:
        torch.set_flush_denormal(is_flushed)
        conditions, rows = None, None
        if settings.conditions:
            conditions, rows = network.embed_conditions(values, told, batch.partial.molecules, batch.missing)
        losses = compute_losses(network, batch, conditions, rows)
        network.zero_grad()
        (losses.types / losses.n_steps + losses.distances / losses.n_distances).backward()

    found = measure({"kept": lambda: step(False), "flushed": lambda: step(True)})
    torch.set_flush_denormal(False)
    network.requires_grad_(False)
    kept, flushed = (1e3 * found[name] for name in ("kept", "flushed"))
    print(f"| {kept:.0f} ms | {flushed:.0f} ms | {kept / flushed:.1f} |")


def record_placements(sampler: Sampler) -> list[tuple[numpy.ndarray, numpy.ndarray]]:
    """Nodes and their predictions of placements in the course of a generation."""
    placements: list[tuple[numpy.ndarray, numpy.ndarray]] = []
    draw = sampling.draw_position

    def record(grid: Grid, nodes: numpy.ndarray, log_probabilities: numpy.ndarray, *rest: typing.Any) -> numpy.ndarray:
        placements.append((nodes.copy(), log_probabilities.copy()))
        return draw(grid, nodes, log_probabilities, *rest)

    sampling.draw_position = record
    try:
        for _ in sampler.generate(Request(i, {}) for i in range(64)):
            pass
    finally:
        sampling.draw_position = draw
    order = numpy.random.default_rng(0).permutation(len(placements))[:N_PLACEMENTS]
    return [placements[i] for i in order]


def time_placements(sampler: Sampler, temperature: float) -> None:
    """Placements of a trained network: opened cubes, all points by the same code, all points by numpy."""
    settings = sampler.network.settings
    grid = build_grid(GridSettings(temperature=temperature), settings.placement_cutoff)
    everything = dataclasses.replace(grid, temperature=1e9)  # so that no cube may stay closed
    placements, width = record_placements(sampler), settings.bin_width
    for nodes, logs in placements[:1]:
        find_likely_points(grid, nodes, logs, width)
    variations, seconds = [], {"cubes": 0.0, "all points, numba": 0.0, "all points, numpy": 0.0}
    for nodes, logs in placements:
        found = measure(
            {
                "cubes": lambda n=nodes, p=logs: find_likely_points(grid, n, p, width),
                "all points, numba": lambda n=nodes, p=logs: find_likely_points(everything, n, p, width),
                "all points, numpy": lambda n=nodes, p=logs: compute_log_weights(grid.points, n, p, width),
            },
            1,
        )
        seconds = {name: seconds[name] + found[name] for name in seconds}
        full = compute_log_weights(grid.points, nodes, logs.astype(numpy.float64), width)
        indices, some = find_likely_points(grid, nodes, logs, width)
        weights = numpy.zeros(len(full))
        weights[indices] = numpy.exp((some - full.max()) / temperature)
        expected = numpy.exp((full - full.max()) / temperature)
        variations.append(0.5 * numpy.abs(weights / weights.sum() - expected / expected.sum()).sum())
    mean = {name: 1e3 * value / len(placements) for name, value in seconds.items()}
    print(
        f"| {temperature:g} | {len(grid.points):,} | {mean['all points, numpy']:.1f} ms | "
        f"{mean['all points, numba']:.1f} ms | {mean['cubes']:.2f} ms | "
        f"{mean['all points, numba'] / mean['cubes']:.0f} | {numpy.mean(variations):.0e} | {max(variations):.0e} |"
    )


def time_generation(network: GeneratorNetwork, temperature: float, n_molecules: int) -> None:
    """Molecules a second and core."""
    sampler = Sampler(network, SamplingSettings(batch_size=128, grid=GridSettings(temperature=temperature)))
    for _ in sampler.generate(Request(i, {}) for i in range(8)):
        pass
    start = time.process_time()
    made = list(sampler.generate(Request(i, {}) for i in range(n_molecules)))
    seconds = time.process_time() - start
    n_atoms = float(numpy.mean([len(one.numbers) for one in made]))
    print(
        f"| {network.settings.n_channels} x {network.settings.n_interactions} | {n_molecules} | {n_atoms:.1f} | "
        f"{n_molecules / seconds:.0f} | {n_molecules * n_atoms / seconds:.0f} |"
    )


def measure_memory(n_atoms: int, max_pairs: int) -> None:
    """The peak memory of a training step on molecules of many atoms, 128 x 9, in a process of its own."""
    code = f"from benchmarks.generation import train_chains; train_chains({n_atoms}, {max_pairs})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    print(done.stdout.strip())


def train_chains(n_atoms: int, max_pairs: int) -> None:
    """One batch of ten zigzag chains, all steps."""
    use_one_thread()
    random = numpy.random.default_rng(0)
    steps = numpy.arange(n_atoms)
    chain = numpy.stack([1.27 * steps, 0.4 * (-1.0) ** steps, numpy.zeros(n_atoms)], axis=1)
    geometries = [Geometry(numpy.full(n_atoms, 6), chain + random.normal(0.0, 0.02, chain.shape)) for _ in range(10)]
    settings = NetworkSettings(types=(1, 6))
    data = TrainingData(build_table(geometries, settings), {})
    plain = TrainingSettings(batch_size=10, n_drawn=0, max_pairs=max_pairs)
    training = Training(GeneratorNetwork(settings), plain, 1, Ranks(0, 1))
    before = measure_peak_memory()
    start = time.process_time()
    training.run_epoch(data)
    seconds, peak = time.process_time() - start, measure_peak_memory()
    print(f"| {n_atoms} | {max_pairs:,} | {before:.0f} MB | {peak:.0f} MB | {seconds:.1f} s |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=pathlib.Path, required=True, help="of 042, with generator.pt")
    parser.add_argument("--molecules", type=pathlib.Path, required=True, help="database that it was trained on")
    parser.add_argument("--n-molecules", type=int, default=500, help="to generate; default %(default)s")
    arguments = parser.parse_args()
    use_one_thread()
    network = load_generator(arguments.run / "generator.pt").network
    settings = dataclasses.replace(network.settings, conditions=())
    molecules = [Geometry(one.numbers, one.coords) for one in read_database(arguments.molecules).molecules]
    table = build_table(molecules, settings)

    print("\n| training step | filter for each edge | filters shared | ratio | batch, a molecule | loss |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    time_training(table, settings, 32, 10)
    time_training(table, settings, 5, 0)
    time_training(table, NetworkSettings(types=settings.types), 5, 0)

    print("\n| a step of the trained network, denormal numbers | flushed to zero | ratio |")
    print("| ---: | ---: | ---: |")
    time_denormals(network, table)

    sampler = Sampler(network, SamplingSettings(batch_size=64))
    print("\n| temperature | points | numpy | numba | cubes | ratio | total variation, mean | largest |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for temperature in (0.1, 0.03):
        time_placements(sampler, temperature)

    print("\n| network | molecules | atoms each | molecules a second | atoms a second |")
    print("| --- | ---: | ---: | ---: | ---: |")
    time_generation(network, 0.1, arguments.n_molecules)

    print("\n| atoms | pairs at once | before | peak | CPU |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    measure_memory(100, TrainingSettings().max_pairs)


if __name__ == "__main__":
    main()
