"""The Boltzmann estimator against its formula, against exact results, and its guards."""

import pytest
import torch

from common.observables.distributions import RadialDistribution
from common.potentials.neural import NeuralPotential
from common.stability.pool import PoolEpoch, collect_samples, compute_parts
from common.stability.reweighting import Samples, compute_means, reweight
from common.units import GAS_CONSTANT
from tests.neural.systems import ETHANOL, displace, make_network
from tests.observables.systems import make_ethanol

TEMPERATURE = 500.0
BETA = 1.0 / (GAS_CONSTANT * TEMPERATURE)
RELATIVE = 1e-12  # of the issue, in float64


@pytest.fixture
def potential():
    return NeuralPotential(make_network("schnet").double(), ETHANOL)


def make_samples(potential, coords, observables, seed=0):
    """One epoch with random base weights."""
    log_weights = torch.randn(len(coords), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    energies = potential.compute_energies(coords).detach()
    return Samples(log_weights, energies, torch.zeros(len(coords), dtype=torch.int64), observables)


def flatten(gradients):
    return torch.cat([gradient.reshape(-1) for gradient in gradients])


def test_its_gradient_is_the_covariance_formula(potential):
    """-β <((g - ḡ)·dL/dḡ) dU/dθ> at the parameters that made the frames."""
    coords = displace(30)
    values = RadialDistribution(make_ethanol()).compute(coords)
    samples = make_samples(potential, coords, {"rdf": values})
    parameters = potential.get_parameters()
    target = torch.zeros(values.shape[1], dtype=torch.float64)

    energies = potential.compute_energies(coords)
    mean = compute_means(samples, reweight(samples, energies, TEMPERATURE))["rdf"]
    found = flatten(torch.autograd.grad((mean - target).square().sum(), parameters))

    weights = torch.softmax(samples.log_weights, 0)
    mean = weights @ values
    slope = 2.0 * (mean - target)
    factors = -BETA * weights * ((values - mean) @ slope)
    expected = flatten(torch.autograd.grad((factors * potential.compute_energies(coords)).sum(), parameters))
    assert (found - expected).norm() < RELATIVE * expected.norm()


def test_the_slope_of_the_spread_of_a_harmonic_well():
    """d<x²>/dk = -kT/k², within 2 %, from samples of the well."""
    k = torch.tensor(300.0, dtype=torch.float64, requires_grad=True)
    spread = (1.0 / (BETA * 300.0)) ** 0.5
    x = spread * torch.randn(400_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    samples = Samples(
        torch.zeros_like(x), 150.0 * x.square(), torch.zeros(len(x), dtype=torch.int64), {"x2": x[:, None] ** 2}
    )
    mean = compute_means(samples, reweight(samples, 0.5 * k * x.square(), TEMPERATURE))["x2"].sum()
    (slope,) = torch.autograd.grad(mean, k)
    assert slope.item() == pytest.approx(-1.0 / (BETA * 300.0**2), rel=0.02)
    assert mean.item() == pytest.approx(spread**2, rel=0.02)


def test_it_holds_after_steps_have_been_made():
    """<x²> of another well, from samples of the first."""
    x = torch.randn(400_000, generator=torch.Generator().manual_seed(2), dtype=torch.float64) / (BETA * 300.0) ** 0.5
    samples = Samples(
        torch.zeros_like(x), 150.0 * x.square(), torch.zeros(len(x), dtype=torch.int64), {"x2": x[:, None] ** 2}
    )
    weights = reweight(samples, 200.0 * x.square(), TEMPERATURE)
    assert (weights.values @ x.square()).item() == pytest.approx(1.0 / (BETA * 400.0), rel=0.02)
    assert weights.n_effective.item() < len(x)


def test_unchanged_energies_leave_the_base_weights():
    log_weights = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64).log()
    samples = Samples(
        log_weights, torch.tensor([5.0, 6.0, 7.0], dtype=torch.float64), torch.zeros(3, dtype=torch.int64), {}
    )
    weights = reweight(samples, samples.energies, TEMPERATURE)
    torch.testing.assert_close(weights.values, torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64) / 3.0)
    assert weights.n_effective.item() == pytest.approx(9.0 / 5.0)


