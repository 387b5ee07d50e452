"""What simulating and learning costs in stages 012 to 014, beside ASE's Langevin dynamics with the same potential.

    python -m benchmarks.stability                     forces, integrators, an epoch, a step of learning
    python -m benchmarks.stability --part processes    an epoch of many replicas by one process and by two
    python -m benchmarks.stability --part memory       the peak of a process with 128 replicas

Ethanol by what ``make example-stable`` leaves: its reference, and its SchNet of 32 channels and two interactions. One
thread a process. Times are of the fastest of several rounds in which everything is timed in turn, processor time
beside it.
"""

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # before torch reads them

import argparse
import collections.abc
import dataclasses
import pathlib
import time

import ase
import ase.calculators.calculator
import ase.md.langevin
import ase.units
import numpy
import torch

from common.dynamics.langevin import Langevin
from common.dynamics.noise import ReplicaNoise
from common.dynamics.states import State, begin, draw_velocities
from common.observables.deviations import BondDeviation, InstabilityFraction
from common.observables.distributions import AngleDistribution, RadialDistribution
from common.observables.system import System, measure_distances
from common.potentials.file import load_potential
from common.potentials.neural import NeuralPotential
from common.potentials.potential import Potential
from common.processes.generators import make_generator
from common.processes.memory import format_peak_memory
from common.processes.ranks import Ranks, run_ranks
from common.processes.threads import use_one_thread
from common.replicas.candidates import find_potential
from common.replicas.epochs import EpochSettings, Frames, run_epoch
from common.replicas.reference import load_reference
from common.stability.learning import PoolGradient, Target
from common.stability.network_model import NetworkModel
from common.stability.pool import score

TEMPERATURE, TIME_STEP, FRICTION = 500.0, 1.0, 0.01
N_ROUNDS = 5
N_CALLS = 200  # of the forces, in a round
N_STEPS = 2000  # of an epoch: 2 ps
N_ASE_STEPS = 500
N_LEARNT = 2000  # frames of a step of learning
N_TRAINING = 20  # frames of the quantum loss
BATCHES = (1, 16, 32, 64, 128)


class OneByOne(ase.calculators.calculator.Calculator):
    """The potential as ASE asks for it, one geometry at a time."""

    implemented_properties = ("energy", "forces")

    def __init__(self, evaluate: collections.abc.Callable):
        super().__init__()
        self.evaluate = evaluate

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        energies, forces = self.evaluate(torch.tensor(atoms.positions, dtype=torch.float32)[None])
        unit = ase.units.kcal / ase.units.mol
        self.results = {"energy": float(energies[0]) * unit, "forces": forces[0].double().numpy() * unit}


@dataclasses.dataclass(frozen=True)
class Bench:
    """Ethanol and a potential of it."""

    system: System
    potential: Potential
    coords: torch.Tensor
    masses: torch.Tensor

    def begin(self, evaluate: collections.abc.Callable, n_replicas: int) -> tuple[State, ReplicaNoise]:
        """Replicas with thermal velocities, and their noise."""
        velocities = draw_velocities(self.masses, TEMPERATURE, (n_replicas,), make_generator("velocities"))
        noise = ReplicaNoise([make_generator("noise", k) for k in range(n_replicas)], 9, torch.float32, "cpu")
        return begin(evaluate, self.coords[:n_replicas], velocities), noise


def make_bench(reference: str, potential: str) -> Bench:
    """Made anew the same in each process.

    Args:
        reference, potential: of ethanol, as the example makes them.
    """
    data = load_reference(reference, 0.5)
    path = find_potential(pathlib.Path(potential))
    loaded = load_potential(path, data.system.smiles, data.system.atomic_nums, None, torch.float32)
    coords = data.get_coords(is_held_out=False)
    chosen = torch.randperm(len(coords), generator=make_generator("frames"))[:N_LEARNT]
    return Bench(data.system, loaded, coords[chosen].float(), data.system.masses.float())


def time_in_turn(functions: dict[str, collections.abc.Callable[[], object]], n_rounds: int = N_ROUNDS) -> dict:
    """Seconds of the fastest round of each, by the clock and of the processor."""
    best = dict.fromkeys(functions, (float("inf"), float("inf")))
    for _ in range(n_rounds + 1):  # the first round compiles, and loses
        for name, function in functions.items():
            clock, cpu = time.perf_counter(), time.process_time()
            function()
            best[name] = min(best[name], (time.perf_counter() - clock, time.process_time() - cpu))
    return best


