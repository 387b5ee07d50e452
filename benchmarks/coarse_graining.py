"""Coarse-graining: energy over many steps, gradients, reference trajectories, LAMMPS's files, forces, when it pays.

python -m benchmarks.coarse_graining                 all of it, about six minutes
python -m benchmarks.coarse_graining forces costs    some of it
"""

import argparse
import collections.abc
import functools
import json
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

import torch

from common.body_trajectories.lammps_files import read_lammps_folder
from common.body_trajectories.recipes import build_rigid_molecules, compute_kt, read_molecule
from common.body_trajectories.simulation import Protocol, simulate
from common.body_trajectories.trajectories import Trajectories
from common.coarse_graining.gradients import GRADIENTS, Loss
from common.coarse_graining.losses import compute_window_losses, measure_spreads
from common.coarse_graining.windows import Windows, list_windows
from common.dynamics.rigid_bodies import Inertia, Motion, compute_kinetic_energy, integrate, turn_freely
from common.geometry.quaternions import draw_quaternions, multiply_quaternions
from common.pair_networks.potential import INPUTS, LearnedPotential, Shape, build_learned_potential
from common.potentials.body_pairs import BodyPotential, Spring
from common.rollouts.candidates import Candidate
from common.rollouts.costs import measure_costs

ROOT = pathlib.Path(__file__).resolve().parents[1]
STARTER = ROOT / "example" / "starter.offxml"
HEXAGONS = ROOT / "tests" / "data" / "hexagons" / "fifteen-digits"

N_WINDOWS = 256
STEPS = (10, 50, 100, 400)
WAYS = ("direct", "adjoint", "torchdiffeq-dopri5-adjoint", "torchdiffeq-rk4-adjoint", "torchdiffeq-rk4")
LONGEST = {"torchdiffeq-rk4": 100}
"""Steps that a way is asked for at most: backpropagation through rk4 needs 13 MB a step."""

N_FRAMES = 20_000


def simulate_dimers(n_trajectories: int, n_frames: int) -> Trajectories:
    """Benzene dimers as 031-simulate-bodies.py makes them by default."""
    smiles, molecules = read_molecule("c1ccccc1", STARTER)
    system = build_rigid_molecules(smiles, molecules, 2, Spring(0.3, 5.0))
    return simulate(
        system,
        n_trajectories,
        Protocol(compute_kt(300.0, "molecular"), 0.005, 4.0, 4000.0, 5.0, 20.0, n_frames, 0),
        "x",
    )


def time_reference() -> None:
    """192 dimers over 4 ps, with their equilibration."""
    start = time.process_time()
    data = simulate_dimers(192, 201)
    print(f"reference: {data.n_trajectories} dimers, 4 ps after 4 ps of equilibration: {_since(start):.1f} s of CPU")


# --- gradients -------------------------------------------------------------------------------------------------------


def measure_gradient(way: str, n_steps: int) -> dict[str, float]:
    """One gradient of one batch of windows, in this process: its time, and what it adds to the peak of the memory."""
    torch.manual_seed(0)
    data = simulate_dimers(16, 1 + max(STEPS))
    learned = build_learned_potential(data, Shape(n_radial=10), 0, torch.float64)
    windows = list_windows(data, n_steps, 1, "n_steps")
    chosen = torch.arange(N_WINDOWS) % len(windows.starts)
    start, true = windows.take(chosen, torch.float64, "cpu")
    spreads = measure_spreads(data.motion)

    def loss(frames: Motion) -> torch.Tensor:
        return compute_window_losses("all-mse", frames, true, spreads).mean()

    short, short_true = windows.take(chosen[:4], torch.float64, "cpu")
    _differentiate(way, learned, windows, short, lambda frames: compute_window_losses(
        "all-mse", frames, short_true, spreads).mean())  # fmt: skip
    learned.zero_grad()
    before, clock = _measure_peak(), time.process_time()
    _differentiate(way, learned, windows, start, loss)
    seconds, memory = time.process_time() - clock, _measure_peak() - before
    gradient = torch.cat([values.grad.flatten() for values in learned.parameters()])
    return {"seconds": seconds, "memory": memory, "gradient": gradient.tolist()}


