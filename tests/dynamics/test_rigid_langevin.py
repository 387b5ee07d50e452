"""Rigid bodies at a temperature: equipartition, and the distribution of a spring."""

import math

import torch

from common.dynamics.rigid_bodies import collect_inertia, integrate
from common.dynamics.rigid_langevin import draw_thermal_motion, integrate_langevin
from common.potentials.body_pairs import BodyPotential, Spring, pair_all
from tests.bodies import draw_places, make_asymmetric_body, make_rod

KT = 0.7
N_SYSTEMS = 3000
FIVE_SIGMA = 5.0


def compute_ratio(values: torch.Tensor, widths: torch.Tensor) -> torch.Tensor:
    """Mean squares over what equipartition says, one for each component."""
    return (values**2).mean(0) / widths**2


def test_thermal_motion_has_half_kt_for_each_axis():
    inertia = collect_inertia([make_asymmetric_body(), make_rod()])
    motion = draw_thermal_motion(*draw_places(N_SYSTEMS, 2, 3.0, 0), inertia, KT, torch.Generator().manual_seed(0))
    tolerance = FIVE_SIGMA * math.sqrt(2.0 / N_SYSTEMS)
    velocities = compute_ratio(motion.velocities, torch.sqrt(KT / inertia.masses))
    assert (velocities - 1.0).abs().max() < tolerance
    turns = inertia.moments > 0.0
    momenta = compute_ratio(motion.angular_momenta, torch.sqrt(KT * inertia.moments))
    assert (momenta[turns] - 1.0).abs().max() < tolerance
    assert (motion.angular_momenta[:, ~turns] == 0.0).all()


def test_langevin_brings_cold_bodies_to_the_temperature():
    """From rest: kinetic energies of every axis, and the distances of a spring, p(r) ~ r² exp(-k (r - r₀)² / 2 kT)."""
    body = make_asymmetric_body()
    inertia = collect_inertia([body, body])
    spring = Spring(4.0, 1.0)
    potential = BodyPotential((pair_all(2, spring),))
    generator = torch.Generator().manual_seed(0)
    start = draw_thermal_motion(*draw_places(N_SYSTEMS, 2, 1.0, 0), inertia, 1e-12, generator)
    [end] = integrate_langevin(start, potential.compute_field, inertia, 0.1, 1, 150, KT, 1.0, generator)
    tolerance = FIVE_SIGMA * math.sqrt(2.0 / N_SYSTEMS)
    assert (compute_ratio(end.velocities, torch.sqrt(KT / inertia.masses)) - 1.0).abs().max() < tolerance
    assert (compute_ratio(end.angular_momenta, torch.sqrt(KT * inertia.moments)) - 1.0).abs().max() < tolerance
    r = torch.linspace(0.01, 5.0, 1000, dtype=torch.float64)
    weights = r**2 * torch.exp(-0.5 * spring.stiffness * (r - spring.length) ** 2 / KT)
    mean = float((weights * r).sum() / weights.sum())
    width = math.sqrt(float((weights * r**2).sum() / weights.sum()) - mean**2)
    distances = (end.positions[:, 1] - end.positions[:, 0]).norm(dim=-1)
    assert abs(float(distances.mean()) - mean) < FIVE_SIGMA * width / math.sqrt(N_SYSTEMS)


def test_without_friction_it_is_velocity_verlet():
    body = make_rod()
    inertia = collect_inertia([body, body])
    field = BodyPotential((pair_all(2, Spring(4.0, 1.0)),)).compute_field
    generator = torch.Generator().manual_seed(0)
    start = draw_thermal_motion(*draw_places(3, 2, 1.0, 0), inertia, KT, generator)
    [ours] = integrate_langevin(start, field, inertia, 0.05, 1, 50, KT, 0.0, generator)
    [expected] = integrate(start, field, inertia, 0.05, 1, 50)
    for name in ("positions", "velocities", "quaternions"):  # a rod turns exactly, so that two halves are a whole
        torch.testing.assert_close(getattr(ours, name), getattr(expected, name), atol=1e-12, rtol=0)


def test_noise_comes_from_the_generator_alone():
    body = make_rod()
    inertia = collect_inertia([body, body])
    field = BodyPotential((pair_all(2, Spring(4.0, 1.0)),)).compute_field
    start = draw_thermal_motion(*draw_places(3, 2, 1.0, 0), inertia, KT, torch.Generator().manual_seed(0))

    def run(seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        [end] = integrate_langevin(start, field, inertia, 0.05, 1, 5, KT, 1.0, generator)
        return end.velocities

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))
