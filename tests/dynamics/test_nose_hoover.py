"""Nosé-Hoover chains against harmonic wells, their conserved energy, and time reversal."""

import pytest
import torch

from common.dynamics.nose_hoover import NoseHoover
from common.dynamics.states import begin, compute_kinetic_energy, compute_temperature, draw_velocities, remove_momentum
from common.units import GAS_CONSTANT

TEMPERATURE = 300.0
MASSES = torch.tensor([12.011, 1.008, 15.999], dtype=torch.float64)
MEAN_TOLERANCE = 0.02  # of the issue: <x²> within 2 %
SPRING = 400.0  # [kcal/mol/Angstrom²]
LENGTH = 1.1  # [Angstrom]


def evaluate_chain(coords):
    """Two harmonic bonds, as a linear molecule in one dimension would have, each component for itself."""
    d = coords[..., 1:, :] - coords[..., :-1, :]
    energy = 0.5 * SPRING * d.square().sum((-2, -1))
    pull = SPRING * d
    zero = torch.zeros_like(pull[..., :1, :])
    return energy, torch.cat((pull, zero), -2) - torch.cat((zero, pull), -2)


def start(n_replicas, seed, n_thermostats):
    generator = torch.Generator().manual_seed(seed)
    velocities = remove_momentum(draw_velocities(MASSES, TEMPERATURE, (n_replicas,), generator), MASSES)
    coords = 0.05 * torch.randn(n_replicas, 3, 3, generator=generator, dtype=torch.float64)
    return begin(evaluate_chain, coords, velocities, n_thermostats)


def run(integrator, state, n_steps):
    for _ in range(n_steps):
        state = integrator.step(state, evaluate_chain, None)
        yield state


def test_the_spread_in_a_harmonic_well_is_that_of_boltzmann():
    """<x²> = kT/k along three axes, from starts at the bottom: all the energy there is comes from the thermostats."""
    mass = torch.tensor([12.011], dtype=torch.float64)
    springs = torch.tensor([[100.0, 271.0, 634.0]], dtype=torch.float64)

    def evaluate(coords):
        return 0.5 * (springs * coords.square()).sum((-2, -1)), -springs * coords

    velocities = draw_velocities(mass, TEMPERATURE, (400,), torch.Generator().manual_seed(1))
    state = begin(evaluate, 0.0 * velocities, velocities, n_thermostats=4)
    integrator = NoseHoover(mass, 1.0, TEMPERATURE, relaxation_time=5.0, n_thermostats=4, n_fixed=0)
    spread, temperature, n = torch.zeros(3, dtype=torch.float64), 0.0, 0
    for i in range(4000):
        state = integrator.step(state, evaluate, None)
        if i >= 1000:
            spread += state.coords.square().mean((0, 1))
            temperature += compute_temperature(state.velocities, mass).mean().item()
            n += 1
    torch.testing.assert_close(spread / n, GAS_CONSTANT * TEMPERATURE / springs[0], rtol=MEAN_TOLERANCE, atol=0)
    assert temperature / n == pytest.approx(TEMPERATURE, rel=MEAN_TOLERANCE)


def test_cold_atoms_are_heated():
    integrator = NoseHoover(MASSES, time_step=1.0, temperature=TEMPERATURE)
    state = start(32, 6, 3)
    state = begin(evaluate_chain, 0.0 * state.coords, 0.3 * state.velocities, 3)
    temperatures = [compute_temperature(later.velocities, MASSES, 3).mean() for later in run(integrator, state, 2000)]
    assert temperatures[0] < 0.2 * TEMPERATURE
    assert torch.stack(temperatures[500:]).mean().item() == pytest.approx(TEMPERATURE, rel=0.05)


@pytest.mark.parametrize("n_thermostats", [1, 3])
def test_atoms_and_chain_together_conserve_their_energy(n_thermostats):
    """Drift below 1e-3 kcal/mol/ps/atom at half a femtosecond; what is left is of second order in the time step."""
    spreads = []
    for time_step in (0.5, 0.25):
        integrator = NoseHoover(MASSES, time_step, TEMPERATURE, n_thermostats=n_thermostats)
        conserved, own = [], []
        for state in run(integrator, start(16, 2, n_thermostats), round(1000.0 / time_step)):
            conserved.append(integrator.compute_conserved_energy(state))
            own.append(state.energies + compute_kinetic_energy(state.velocities, MASSES))
        spreads.append(torch.stack(conserved).std(0).mean().item())
        times = torch.arange(len(conserved), dtype=torch.float64) * time_step * 1e-3
        centred = times - times.mean()
        slope = (centred * torch.stack(conserved).mean(1)).sum() / centred.square().sum()
        assert slope.abs().item() / len(MASSES) < 1e-3
        assert torch.stack(own).std(0).mean().item() > 20.0 * spreads[-1]
    assert spreads[0] / spreads[1] == pytest.approx(4.0, rel=0.15)


def test_time_turns_back():
    integrator = NoseHoover(MASSES, time_step=0.5, temperature=TEMPERATURE)
    first = start(4, 3, 3)
    *_, last = run(integrator, first, 100)
    sign = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    turned = begin(evaluate_chain, last.coords, -last.velocities)
    turned = type(turned)(turned.coords, turned.velocities, turned.energies, turned.forces, sign * last.thermostat)
    *_, back = run(integrator, turned, 100)
    torch.testing.assert_close(back.coords, first.coords, atol=1e-9, rtol=0)
    torch.testing.assert_close(back.velocities, -first.velocities, atol=1e-9, rtol=0)


def test_momentum_stays_zero():
    *_, last = run(NoseHoover(MASSES, time_step=1.0, temperature=TEMPERATURE), start(4, 4, 3), 200)
    assert (MASSES[:, None] * last.velocities).sum(-2).abs().max() < 1e-12


@pytest.mark.parametrize("n_replicas", [2, 7, 33])
def test_a_replica_that_leaves_changes_no_number_of_the_others(n_replicas):
    integrator = NoseHoover(MASSES, time_step=1.0, temperature=TEMPERATURE)
    state = start(n_replicas, 5, 3)
    fewer = state.select(torch.arange(n_replicas) != 0)
    for _ in range(60):
        state = integrator.step(state, evaluate_chain, None)
        fewer = integrator.step(fewer, evaluate_chain, None)
    assert torch.equal(fewer.coords, state.coords[1:])
    assert torch.equal(fewer.thermostat, state.thermostat[1:])