def repeat(function: collections.abc.Callable[[], object], n_times: int) -> collections.abc.Callable[[], None]:
    def run() -> None:
        for _ in range(n_times):
            function()

    return run


def show(name: str, times: tuple[float, float], n: int = 1) -> None:
    print(f"{name:64}{1e3 * times[0] / n:12.2f} ms{1e3 * times[1] / n:12.2f} ms of a processor", flush=True)


def bench_forces(bench: Bench) -> None:
    """Energies and forces by batch, compiled as dynamics uses them and by autograd."""
    compiled = bench.potential.freeze()
    functions = {}
    for n in BATCHES:
        coords = bench.coords[:n]
        functions[f"energies and forces of {n} replicas"] = repeat(lambda coords=coords: compiled(coords), N_CALLS)
        functions[f"energies and forces of {n} replicas, by autograd"] = repeat(
            lambda coords=coords: bench.potential.compute_energies_and_forces(coords), N_CALLS // 5
        )
    for name, times in time_in_turn(functions).items():
        show(name, times, N_CALLS // 5 if "autograd" in name else N_CALLS)


def move(bench: Bench, n_replicas: int, n_steps: int) -> None:
    """Replicas in one batch."""
    evaluate = bench.potential.freeze()
    integrator = Langevin(bench.masses, TIME_STEP, TEMPERATURE, FRICTION)
    state, noise = bench.begin(evaluate, n_replicas)
    for _ in range(n_steps):
        state = integrator.step(state, evaluate, noise.draw())


def move_with_ase(bench: Bench, evaluate: collections.abc.Callable, n_steps: int) -> None:
    """One replica by ASE."""
    atoms = ase.Atoms(bench.system.atomic_nums.numpy(), bench.coords[0].double().numpy(), masses=bench.masses.numpy())
    atoms.calc = OneByOne(evaluate)
    dynamics = ase.md.langevin.Langevin(
        atoms,
        TIME_STEP * ase.units.fs,
        temperature_K=TEMPERATURE,
        friction=FRICTION / ase.units.fs,
        fixcm=False,
        rng=numpy.random.default_rng(0),
    )
    dynamics.run(n_steps)


def bench_integrators(bench: Bench) -> None:
    """Steps of replicas by the second: 64 in a batch, and one after the other by ASE."""
    by_autograd = bench.potential.compute_energies_and_forces
    names = ("64 replicas in a batch", "ASE, one replica", "ASE, one replica, forces by autograd")
    functions = {
        names[0]: lambda: move(bench, 64, N_ASE_STEPS),
        names[1]: lambda: move_with_ase(bench, bench.potential.freeze(), N_ASE_STEPS),
        names[2]: lambda: move_with_ase(bench, by_autograd, N_ASE_STEPS // 5),
    }
    rates = {}
    for name, (clock, cpu) in time_in_turn(functions, 3).items():
        n_steps = {names[0]: 64 * N_ASE_STEPS, names[1]: N_ASE_STEPS, names[2]: N_ASE_STEPS // 5}[name]
        rates[name] = n_steps / clock
        print(f"{name:64}{rates[name]:12,.0f} steps/s{n_steps / cpu:12,.0f} steps/s of a processor", flush=True)
    for name in names[1:]:
        print(f"  {rates[names[0]] / rates[name]:.0f} times as many steps as {name}")


def make_epoch(bench: Bench, n_replicas: int) -> collections.abc.Callable[[], object]:
    """An epoch of 2 ps as stage 013 runs it."""
    bonds = bench.system.bonds
    means = measure_distances(bench.system, bench.coords[:1].double(), bonds).mean(0)
    deviation = BondDeviation(bench.system, means, 1e6, 1e9)  # looks, and never finds
    settings = EpochSettings(N_STEPS, 10, N_STEPS * n_replicas // 2000 * 10)

    def run() -> object:
        evaluate = bench.potential.freeze()
        state, noise = bench.begin(evaluate, n_replicas)
        integrator = Langevin(bench.masses, TIME_STEP, TEMPERATURE, FRICTION)
        return run_epoch(integrator, evaluate, state, noise, [deviation], settings)

    return run


def make_learning_step(bench: Bench) -> collections.abc.Callable[[], object]:
    """A step of learning on 2,000 frames, the quantum loss of twenty beside it."""
    coords = bench.coords
    assert isinstance(bench.potential, NeuralPotential)
    model = NetworkModel(
        bench.potential, coords[:N_TRAINING], torch.zeros(N_TRAINING), torch.zeros(N_TRAINING, 9, 3), (0.05, 0.95), 100
    )
    system = bench.system
    means = measure_distances(system, coords[:1].double(), system.bonds).mean(0)
    observables = {
        "instability": InstabilityFraction(BondDeviation(system, means, 0.25, 1.0)),
        "rdf": RadialDistribution(system, 0.02, 0.01, 10.0),
        "adf": AngleDistribution(system, 1.0),
    }
    n = len(coords)
    frames = Frames(coords, coords, torch.arange(n) % 32, torch.zeros(n, dtype=torch.int64), torch.ones(n).double())
    pool = [score(frames, frames.replicas % 16, lambda x: model.compute(model.prepare(x)), observables, False)]
    targets = {
        name: Target(one, torch.zeros(one.n_values, dtype=torch.float64), 1.0) for name, one in observables.items()
    }
    gradient = PoolGradient(model, pool, targets, TEMPERATURE, 16, 1.0, Ranks(0, 1))
    return lambda: gradient.compute((0, 0, 0))


def bench_cycle(bench: Bench) -> None:
    """What an epoch is made of."""
    functions = {
        "an epoch of 2 ps, 32 replicas": make_epoch(bench, 32),
        "an epoch of 2 ps, 128 replicas": make_epoch(bench, 128),
        f"a step of learning on {N_LEARNT:,} frames": make_learning_step(bench),
    }
    for name, times in time_in_turn(functions, 3).items():
        show(name, times)


def run_share(ranks: Ranks, n_replicas: int, reference: str, potential: str) -> None:
    """The replicas of a rank for an epoch, all ranks at once; the slowest counts, and who used most of a processor."""
    use_one_thread()
    bench = make_bench(reference, potential)
    run = make_epoch(bench, n_replicas // ranks.world_size)
    run()
    best = torch.full((2,), torch.inf, dtype=torch.float64)
    for _ in range(3):
        seconds = torch.zeros((ranks.world_size, 2), dtype=torch.float64)
        ranks.sum_in_place(seconds)  # all begin together
        clock, cpu = time.perf_counter(), time.process_time()
        run()
        seconds[ranks.rank, 0] = time.perf_counter() - clock
        seconds[ranks.rank, 1] = time.process_time() - cpu
        ranks.sum_in_place(seconds)
        best = torch.minimum(best, seconds.max(0).values)
    if ranks.rank == 0:
        show(f"an epoch of 2 ps, {n_replicas} replicas, {ranks.world_size} processes", (float(best[0]), float(best[1])))


def main() -> None:
    parser = argparse.ArgumentParser(description="What simulating and learning costs in stages 012 to 014.")
    parser.add_argument("--part", choices=("times", "processes", "memory"), default="times", help="what is measured")
    parser.add_argument("--reference", default="outputs/example-stable/reference/ethanol", help="of stage 011")
    parser.add_argument("--potential", default="outputs/example-stable/potentials", help="a run of stage 012, or a .pt")
    options = parser.parse_args()
    part, paths = options.part, (options.reference, options.potential)
    use_one_thread()
    if part == "processes":
        for n_processes in (1, 2):
            run_ranks(run_share, (128, *paths), n_processes)
        return
    bench = make_bench(*paths)
    if part == "memory":
        print(f"all loaded: {format_peak_memory()}")
        make_epoch(bench, 128)()
        print(f"after an epoch of 128 replicas: {format_peak_memory()}")
        make_learning_step(bench)()
        print(f"after a step of learning on {N_LEARNT:,} frames: {format_peak_memory()}")
        return
    bench_forces(bench)
    bench_integrators(bench)
    bench_cycle(bench)


if __name__ == "__main__":
    main()
