"""The cycle: who is parked, when phases end, and that an epoch depends on its state alone."""

import dataclasses

import pytest
import torch

from common.files.tensor_file import read_tensors, write_tensors
from common.processes.ranks import Ranks
from common.replicas.setup import draw_starts
from common.stability.run_state import LEARNING, SIMULATION, from_plain, to_plain
from tests.stability.systems import TEMPERATURE, make_plan


@pytest.fixture
def make_cycle(tmp_path, reference_path, potential_path):
    def make(**changes):
        plan = make_plan(tmp_path / "run", reference_path, potential_path)
        plan = dataclasses.replace(plan, cycle=dataclasses.replace(plan.cycle, **changes))
        cycle, parts, reference = plan.build(Ranks(0, 1))
        masses = reference.system.masses.to(parts.dtype)
        starts = draw_starts(reference, False, plan.cycle.n_replicas, TEMPERATURE, (0, "training"), masses)
        return cycle, cycle.begin(*starts)

    return make


def test_those_that_fail_are_parked_where_their_epoch_began(make_cycle):
    cycle, first = make_cycle()
    second, report = cycle.run_epoch(first)
    assert 0 < report.n_failed < 8
    assert int(second.is_parked.sum()) == report.n_failed
    assert torch.equal(second.coords[second.is_parked], first.coords[second.is_parked])
    assert torch.equal(second.velocities[second.is_parked], first.velocities[second.is_parked])
    moved = (second.coords != first.coords).flatten(1).any(1)
    assert torch.equal(moved, ~second.is_parked)
    third, report = cycle.run_epoch(second)
    assert report.n_simulated == 8 - int(second.is_parked.sum())
    assert (third.stable_steps >= second.stable_steps).all()
    assert torch.equal(third.stable_steps[second.is_parked], second.stable_steps[second.is_parked])


def test_simulation_ends_when_enough_are_parked_or_after_so_many_epochs(make_cycle):
    for changes, n_epochs in (({"unstable_share_to_learn": 0.1}, 1), ({"unstable_share_to_learn": 1.0}, 2)):
        cycle, state = make_cycle(**changes)
        for _ in range(n_epochs):
            assert state.phase == SIMULATION
            state, _ = cycle.run_epoch(state)
        assert state.phase == LEARNING


def test_nothing_fails_nothing_is_learnt(make_cycle):
    cycle, state = make_cycle()
    cycle.deviations[0].tolerance = cycle.deviations[0].far = 50.0
    before = [parameter.clone() for parameter in cycle.model.parameters]
    for _ in range(2):
        state, report = cycle.run_epoch(state)
        assert report.n_failed == 0
    assert state.outcome == "nothing to repair"
    assert all(torch.equal(a, b) for a, b in zip(before, cycle.model.parameters, strict=True))


def test_learning_starts_where_replicas_were_left_and_ends_when_all_is_calm(make_cycle):
    cycle, state = make_cycle(max_simulation_epochs=1, max_learning_epochs=9, n_calm_epochs=2, n_cycles=1)
    state, _ = cycle.run_epoch(state)
    cycle.deviations[0].tolerance = cycle.deviations[0].far = 50.0
    starts = state.coords
    state, report = cycle.run_epoch(state)
    assert report.steps
    assert torch.equal(state.coords, starts)
    assert state.outcome == ""
    state, report = cycle.run_epoch(state)
    assert not report.steps
    assert state.outcome == "2 epochs without a failure of any replica"


def test_learning_ends_after_so_many_epochs_and_the_next_cycle_begins(make_cycle):
    cycle, state = make_cycle(max_simulation_epochs=1)
    for _ in range(3):
        state, _ = cycle.run_epoch(state)
    assert (state.cycle, state.phase, state.epoch) == (2, SIMULATION, 1)
    assert state.pool == []
    assert state.optimizer == {}
    state, report = cycle.run_epoch(state)
    assert report.n_simulated == 8  # nobody is parked any more


def test_the_learning_rate_falls_while_nothing_gets_better(make_cycle):
    cycle, state = make_cycle(
        max_simulation_epochs=1, max_learning_epochs=50, patience=0, max_decays=1, learning_rate=1e-9, n_cycles=1
    )
    rates = []
    while not state.outcome:
        state, report = cycle.run_epoch(state)
        rates.append(report.learning_rate)
    assert state.outcome == "the learning rate has fallen as often as it may"
    assert 1e-9 * 0.2 in rates


def test_without_simulation_learning_begins_at_once_and_goes_on_to_the_end(make_cycle):
    cycle, state = make_cycle(max_simulation_epochs=0, unstable_share_to_stop=None, n_cycles=1)
    reports = []
    while not state.outcome:
        state, report = cycle.run_epoch(state)
        reports.append(report)
    assert [report.phase for report in reports] == [LEARNING] * 2
    assert all(report.steps for report in reports)


def test_some_are_sent_back_at_the_start_of_a_cycle(make_cycle):
    cycle, state = make_cycle(reset_share=1.0)
    marks = [torch.full_like(state.coords, 7.0), torch.full_like(state.coords, 9.0)]
    state = dataclasses.replace(state, earlier=[(mark, state.velocities, state.thermostat) for mark in marks], cycle=2)
    sent = cycle._send_back(state)
    values = sent.coords.flatten(1)
    assert {float(row[0]) for row in values} <= {7.0, 9.0}
    kept = dataclasses.replace(state, is_parked=torch.ones(8, dtype=torch.bool))
    assert torch.equal(cycle._send_back(kept).coords, state.coords)


def test_an_epoch_depends_on_its_state_alone(make_cycle, tmp_path):
    """The same state, through a file, gives the same bits in another cycle object."""
    cycle, state = make_cycle(max_simulation_epochs=1)
    for _ in range(2):
        state, _ = cycle.run_epoch(state)
    write_tensors(to_plain(state), tmp_path / "state.pt")
    expected, _ = cycle.run_epoch(state)
    other, _ = make_cycle(max_simulation_epochs=1)
    found, _ = other.run_epoch(from_plain(read_tensors(tmp_path / "state.pt")))
    for a, b in zip(expected.parameters, found.parameters, strict=True):
        assert torch.equal(a, b)
    assert torch.equal(expected.coords, found.coords)
