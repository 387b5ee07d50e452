"""BAOAB against harmonic wells, energy conservation, and independence of replicas."""

import math

import pytest
import torch

from common.dynamics.langevin import Langevin, run_langevin
from common.dynamics.noise import ReplicaNoise
from common.dynamics.states import begin, compute_kinetic_energy, draw_velocities
from common.processes.generators import make_generator
from common.units import FORCE_TO_ACCELERATION, GAS_CONSTANT

TEMPERATURE = 300.0
MASSES = torch.tensor([12.011, 1.008], dtype=torch.float64)
SPRINGS = torch.tensor([300.0, 700.0], dtype=torch.float64)[:, None]  # [kcal/mol/Angstrom²], as stiff as bonds
MEAN_TOLERANCE = 0.02  # of the issue: <x²> within 2 %


def evaluate_wells(coords):
    """Each atom in a well of its own."""
    return 0.5 * (SPRINGS * coords.square()).sum((-2, -1)), -SPRINGS * coords


def evaluate_morse(coords):
    """An anharmonic bond between two atoms, as strong as O-H."""
    depth, width, length = 110.0, 2.2, 0.96
    d = coords[..., 0, :] - coords[..., 1, :]
    r = d.square().sum(-1).sqrt()
    decay = torch.exp(-width * (r - length))
    slope = 2.0 * depth * width * decay * (1.0 - decay)
    force = -(slope / r)[..., None] * d
    return depth * (1.0 - decay) ** 2, torch.stack((force, -force), -2)


def start(evaluate, n_replicas, seed=0, n_thermostats=0):
    coords = torch.tensor([[0.98, 0.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64).repeat(n_replicas, 1, 1)
    velocities = draw_velocities(MASSES, TEMPERATURE, (n_replicas,), torch.Generator().manual_seed(seed))
    return begin(evaluate, coords, velocities, n_thermostats)


def test_the_spread_in_a_harmonic_well_is_that_of_boltzmann():
    """<x²> = kT/k, though the time step is as long as dynamics ever takes."""
    integrator = Langevin(MASSES, time_step=1.0, temperature=TEMPERATURE, friction=0.05)
    sums, n = torch.zeros(2, dtype=torch.float64), 0
    states = run_langevin(
        integrator, evaluate_wells, start(evaluate_wells, 200), 3000, torch.Generator().manual_seed(1)
    )
    for i, state in enumerate(states):
        if i >= 200:
            sums += state.coords.square().mean((0, 2))
            n += 1
    expected = GAS_CONSTANT * TEMPERATURE / SPRINGS[:, 0]
    torch.testing.assert_close(sums / n, expected, rtol=MEAN_TOLERANCE, atol=0)


def test_without_friction_energy_is_conserved():
    """Drift below 1e-3 kcal/mol/ps/atom at half a femtosecond, by the slope of a straight line over 5 ps."""
    integrator = Langevin(MASSES, time_step=0.5, temperature=TEMPERATURE, friction=0.0)
    state = start(evaluate_morse, 16, seed=3)
    energies = []
    for later in run_langevin(integrator, evaluate_morse, state, 10_000, torch.Generator().manual_seed(2)):
        energies.append(later.energies + compute_kinetic_energy(later.velocities, MASSES))
    times = torch.arange(len(energies), dtype=torch.float64) * 0.5e-3
    centred = times - times.mean()
    slopes = (centred[:, None] * torch.stack(energies)).sum(0) / centred.square().sum()
    assert slopes.abs().max().item() / len(MASSES) < 1e-3


def test_without_friction_it_is_velocity_verlet_and_turns_back():
    integrator = Langevin(MASSES, time_step=0.5, temperature=TEMPERATURE, friction=0.0)
    first = start(evaluate_morse, 3, seed=4)
    generator = torch.Generator().manual_seed(2)
    *_, last = run_langevin(integrator, evaluate_morse, first, 200, generator)
    turned = begin(evaluate_morse, last.coords, -last.velocities)
    *_, back = run_langevin(integrator, evaluate_morse, turned, 200, generator)
    torch.testing.assert_close(back.coords, first.coords, atol=1e-9, rtol=0)


def test_one_step_by_hand():
    integrator = Langevin(MASSES, time_step=2.0, temperature=TEMPERATURE, friction=0.02)
    state = start(evaluate_wells, 1, seed=5)
    noise = torch.full((1, 2, 3), 0.7, dtype=torch.float64)
    found = integrator.step(state, evaluate_wells, noise)
    m = MASSES[:, None]
    v = state.velocities + 1.0 * FORCE_TO_ACCELERATION * state.forces / m
    x = state.coords + 1.0 * v
    decay = math.exp(-0.04)
    thermal = torch.sqrt(GAS_CONSTANT * TEMPERATURE * FORCE_TO_ACCELERATION / m)
    v = decay * v + math.sqrt(1.0 - decay**2) * thermal * 0.7
    x = x + 1.0 * v
    v = v + 1.0 * FORCE_TO_ACCELERATION * (-SPRINGS * x) / m
    torch.testing.assert_close(found.coords, x, atol=1e-14, rtol=0)
    torch.testing.assert_close(found.velocities, v, atol=1e-14, rtol=0)


def test_one_molecule_moves_as_it_does_among_replicas():
    integrator = Langevin(MASSES, time_step=1.0, temperature=TEMPERATURE)
    batch = start(evaluate_morse, 2)
    alone = begin(evaluate_morse, batch.coords[1], batch.velocities[1])
    noise = torch.randn(50, 2, 2, 3, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    for own in noise:
        batch = integrator.step(batch, evaluate_morse, own)
        alone = integrator.step(alone, evaluate_morse, own[1])
    torch.testing.assert_close(batch.coords[1], alone.coords, atol=1e-12, rtol=0)


@pytest.mark.parametrize("n_replicas", [2, 7, 33])
def test_a_replica_that_leaves_changes_no_number_of_the_others(n_replicas):
    """Bit for bit: noise comes from generators of their own, and no sum reaches across."""
    integrator = Langevin(MASSES.float(), time_step=1.0, temperature=TEMPERATURE)
    springs = SPRINGS.float()

    def evaluate(coords):
        return 0.5 * (springs * coords * coords).sum((-2, -1)), -springs * coords

    def run(loses_one):
        coords = torch.zeros(n_replicas, 2, 3)
        state = begin(evaluate, coords, draw_velocities(MASSES.float(), 300.0, (n_replicas,), make_generator(0)))
        noise = ReplicaNoise([make_generator(1, r) for r in range(n_replicas)], 2, torch.float32, "cpu")
        for i in range(120):
            if loses_one and i == 10:
                kept = torch.arange(n_replicas) != 0
                state = state.select(kept)
                noise.keep(kept)
            state = integrator.step(state, evaluate, noise.draw())
        return state

    assert torch.equal(run(True).coords, run(False).coords[1:])
    assert torch.equal(run(True).velocities, run(False).velocities[1:])