def _differentiate(way: str, learned: LearnedPotential, windows: Windows, start: Motion, loss: Loss) -> None:
    data, n_steps = windows.trajectories, windows.length
    field, inertia = learned.build_total().compute_field, data.system.build_inertia()
    if way in GRADIENTS:
        GRADIENTS[way](start, field, inertia, data.interval, n_steps, 1, loss)
        return
    import torchdiffeq

    class Equations(torch.nn.Module):
        """Newton's and Euler's equations of bodies, for an integrator that knows nothing of them."""

        def __init__(self):
            super().__init__()
            self.learned = learned

        def forward(self, _, state):
            positions, q, velocities, momenta = state
            forces, torques = field(positions, q)
            rates = inertia.inverse_moments * momenta
            spin = torch.cat((torch.zeros_like(rates[..., :1]), rates), -1)
            turning = 0.5 * multiply_quaternions(q, spin)
            return (
                velocities,
                turning,
                forces / inertia.masses,
                torques - torch.linalg.cross(rates, momenta),
            )

    times = data.interval * torch.arange(n_steps + 1, dtype=torch.float64)
    solve = torchdiffeq.odeint_adjoint if way.endswith("adjoint") else torchdiffeq.odeint
    method = "dopri5" if "dopri5" in way else "rk4"
    options = {"rtol": 1e-4, "atol": 1e-5} if method == "dopri5" else {}
    states = solve(Equations(), tuple(start), times, method=method, **options)
    loss(Motion(*(values[1:].transpose(0, 1) for values in states))).backward()


