"""Reference dynamics: temperature, consistency of positions and velocities, pieces that are kept, failures."""

import dataclasses

import numpy
import pytest
import torch

from common.calculators.interface import CalculationError
from common.dynamics.states import compute_temperature
from common.replicas.sampling import SamplingSettings, Source, make_molecule_source, make_water_source, sample_run
from common.units import FORCE_TO_ACCELERATION
from tests.neural.systems import COORDS
from tests.observables.systems import ETHANOL_SMILES
from tests.stability.systems import MASSES, evaluate_springs

SETTINGS = SamplingSettings("springs", 500.0, 0.5, 0.01, 0.2, 10, 0)


def make_source(evaluate=evaluate_springs):
    return Source(ETHANOL_SMILES, torch.from_numpy(MASSES), None, evaluate, lambda run: COORDS.numpy())


def test_the_temperature_is_the_one_asked_for(tmp_path):
    """Within 3 %; with strong friction 10 ps are as good as many more."""
    trajectory = sample_run(make_source(), dataclasses.replace(SETTINGS, friction=0.05), 10.0, tmp_path, 0)
    assert trajectory.n_frames == 2000
    assert trajectory.frame_interval == 5.0
    temperature = compute_temperature(torch.from_numpy(trajectory.velocities), torch.from_numpy(MASSES)).mean()
    assert temperature.item() == pytest.approx(500.0, rel=0.03)


def test_positions_and_velocities_belong_together(tmp_path):
    """x(t + dt) - x(t) = v dt + a dt²/2, of a frame each step and without friction."""
    settings = SamplingSettings("springs", 500.0, 0.2, 0.0, 0.1, 1, 0)
    trajectory = sample_run(make_source(), settings, 0.02, tmp_path, 0)
    x, v, f = (torch.from_numpy(a) for a in (trajectory.entry.coords, trajectory.velocities, trajectory.entry.forces))
    a = f * FORCE_TO_ACCELERATION / torch.from_numpy(MASSES)[:, None]
    torch.testing.assert_close(x[1:] - x[:-1], 0.2 * v[:-1] + 0.02 * a[:-1], atol=1e-6, rtol=0)
    torch.testing.assert_close((x[2:] - x[:-2]) / 0.4, v[1:-1], atol=2e-4, rtol=0)


def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path):
    calls = 0

    def evaluate(coords):
        nonlocal calls
        calls += 1
        if calls == 4000:
            raise KeyboardInterrupt
        return evaluate_springs(coords)

    with pytest.raises(KeyboardInterrupt):
        sample_run(make_source(evaluate), SETTINGS, 3.0, tmp_path / "stopped", 0)
    n_before = calls
    resumed = sample_run(make_source(evaluate), SETTINGS, 3.0, tmp_path / "stopped", 0)
    whole = sample_run(make_source(), SETTINGS, 3.0, tmp_path / "whole", 0)
    numpy.testing.assert_array_equal(resumed.entry.coords, whole.entry.coords)
    numpy.testing.assert_array_equal(resumed.velocities, whole.velocities)
    assert calls - n_before < 6400  # not from the start


def test_a_longer_run_goes_on_from_a_shorter_one(tmp_path):
    short = sample_run(make_source(), SETTINGS, 1.0, tmp_path, 0)
    long = sample_run(make_source(), SETTINGS, 2.0, tmp_path, 0)
    numpy.testing.assert_array_equal(long.entry.coords[:200], short.entry.coords)
    assert long.n_frames == 400


def test_runs_are_independent(tmp_path):
    first, second = (sample_run(make_source(), SETTINGS, 0.1, tmp_path, run) for run in (0, 1))
    assert abs(first.entry.coords - second.entry.coords).max() > 0.05


def test_a_failure_says_where_and_what_was_kept(tmp_path):
    calls = 0

    def evaluate(coords):
        nonlocal calls
        calls += 1
        if calls > 3000:
            raise CalculationError("the SCF does not converge")
        return evaluate_springs(coords)

    with pytest.raises(ValueError, match=r"run 0, .*: springs fails after frame 200 \(the SCF .* at most 1 ps"):
        sample_run(make_source(evaluate), SETTINGS, 3.0, tmp_path, 0)
    kept = sample_run(make_source(evaluate), SETTINGS, 1.0, tmp_path, 0)
    assert kept.n_frames == 200


def test_forces_of_tight_binding_are_minus_the_gradient():
    """Stored forces against central differences of energies of the level, to 1e-3 kcal/mol/Angstrom."""
    source = make_molecule_source("[C:1](#[N:2])[H:3]", "gfn2-xtb", 0, None)
    coords = torch.from_numpy(source.make_start(0)) + 0.02
    coords[0, 1] += 0.05
    _, forces = source.evaluate(coords)
    step = 2e-3
    for atom, axis in ((0, 0), (1, 1), (2, 2)):
        numeric = 0.0
        for place, weight in ((1, -8.0), (-1, 8.0), (2, 1.0), (-2, -1.0)):  # central, of the fourth order
            moved = coords.clone()
            moved[atom, axis] += place * step
            numeric += weight * source.evaluate(moved)[0].item() / (12.0 * step)
        assert forces[atom, axis].item() == pytest.approx(numeric, abs=1e-3)


def test_a_box_of_water_is_sampled(tmp_path):
    pytest.importorskip("openmm")
    source = make_water_source(8, 7.0, 0)
    settings = SamplingSettings("spc-water", 300.0, 0.5, 0.02, 0.02, 4, 0)
    trajectory = sample_run(source, settings, 0.04, tmp_path, 0)
    assert trajectory.entry.coords.shape == (20, 24, 3)
    numpy.testing.assert_array_equal(trajectory.cell, [7.0] * 3)
