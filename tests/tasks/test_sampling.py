"""Dynamics that end where they make no sense any more."""

import numpy
import pytest
import torch

from common.tasks.sampling import (
    DynamicsSettings,
    draw_start_velocities,
    find_flaw,
    get_masses,
    load_run,
    make_evaluate,
    run_dynamics,
    save_run,
)
from common.units import GAS_CONSTANT
from tests.tasks.made_up import COORDS, NUMBERS, draw_coords, springs

EVALUATE = make_evaluate(springs, NUMBERS, 0)
SETTINGS = DynamicsSettings(time_step=0.5, friction=0.01, frame_interval=4)
ACCELERATION = 4.184e-4  # [Angstrom/fs^2] of 1 kcal/mol/Angstrom on 1 amu
DRIFT = 0.02  # [kcal/mol] of the energy of velocity Verlet at 0.2 fs, whose error is of the second order in the step


def run(n_steps=20, evaluate=EVALUATE, settings=SETTINGS, seed=1, coords=COORDS, velocities=None):
    if velocities is None:
        velocities = draw_start_velocities(NUMBERS, 300.0, 7)
    return run_dynamics(evaluate, NUMBERS, coords, velocities, 300.0, n_steps, settings, seed)


@pytest.mark.parametrize(("n_steps", "n_frames"), [(20, 5), (21, 6), (3, 1)])
def test_the_last_frame_is_the_end(n_steps, n_frames):
    found = run(n_steps)
    assert found.coords.shape == (n_frames, 3, 3)
    assert found.energies.shape == (n_frames,)
    assert (found.n_steps, found.reason) == (n_steps, "")
    assert found.energies[-1] == springs(NUMBERS, found.coords[-1], 0).energy


def test_the_same_seed_gives_the_same_run():
    assert run(seed=1).coords.tobytes() == run(seed=1).coords.tobytes() != run(seed=2).coords.tobytes()


def test_without_friction_the_energy_is_conserved_and_a_run_goes_on_where_another_ended():
    settings = DynamicsSettings(time_step=0.2, friction=0.0, frame_interval=10)
    whole = run(100, settings=settings)
    first = run(50, settings=settings)
    second = run(50, settings=settings, coords=first.coords[-1], velocities=first.end_velocities)
    numpy.testing.assert_allclose(second.coords[-1], whole.coords[-1], atol=1e-12)
    masses = get_masses(NUMBERS).numpy()[:, None]

    def total(coords, velocities):
        return springs(NUMBERS, coords, 0).energy + float((0.5 * masses * velocities**2).sum()) / ACCELERATION

    start = total(whole.start_coords, whole.start_velocities)
    assert total(whole.coords[-1], whole.end_velocities) == pytest.approx(start, abs=DRIFT)


def test_velocities_have_the_temperature():
    draws = numpy.array([draw_start_velocities(NUMBERS, 400.0, seed) for seed in range(2000)])
    masses = get_masses(NUMBERS).numpy()[:, None]
    temperature = float((masses * draws**2).mean()) / ACCELERATION / GAS_CONSTANT
    assert temperature == pytest.approx(400.0, rel=0.04)  # four standard deviations of 18,000 squares


@pytest.mark.parametrize(
    ("change", "flaw"),
    [
        (lambda x: x, ""),
        (lambda x: x * numpy.nan, "a coordinate is not finite"),
        (lambda x: x + numpy.array([[0, 0, 0], [0, 0, 0], [500.0, 0, 0]]), "an atom has flown off"),
        (lambda x: numpy.array([x[0], x[0] + [0.2, 0, 0], x[2]]), "atoms overlap"),
    ],
)
def test_flaws(change, flaw):
    assert find_flaw(NUMBERS, change(COORDS)) == flaw


def test_a_run_that_explodes_ends_before_and_keeps_what_was_sound():
    n_calls = 0

    def explode(coords):
        nonlocal n_calls
        n_calls += 1
        energies, forces = EVALUATE(coords)
        return energies, forces if n_calls < 10 else forces * numpy.nan

    found = run(100, explode)
    assert found.reason == "a coordinate is not finite"
    assert (found.n_steps, len(found.coords)) == (8, 2)
    assert numpy.isfinite(found.end_velocities).all()


def test_a_run_that_explodes_at_once_has_no_frames():
    found = run(100, lambda coords: (torch.zeros(1), torch.full_like(coords, torch.nan)))
    assert (found.n_steps, found.coords.shape) == (0, (0, 3, 3))
    assert found.reason


def test_an_energy_that_is_not_finite_ends_a_run():
    found = run(100, lambda coords: (torch.tensor([torch.inf]), torch.zeros_like(coords)))
    assert found.reason == "the energy is not finite"


def test_a_file_comes_back_to_the_last_bit(tmp_path):
    found = run()
    save_run(tmp_path / "run.npz", found)
    again = load_run(tmp_path / "run.npz")
    for name in ("coords", "start_coords", "start_velocities", "end_velocities", "energies", "numbers"):
        assert getattr(again, name).tobytes() == getattr(found, name).tobytes()
    assert (again.n_steps, again.reason) == (found.n_steps, found.reason)


def test_a_level_is_evaluated_frame_by_frame():
    coords = draw_coords(3, 0)
    energies, forces = EVALUATE(torch.from_numpy(coords))
    for i in range(3):
        expected = springs(NUMBERS, coords[i], 0)
        assert float(energies[i]) == expected.energy
        numpy.testing.assert_array_equal(forces[i].numpy(), expected.forces)
