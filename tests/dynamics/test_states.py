"""Velocities and temperatures against Maxwell and Boltzmann."""

import pytest
import scipy.constants
import torch

from common.dynamics.states import (
    begin,
    compute_kinetic_energy,
    compute_temperature,
    draw_velocities,
    remove_momentum,
)
from common.units import GAS_CONSTANT

MASSES = torch.tensor([12.011, 15.999, 1.008], dtype=torch.float64)
N_REPLICAS = 20_000
SAMPLING_TOLERANCE = 0.03  # three standard errors of a variance from 20,000 samples: 3 √(2/20,000)
EXACT = 1e-12


@pytest.fixture
def velocities():
    return draw_velocities(MASSES, 500.0, (N_REPLICAS,), torch.Generator().manual_seed(1))


def test_every_component_has_half_kt(velocities):
    """½mv² is ½kT in SI units, worked out from scratch."""
    boltzmann = 1.380649e-23  # [J/K]
    kilograms, metres_per_second = MASSES * 1e-3 / scipy.constants.N_A, velocities * 1e5
    energies = 0.5 * kilograms[:, None] * metres_per_second.square().mean(0)
    torch.testing.assert_close(
        energies / (0.5 * boltzmann * 500.0), torch.ones_like(energies), atol=SAMPLING_TOLERANCE, rtol=0
    )


def test_the_mean_temperature_is_the_one_asked_for(velocities):
    assert compute_temperature(velocities, MASSES).mean().item() == pytest.approx(500.0, rel=SAMPLING_TOLERANCE / 3.0)


def test_without_momentum_three_degrees_of_freedom_are_gone(velocities):
    still = remove_momentum(velocities, MASSES)
    assert (MASSES[:, None] * still).sum(1).abs().max() < EXACT
    mean = compute_temperature(still, MASSES, n_fixed=3).mean().item()
    assert mean == pytest.approx(500.0, rel=SAMPLING_TOLERANCE / 3.0)


def test_kinetic_energy_and_temperature_belong_together(velocities):
    energy = compute_kinetic_energy(velocities[:5], MASSES)
    expected = 1.5 * len(MASSES) * GAS_CONSTANT * compute_temperature(velocities[:5], MASSES)
    torch.testing.assert_close(energy, expected, atol=0, rtol=EXACT)


def test_a_state_begins_with_its_own_forces_and_may_be_cut():
    coords = torch.randn(4, 3, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    state = begin(lambda x: (x.square().sum((-2, -1)), -2.0 * x), coords, 0.0 * coords, n_thermostats=2)
    assert torch.equal(state.forces, -2.0 * coords)
    cut = state.select(torch.tensor([True, False, False, True]))
    assert torch.equal(cut.coords, coords[[0, 3]])
    assert cut.thermostat.shape == (2, 2, 2)
