"""The integrator of rigid bodies: second order, reversible, without drift, and the same as LAMMPS's."""

import itertools

import torch

from common.body_trajectories.lammps_files import read_local_motion
from common.dynamics.rigid_bodies import (
    Motion,
    collect_inertia,
    compute_kinetic_energy,
    compute_momentum,
    compute_total_angular_momentum,
    count_degrees_of_freedom,
    integrate,
    turn_freely,
)
from common.dynamics.rigid_langevin import draw_thermal_motion
from common.geometry.quaternions import draw_quaternions
from common.potentials.body_pairs import BodyPotential, Spring, pair_all
from common.potentials.site_sums import build_site_sum
from tests.bodies import LENNARD_JONES, draw_places, make_asymmetric_body, make_hexagon, make_point, make_rod
from tests.helpers import DATA

ORDER_TWO = (3.5, 4.5)
"""Halving the step must divide the error by four; the next order of the step may take a bit from it."""

REVERSIBLE = 1e-9
CONSERVED = 1e-11
LAMMPS_TOLERANCE = 1e-10


def make_dimers(n: int = 8) -> tuple[Motion, BodyPotential, object]:
    """Pairs of asymmetric bodies bound by their sites and a spring."""
    body = make_asymmetric_body()
    potential = BodyPotential((pair_all(2, build_site_sum(body, body, [LENNARD_JONES]), Spring(1.0, 2.0)),))
    inertia = collect_inertia([body, body])
    places = draw_places(n, 2, 2.2, seed=0)
    return draw_thermal_motion(*places, inertia, 0.2, torch.Generator().manual_seed(1)), potential, inertia


def compute_energy(motion: Motion, potential: BodyPotential, inertia) -> torch.Tensor:
    return compute_kinetic_energy(motion, inertia) + potential.compute_energy(motion.positions, motion.quaternions)


def run(motion: Motion, potential: BodyPotential, inertia, step: float, n_frames: int, n_steps: int) -> list[Motion]:
    return list(integrate(motion, potential.compute_field, inertia, step, n_frames, n_steps))


def test_the_energy_error_of_a_free_top_falls_fourfold_when_the_step_halves():
    inertia = collect_inertia([make_asymmetric_body()])
    generator = torch.Generator().manual_seed(0)
    q = draw_quaternions((20, 1), generator)
    momenta = torch.randn(20, 1, 3, generator=generator, dtype=torch.float64)
    start = (momenta**2 * inertia.inverse_moments).sum((-1, -2))
    errors = []
    for n in (40, 80, 160):
        own_q, own, worst = q, momenta, 0.0
        for _ in range(n):
            own_q, own = turn_freely(own_q, own, inertia, 8.0 / n)
            energy = (own**2 * inertia.inverse_moments).sum((-1, -2))
            worst = max(worst, float((energy - start).square().mean().sqrt()))
        errors.append(worst)
    for coarse, fine in itertools.pairwise(errors):
        assert ORDER_TWO[0] < coarse / fine < ORDER_TWO[1]


def test_a_free_top_keeps_its_momentum_in_space_and_its_unit_quaternion():
    inertia = collect_inertia([make_asymmetric_body()])
    generator = torch.Generator().manual_seed(0)
    q = draw_quaternions((5, 1), generator)
    momenta = torch.randn(5, 1, 3, generator=generator, dtype=torch.float64)
    zeros = torch.zeros(5, 1, 3, dtype=torch.float64)
    start = compute_total_angular_momentum(Motion(zeros, q, zeros, momenta), inertia)
    for _ in range(1000):
        q, momenta = turn_freely(q, momenta, inertia, 0.05)
    end = compute_total_angular_momentum(Motion(zeros, q, zeros, momenta), inertia)
    torch.testing.assert_close(end, start, atol=CONSERVED, rtol=0)
    assert (q.norm(dim=-1) - 1.0).abs().max() < CONSERVED


