"""Epochs with made-up motions: who fails when, who leaves, and what time frames stand for."""

import math

import pytest
import torch

from common.dynamics.langevin import Langevin
from common.dynamics.noise import ReplicaNoise
from common.dynamics.states import State, begin, draw_velocities
from common.observables.deviations import BondDeviation
from common.observables.system import measure_distances
from common.potentials.neural import NeuralPotential
from common.processes.generators import make_generator
from common.replicas.epochs import EpochSettings, run_epoch
from tests.neural.systems import COORDS, ETHANOL, displace, make_network
from tests.observables.systems import make_ethanol

SETTINGS = EpochSettings(n_steps=100, check_interval=5, frame_interval=20, n_absorbed=3)


class Stretcher:
    """Moves one hydrogen of each replica away by so many Angstrom a step, from a step of its own on."""

    n_thermostats = 0
    needs_noise = False

    def __init__(self, starts, speeds):
        self.starts, self.speeds = starts, speeds

    def step(self, state, evaluate, noise):
        """The replica is told by its velocity, which stands for its number."""
        coords = state.coords.clone()
        for place, number in enumerate(state.velocities[:, 0, 0].to(torch.int64).tolist()):
            step = int(state.energies[place]) + 1
            if step > self.starts[number]:
                coords[place, 8] += self.speeds[number]
        return State(coords, state.velocities, state.energies + 1.0, state.forces, state.thermostat)


@pytest.fixture
def deviation():
    system = make_ethanol()
    return BondDeviation(system, measure_distances(system, COORDS[None], system.bonds)[0], tolerance=0.25, far=1.0)


def run(deviation, starts, speeds, settings=SETTINGS):
    n = len(starts)
    coords = COORDS.expand(n, 9, 3).clone()
    numbers = torch.arange(n, dtype=torch.float64)[:, None, None].expand(n, 9, 3).clone()
    state = State(coords, numbers, torch.zeros(n), 0.0 * coords, torch.zeros(n, 2, 0))
    along = COORDS[8] - COORDS[2]
    along = along / along.norm()
    return run_epoch(Stretcher(starts, [speed * along for speed in speeds]), None, state, None, [deviation], settings)


def test_failure_is_counted_at_the_first_look_after_it(deviation):
    """0.01 Angstrom a step from step 30 on: beyond 0.25 after step 55, seen at 60 (55 is not beyond)."""
    epoch = run(deviation, [30, 1000], [0.01, 0.01])
    assert epoch.failure_steps.tolist() == [60, -1]
    assert epoch.has_failed.tolist() == [True, False]
    assert epoch.causes == ("bond", "")


def test_time_does_not_go_on_after_failure(deviation):
    """Back within the tolerance, and out again: the first failure stays."""

    class Swing(Stretcher):
        def step(self, state, evaluate, noise):
            step = int(state.energies[0]) + 1
            coords = COORDS.expand_as(state.coords).clone()
            if 30 <= step < 40 or step >= 80:
                coords[:, 8] += self.speeds[0]
            return State(coords, state.velocities, state.energies + 1.0, state.forces, state.thermostat)

    along = 0.5 * (COORDS[8] - COORDS[2])
    state = State(
        COORDS[None].clone(), torch.zeros(1, 9, 3), torch.zeros(1), torch.zeros(1, 9, 3), torch.zeros(1, 2, 0)
    )
    epoch = run_epoch(Swing([0], [along]), None, state, None, [deviation], SETTINGS)
    assert epoch.failure_steps.tolist() == [30]


def test_all_time_is_carried_by_frames(deviation):
    """Those that stay stand for the whole epoch, and so do the last frames in reach of one that left."""
    epoch = run(deviation, [30, 1000], [0.05, 0.01])
    for replica in (0, 1):
        own = epoch.frames.weights[epoch.frames.replicas == replica]
        assert own.sum().item() == pytest.approx(100.0, abs=20.0)
    lost = epoch.frames.replicas == 0
    assert epoch.frames.steps[lost].tolist()[-3:] == [40, 45, 50]
    absorbed = epoch.frames.weights[lost][-3:]
    assert absorbed.tolist() == pytest.approx([45.0 / 3.0] * 3)  # seen to be lost at step 55
    assert (deviation.measure(epoch.frames.coords) <= 1.0).all()


def test_a_replica_that_only_fails_goes_on_and_one_that_must_stop_does_not(deviation):
    epoch = run(deviation, [30], [0.01])
    assert (epoch.frames.steps == 100).any()
    stopped = run(deviation, [30], [0.01], EpochSettings(100, 5, 20, 0, stop_at_failure=True))
    assert stopped.frames.steps.max() == 40
    assert stopped.failure_steps.tolist() == [60]


def test_where_nobody_is_left_the_epoch_ends(deviation):
    epoch = run(deviation, [0, 0], [0.3, 0.4])
    assert epoch.failure_steps.tolist() == [5, 5]
    assert len(epoch.frames.weights) == 2  # the start of each, which was all that was in reach
    assert epoch.frames.weights.tolist() == [95.0, 95.0]


def simulate_ethanol(n_replicas, spoil):
    """BAOAB with a compiled network; one replica is made NaN at step 10."""
    network = make_network("schnet")
    potential = NeuralPotential(network, ETHANOL)
    masses = torch.tensor([12.0, 12.0, 16.0] + [1.0] * 6)
    evaluate = potential.freeze()
    coords = displace(n_replicas, spread=0.02).float()
    state = begin(evaluate, coords, draw_velocities(masses, 50.0, (n_replicas,), make_generator(1)))
    n_calls = 0

    def spoiled(x):
        nonlocal n_calls
        n_calls += 1
        energies, forces = evaluate(x)
        if spoil and n_calls == 10:
            forces[3] = math.nan
        return energies, forces

    noise = ReplicaNoise([make_generator(2, r) for r in range(n_replicas)], 9, torch.float32, "cpu")
    system = make_ethanol()
    loose = BondDeviation(system, measure_distances(system, COORDS[None], system.bonds)[0], 50.0, 100.0)
    return run_epoch(Langevin(masses, 0.5, 50.0), spoiled, state, noise, [loose], SETTINGS)


def test_a_replica_made_nan_changes_no_number_of_the_others():
    clean, spoiled = simulate_ethanol(7, False), simulate_ethanol(7, True)
    others = torch.arange(7) != 3
    assert spoiled.failure_steps[3] == 15
    assert clean.failure_steps.tolist() == [-1] * 7
    assert torch.equal(clean.state.coords[others], spoiled.state.coords[others])
    assert torch.equal(clean.state.velocities[others], spoiled.state.velocities[others])
    for epoch in (clean, spoiled):
        assert epoch.frames.coords.isfinite().all()
    own = [epoch.frames.coords[epoch.frames.replicas != 3] for epoch in (clean, spoiled)]
    assert torch.equal(*own)