def _measure_peak() -> float:
    """[MB] of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def compare_gradients() -> None:
    """Each in a process of its own, so that peaks do not hide each other."""
    print(f"gradients of {N_WINDOWS} windows, a frame each step; CPU time, and memory above what was there before")
    for n_steps in STEPS:
        exact: list[float] = []
        for way in WAYS:
            if n_steps > LONGEST.get(way, n_steps):
                continue
            command = [sys.executable, "-m", "benchmarks.coarse_graining", "--gradient", way, str(n_steps)]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
            found = json.loads(done.stdout)
            exact = exact or found["gradient"]
            one, other = torch.tensor(found["gradient"]), torch.tensor(exact)
            print(
                f"{n_steps:4d} steps, {way}: {1e3 * found['seconds'] / n_steps:.1f} ms a step, "
                f"{found['memory']:.0f} MB, gradient {float((one - other).norm() / other.norm()):.0e} from direct",
                flush=True,
            )


# --- energy ----------------------------------------------------------------------------------------------------------

N_DRIFT = 100_000
"""Steps over which the energy is to have no trend."""

N_PARTS = 20
"""Into which these are cut: the slope through their means has an interval from the spread over dimers."""


def follow_energy() -> None:
    """100,000 steps of dimers and of a free asymmetric top: is there a trend of the energy?"""
    data = simulate_dimers(16, 2)
    system = data.system
    potential, inertia = system.add_spring(system.build_site_potential()), system.build_inertia()
    motion, energies = Motion(*(values[:, 0] for values in data.motion)), []
    n_steps = 100
    with torch.no_grad():
        for frame in integrate(motion, potential.compute_field, inertia, 5.0, N_DRIFT // n_steps, n_steps):
            energy = potential.compute_energy(frame.positions, frame.quaternions)
            energies.append(energy + compute_kinetic_energy(frame, inertia))
    kt = compute_kt(300.0, "molecular")
    _tell_trend(f"{len(energy)} dimers of benzene, 5 fs", torch.stack(energies) / kt, "kT")
    generator = torch.Generator().manual_seed(0)
    q = draw_quaternions((16, 1), generator)
    momenta = torch.randn(16, 1, 3, generator=generator, dtype=torch.float64)
    moments = torch.tensor([[1.0, 2.0, 3.5]], dtype=torch.float64)
    top = Inertia(torch.ones(1, 1, dtype=torch.float64), moments, 1.0 / moments, None)
    energies = []
    for i in range(N_DRIFT):
        q, momenta = turn_freely(q, momenta, top, 0.05)
        if (i + 1) % n_steps == 0:
            energies.append(0.5 * (momenta**2 * top.inverse_moments).sum((-1, -2)))
    _tell_trend("16 free tops, step 0.05", torch.stack(energies), "of energies of 1")


def _tell_trend(what: str, energies: torch.Tensor, unit: str) -> None:
    """A straight line through the means of parts, of each copy; what it rises by over all steps, mean and interval."""
    parts = torch.stack([part.mean(0) for part in energies.chunk(N_PARTS)])
    times = torch.linspace(-0.5, 0.5, N_PARTS, dtype=torch.float64)
    rises = (times[:, None] * parts).sum(0) / (times * times).sum()
    error = 1.96 * float(rises.std()) / len(rises) ** 0.5
    fluctuation = float((energies - energies.mean(0)).square().mean().sqrt())
    print(
        f"energy of {what}, {N_DRIFT} steps: rises by {float(rises.mean()):.1e} +- {error:.1e} {unit}; "
        f"it fluctuates by {fluctuation:.1e}"
    )


# --- the others ------------------------------------------------------------------------------------------------------


def time_reader() -> None:
    """A run of LAMMPS with its frames repeated, and numbered anew, 20,000 in all."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary) / "hexagons"
        shutil.copytree(HEXAGONS, folder)
        [info] = (folder / "train").glob("*-info.dat")
        [log] = (folder / "train").glob("*-sim.log")
        frames = [one for one in re.split(r"(?=ITEM: TIMESTEP)", info.read_text()) if one.strip()]
        first, second = (int(one.splitlines()[1]) for one in frames[:2])
        text, steps = [], []
        for i in range(N_FRAMES):
            head, _, rest = frames[i % len(frames)].split("\n", 2)
            steps.append(first + i * (second - first))
            text.append(f"{head}\n{steps[-1]}\n{rest}")
        info.write_text("".join(text))
        lines = log.read_text().splitlines()
        header = max(i for i, line in enumerate(lines) if line.split()[:1] == ["Step"])
        end = next(i for i in range(header, len(lines)) if lines[i].startswith("Loop time"))
        rows = [line.split(None, 1)[1] for line in lines[header + 1 : end]]
        table = [f"{step} {rows[i % len(rows)]}" for i, step in enumerate(steps)]
        log.write_text("\n".join([*lines[: header + 1], *table, *lines[end:]]) + "\n")
        start = time.process_time()
        splits, _ = read_lammps_folder(folder)
        seconds = _since(start)
        n_read = sum(own.n_trajectories * own.n_frames for own in splits.values())
    print(f"reader: {n_read} frames of two bodies in {seconds:.2f} s of CPU: {n_read / seconds:.0f} frames a second")


def compare_forces() -> None:
    """Forces and torques in closed form, and by autograd of the same energy, for few pairs and many; then training."""
    data = simulate_dimers(16, 21)
    places = [values.flatten(0, 1) for values in data.motion[:2]]
    for inputs in INPUTS:
        learned = build_learned_potential(data, Shape(inputs=inputs, n_radial=10), 0, torch.float64)
        for n_pairs in (1, 32, N_WINDOWS):
            own = [learned.build_potential(), *(values[:n_pairs].contiguous() for values in places)]
            times = _time_in_turn(functools.partial(_in_closed_form, *own), functools.partial(_by_autograd, *own))
            _tell(f"forces, {inputs}, {n_pairs} pairs", times, n_pairs)
        times = _time_in_turn(
            functools.partial(_train, learned, False, *own), functools.partial(_train, learned, True, *own)
        )
        _tell(f"gradient of a force loss, {inputs}, {N_WINDOWS} pairs", times, N_WINDOWS)