def test_the_energy_error_of_dimers_falls_fourfold_when_the_step_halves():
    motion, potential, inertia = make_dimers()
    start = compute_energy(motion, potential, inertia)
    errors = []
    for n in (100, 200, 400):
        frames = run(motion, potential, inertia, 2.0 / n, 50, n // 50)
        energies = torch.stack([compute_energy(frame, potential, inertia) for frame in frames])
        errors.append(float((energies - start).square().mean().sqrt()))
    for coarse, fine in itertools.pairwise(errors):
        assert ORDER_TWO[0] < coarse / fine < ORDER_TWO[1]


def test_there_and_back_again():
    motion, potential, inertia = make_dimers()
    [there] = run(motion, potential, inertia, 0.005, 1, 1000)
    [back] = run(there, potential, inertia, -0.005, 1, 1000)
    for before, after in zip(motion, back, strict=True):
        assert (before - after).abs().max() < REVERSIBLE
    assert (there.positions - motion.positions).abs().max() > 0.1


def test_momentum_and_angular_momentum_are_conserved():
    motion, potential, inertia = make_dimers()
    [end] = run(motion, potential, inertia, 0.01, 1, 1000)
    for compute in (compute_momentum, compute_total_angular_momentum):
        torch.testing.assert_close(compute(end, inertia), compute(motion, inertia), atol=CONSERVED, rtol=0)


def test_the_energy_does_not_drift():
    """The slope over 2,000 steps is nothing against its own noise; the benchmark goes to 100,000."""
    motion, potential, inertia = make_dimers(16)
    energies = torch.stack(
        [compute_energy(frame, potential, inertia) for frame in run(motion, potential, inertia, 0.02, 200, 10)]
    )
    halves = energies[:100].mean(0), energies[100:].mean(0)
    error = (energies - energies[0]).square().mean().sqrt()
    assert (halves[1] - halves[0]).mean().abs() < 0.2 * error


def test_a_rod_and_a_point_move_as_they_can():
    bodies = [make_rod(), make_point()]
    potential = BodyPotential((pair_all(2, build_site_sum(*bodies, [LENNARD_JONES]), Spring(1.0, 1.0)),))
    inertia = collect_inertia(bodies)
    assert count_degrees_of_freedom(inertia) == 8
    motion = draw_thermal_motion(*draw_places(5, 2, 1.5, seed=3), inertia, 0.2, torch.Generator().manual_seed(1))
    start = compute_energy(motion, potential, inertia)
    [end] = run(motion, potential, inertia, 0.002, 1, 1000)
    assert (end.angular_momenta[:, 0, 2] == 0.0).all()
    assert (end.angular_momenta[:, 1] == 0.0).all()
    assert torch.equal(end.quaternions[:, 1], motion.quaternions[:, 1])
    torch.testing.assert_close(compute_energy(end, potential, inertia), start, atol=1e-4, rtol=0)


def test_a_force_moves_and_a_torque_turns_as_newton_says():
    """One body under a constant force and a torque about a principal axis: x = F t² / 2 M, angle = τ t² / 2 I."""
    body = make_hexagon()
    inertia = collect_inertia([body])
    still = torch.zeros(1, 3, dtype=torch.float64)
    start = Motion(still, torch.tensor([[1.0, 0.0, 0.0, 0.0]], dtype=torch.float64), still, still)
    force, torque = (torch.tensor([[0.0, 0.0, value]], dtype=torch.float64) for value in (7.0, 0.6))
    [end] = integrate(start, lambda x, q: (force, torque), inertia, 0.01, 1, 100)
    assert abs(end.positions[0, 2] - 0.5) < 1e-12
    assert abs(2.0 * torch.atan2(end.quaternions[0, 3], end.quaternions[0, 0]) - 0.05) < 1e-12


def test_states_are_those_of_lammps():
    """Two hexagons over 1 τ, along LAMMPS's own axes: the error of a symmetric top's splitting depends on them."""
    for split in ("train", "validation", "test"):
        system, expected, step, steps_per_frame = read_local_motion(DATA / "hexagons" / "fifteen-digits" / split)
        potential = system.add_spring(system.build_site_potential())
        start = Motion(*(values[0] for values in expected))
        frames = run(start, potential, system.build_inertia(), step, 10, steps_per_frame)
        for name, values in expected._asdict().items():
            ours = torch.stack([getattr(frame, name) for frame in frames])
            assert (ours - values[1:]).abs().max() < LAMMPS_TOLERANCE, name