def test_the_zero_of_a_potential_does_not_count():
    """Two epochs made under potentials with other zeros: each is weighted among its own frames."""
    generator = torch.Generator().manual_seed(3)
    energies = torch.randn(10, generator=generator, dtype=torch.float64)
    now = energies + 0.3 * torch.randn(10, generator=generator, dtype=torch.float64)
    epochs = torch.tensor([0] * 4 + [1] * 6)
    zeros = torch.zeros(10, dtype=torch.float64)
    expected = reweight(Samples(zeros, energies, epochs, {}), now, TEMPERATURE).values
    shifted = energies + torch.tensor([0.0, 1e4], dtype=torch.float64)[epochs]
    found = reweight(Samples(zeros, shifted, epochs, {}), now, TEMPERATURE).values
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=0)
    assert found.sum().item() == pytest.approx(1.0)


def test_epochs_count_by_their_effective_numbers():
    energies = torch.tensor([0.0, 0.0, 0.0, 0.0, 50.0], dtype=torch.float64)
    samples = Samples(torch.zeros(5, dtype=torch.float64), 0.0 * energies, torch.tensor([0, 0, 0, 1, 1]), {})
    weights = reweight(samples, energies, TEMPERATURE)
    torch.testing.assert_close(weights.n_effective, torch.tensor([3.0, 1.0], dtype=torch.float64), atol=1e-9, rtol=0)
    torch.testing.assert_close(weights.values, torch.tensor([0.25, 0.25, 0.25, 0.25, 0.0], dtype=torch.float64))


def test_energies_that_differ_by_thousands_do_no_harm():
    energies = torch.tensor([0.0, 4e3, -4e3], dtype=torch.float64, requires_grad=True)
    samples = Samples(
        torch.zeros(3, dtype=torch.float64),
        torch.zeros(3, dtype=torch.float64),
        torch.zeros(3, dtype=torch.int64),
        {"g": torch.eye(3, dtype=torch.float64)},
    )
    mean = compute_means(samples, reweight(samples, energies, TEMPERATURE))["g"]
    torch.testing.assert_close(mean, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    assert torch.autograd.grad(mean[0], energies)[0].isfinite().all()


def test_localized_is_global_where_one_molecule_is_the_whole(potential):
    """By the same code: energies of molecules, here of one, and observables of molecules."""
    coords = displace(20)
    whole = compute_parts(potential, coords, None)
    parts = compute_parts(potential, coords, torch.zeros(9, dtype=torch.int64))
    assert parts.shape == whole.shape == (20, 1)
    torch.testing.assert_close(parts, whole, atol=1e-10, rtol=0)
    values = coords.square().sum((1, 2))[:, None, None]
    gradients = []
    for energies in (whole, parts):
        epoch = PoolEpoch(
            coords, torch.zeros(20), torch.zeros(20, dtype=torch.float64), energies.detach(), {"g": values}
        )
        samples = collect_samples([epoch])
        mean = compute_means(samples, reweight(samples, energies.reshape(-1), TEMPERATURE))["g"]
        gradients.append(flatten(torch.autograd.grad(mean.sum(), potential.get_parameters())))
    assert (gradients[0] - gradients[1]).norm() < RELATIVE * 10.0 * gradients[0].norm()


def test_independent_molecules_localized_and_global_agree():
    """Particles in wells that do not feel each other: both estimators give d<x²>/dk, the localized one more exactly."""
    generator = torch.Generator().manual_seed(4)
    n_frames, n_molecules, stiffness = 4000, 8, 300.0
    x = torch.randn(n_frames, n_molecules, generator=generator, dtype=torch.float64) / (BETA * stiffness) ** 0.5
    k = torch.tensor(stiffness, dtype=torch.float64, requires_grad=True)
    exact = -1.0 / (BETA * stiffness**2)
    own = 0.5 * k * x.square()
    zeros = torch.zeros(n_frames, dtype=torch.float64)
    slopes = []
    for energies, values in (
        (own.sum(1), x.square().mean(1)[:, None]),
        (own.reshape(-1), x.square().reshape(-1)[:, None]),
    ):
        n = len(energies)
        samples = Samples(zeros.new_zeros(n), energies.detach(), torch.zeros(n, dtype=torch.int64), {"x2": values})
        mean = compute_means(samples, reweight(samples, energies, TEMPERATURE))["x2"].sum()
        slopes.append(torch.autograd.grad(mean, k, retain_graph=True)[0].item())
    assert slopes[1] == pytest.approx(exact, rel=0.03)
    assert slopes[0] == pytest.approx(exact, rel=0.1)