def _tell(what: str, times: list[float], n_pairs: int) -> None:
    closed, automatic = (1e6 * seconds / n_pairs for seconds in times)
    print(
        f"{what}: closed form {closed:.1f} us a pair, autograd {automatic:.1f}, {automatic / closed:.1f} times as long",
        flush=True,
    )


def _time_in_turn(*computations: collections.abc.Callable[[], object]) -> list[float]:
    """[s] The fastest of five times each."""
    fastest = [float("inf")] * len(computations)
    for _ in range(5):
        for i, compute in enumerate(computations):
            start = time.process_time()
            for _ in range(5):
                compute()
            fastest[i] = min(fastest[i], _since(start) / 5.0)
    return fastest


def _in_closed_form(potential: BodyPotential, positions: torch.Tensor, quaternions: torch.Tensor) -> object:
    with torch.no_grad():
        return potential.compute_field(positions, quaternions)


def _by_autograd(
    potential: BodyPotential, positions: torch.Tensor, quaternions: torch.Tensor, is_trained: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    x, q = positions.detach().requires_grad_(), quaternions.detach().requires_grad_()
    on_x, on_q = torch.autograd.grad(potential.compute_energy(x, q).sum(), (x, q), create_graph=is_trained)
    units = torch.eye(4, dtype=q.dtype)[1:]
    torques = [-0.5 * (on_q * multiply_quaternions(q.detach(), unit.expand_as(q))).sum(-1) for unit in units]
    return -on_x, torch.stack(torques, -1)


def _train(
    learned: LearnedPotential,
    by_autograd: bool,
    potential: BodyPotential,
    positions: torch.Tensor,
    quaternions: torch.Tensor,
) -> None:
    """Adds the gradient of a mean square of forces and torques to those of the weights."""
    learned.zero_grad()
    if by_autograd:
        felt = _by_autograd(potential, positions, quaternions, is_trained=True)
    else:
        felt = potential.compute_field(positions, quaternions)
    (felt[0].square().mean() + felt[1].square().mean()).backward()


def compare_costs() -> None:
    """A pair of learned potentials against sums over sites of bodies of many sizes."""
    data = simulate_dimers(8, 21)
    candidates = []
    for inputs, width in (("points", 16), ("points", 32), ("averaged", 32), ("symmetric", 32), ("body-frame", 32)):
        learned = build_learned_potential(data, Shape(inputs=inputs, width=width, n_radial=10), 0, torch.float64)
        candidates.append(Candidate(f"{inputs} 2 x {width}", learned, None, {}))
    costs = measure_costs(candidates, data.system)
    print("sums over sites: " + ", ".join(f"{n} sites {cost:.1f} us" for n, cost in costs.sites.items()))
    for name, cost in costs.candidates.items():
        print(
            f"{name}: {cost:.1f} us a pair, as much as {costs.crossovers[name]:.0f} sites a body; by torch "
            f"{costs.by_torch[name]:.1f} us, {costs.torch_crossovers[name]:.0f} sites"
        )


def _since(start: float) -> float:
    return time.process_time() - start


PARTS: dict[str, collections.abc.Callable[[], None]] = {
    "energy": follow_energy,
    "reference": time_reference,
    "gradients": compare_gradients,
    "reader": time_reader,
    "forces": compare_forces,
    "costs": compare_costs,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; none: all")
    parser.add_argument("--gradient", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.gradient:
        way, n_steps = arguments.gradient
        print(json.dumps(measure_gradient(way, int(n_steps))))
        return
    for part in arguments.parts or PARTS:
        if part not in PARTS:
            parser.error(f"no part {part!r}; there are {', '.join(PARTS)}")
        PARTS[part]()


if __name__ == "__main__":
    main()
