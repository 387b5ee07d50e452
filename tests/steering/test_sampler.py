"""Trajectories go on where an audit passed; the run length follows the audits."""

import dataclasses

import numpy
import pytest

from common.steering.records import DynamicsFinished, Frame, Model, StructureComputed
from common.steering.sampler import FAILED_ERROR, Run, Sampler, State
from tests.steering.simulation import SETTINGS

MODEL = Model(1, 0)
N_ATOMS = 9


def make_sampler(n_trajectories=1, **changes):
    settings = dataclasses.replace(SETTINGS, **changes)
    return Sampler(settings, [N_ATOMS] * n_trajectories, numpy.random.default_rng(1))


def run(sampler, n_frames=4, energy=-5.0, reason="", model=MODEL, n_steps=None):
    command = sampler.submit(model)
    event = DynamicsFinished(command.task, n_steps or command.n_steps, n_frames, energy if n_frames else None, reason)
    return command, sampler.receive(command, event)


def audit(sampler, error):
    """Judges the run that waits; ``error`` [kcal/mol] per atom, None for a calculation that failed."""
    waiting = sampler.audit_queue.popleft()
    if error is None:
        return sampler.judge(waiting, StructureComputed("calculate-1", "k", None, None, "no"))
    energy = waiting.event.energy + N_ATOMS * error
    return sampler.judge(waiting, StructureComputed("calculate-1", "k", energy, 10.0, ""))


def test_a_passed_audit_goes_on_from_there_and_a_failed_one_returns_to_the_start():
    sampler = make_sampler(energy_tolerance=0.1)
    first, _ = run(sampler)
    assert (first.origin, first.is_repeat) == (None, False)
    assert audit(sampler, 0.09).passed
    second, _ = run(sampler)
    assert (second.origin, second.is_repeat) == (first.task, False)
    assert sampler.trajectories[0].n_steps == first.n_steps
    assert audit(sampler, -0.05).passed
    third, _ = run(sampler)
    assert (third.origin, third.is_repeat) == (second.task, False)
    assert not audit(sampler, 0.1).passed  # less than the tolerance, not as much
    fourth, _ = run(sampler)
    assert (fourth.origin, fourth.is_repeat) == (None, True)
    assert sampler.trajectories[0].n_steps == 0


def test_the_end_is_audited_and_is_no_candidate():
    sampler = make_sampler()
    command, frames = run(sampler, n_frames=4)
    assert frames == [Frame(command.task, i) for i in range(3)]
    assert sampler.audit_queue[0].end == Frame(command.task, 3)
    assert sampler.trajectories[0].state is State.IN_AUDIT
    assert sampler.list_idle() == []


def test_no_run_gives_more_frames_than_its_share_and_they_are_spread_over_it():
    command, frames = run(make_sampler(n_frames_per_run=3), n_frames=10)  # the last is audited
    assert frames == [Frame(command.task, i) for i in (2, 5, 8)]
    command, frames = run(make_sampler(n_frames_per_run=3, audit=False), n_frames=10)
    assert frames == [Frame(command.task, i) for i in (2, 5, 9)]
    _, frames = run(make_sampler(), n_frames=1)
    assert frames == []


def test_runs_by_models_that_were_replaced_are_not_audited_and_run_anew():
    sampler = make_sampler(n_trajectories=3, energy_tolerance=0.1)
    first, _ = run(sampler)
    assert audit(sampler, 0.01).passed
    run(sampler)
    late = sampler.submit(MODEL)
    new, _ = run(sampler, model=Model(2, 1))
    assert len(sampler.audit_queue) == 2
    sampler.start_round(2)
    assert [waiting.command.task for waiting in sampler.audit_queue] == [new.task]
    frames = sampler.receive(late, DynamicsFinished(late.task, 20, 4, -5.0, ""))
    assert frames == [Frame(late.task, i) for i in range(4)]  # the end, too: nobody audits it
    assert len(sampler.audit_queue) == 1
    assert len(sampler.list_idle()) == 2
    origins = {sampler.submit(Model(2, 0)).origin for _ in range(2)}
    assert origins <= {None, first.task}
    assert sampler.trajectories[first.trajectory].validated == first.task


def test_runs_much_shorter_than_runs_may_be_now_are_run_anew():
    sampler = make_sampler(n_trajectories=8, n_quantum_workers=2, energy_tolerance=0.1)
    for _ in range(6):
        run(sampler)
    broken, _ = run(sampler, n_steps=10, reason="atoms overlap")
    assert not sampler.knows_run_length
    for _ in range(3):
        audit(sampler, 0.02)
    assert sampler.knows_run_length
    assert sampler.run_length == 100  # 5 times the 20 of those that wait
    assert [waiting.command.task for waiting in sampler.audit_queue] == [broken.task]  # it says that the model is wrong
    assert len(sampler.list_idle()) == 7


def test_without_audits_a_trajectory_goes_on_at_once_and_all_frames_count():
    sampler = make_sampler(audit=False)
    command, frames = run(sampler, n_frames=4)
    assert command.n_steps == SETTINGS.max_run_length
    assert frames == [Frame(command.task, i) for i in range(4)]
    following, _ = run(sampler)
    assert (following.origin, following.is_repeat) == (command.task, False)
    broken, _ = run(sampler, n_frames=2, reason="atoms overlap")
    assert broken.origin == following.task
    assert sampler.submit(MODEL).origin is None
    assert not sampler.audit_queue


def test_a_calculation_that_fails_is_an_audit_that_failed():
    sampler = make_sampler()
    run(sampler)
    found = audit(sampler, None)
    assert (found.error, found.passed) == (FAILED_ERROR, False)
    assert pytest.approx(230.605478) == FAILED_ERROR  # 10 eV
    assert sampler.trajectories[0].validated is None


def test_run_length_follows_the_median_error_a_step():
    sampler = make_sampler(n_quantum_workers=2, energy_tolerance=0.1, min_run_length=20, max_run_length=800)
    for _ in range(2):
        run(sampler)
        audit(sampler, 0.02)
        assert sampler.run_length == 20  # not more audits than workers
    run(sampler)
    audit(sampler, 0.04)
    assert sampler.run_length == 100  # 0.1 / median(0.02, 0.02, 0.04) * 20
    for _ in range(8):  # the last 4 * 2 count, however long the runs were
        run(sampler, n_steps=100)
        audit(sampler, 0.05)
    assert sampler.run_length == pytest.approx(200, abs=1)  # a whole number, by rounding perhaps the one below


@pytest.mark.parametrize(("error", "expected"), [(1e-9, 800), (0.0, 800), (50.0, 20)])
def test_run_length_stays_in_its_limits(error, expected):
    sampler = make_sampler(n_quantum_workers=2)
    for _ in range(4):
        run(sampler)
        audit(sampler, error)
    assert sampler.run_length == expected


def test_audits_of_older_models_are_forgotten():
    sampler = make_sampler(n_quantum_workers=1, energy_tolerance=0.1)
    for round_ in (1, 1, 3, 3):
        run(sampler, model=Model(round_, 0))
        audit(sampler, 0.2 if round_ == 1 else 0.02)
    assert sampler.run_length == 100  # 0.1 / 0.02 * 20: those of round 1 count no more


def test_a_run_that_breaks_down_at_once_fails_and_shortens_the_next():
    sampler = make_sampler(n_quantum_workers=1)
    for _ in range(2):
        run(sampler)
        audit(sampler, 0.001)
    assert sampler.run_length == 800
    for _ in range(2):
        _, frames = run(sampler, n_frames=0, reason="not finite")
        assert frames == []
    assert sampler.run_length < 800
    assert sampler.trajectories[0].n_failures == 2
    assert not sampler.audit_queue


def test_failures_in_a_row_retire_a_trajectory_and_progress_forgives():
    sampler = make_sampler(max_failures=3)
    run(sampler, n_frames=0)
    sampler.give_up(sampler.submit(MODEL))
    run(sampler)
    audit(sampler, 5.0)  # a failed audit is progress: the calculation worked
    assert sampler.trajectories[0].n_failures == 0
    run(sampler)
    sampler.refuse(sampler.audit_queue.popleft())
    for _ in range(2):
        assert not sampler.is_exhausted
        run(sampler, n_frames=0)
    assert sampler.is_exhausted


def test_idle_trajectories_are_taken_by_chance():
    sampler = make_sampler(n_trajectories=6)
    taken = [sampler.submit(MODEL).trajectory for _ in range(6)]
    assert sorted(taken) == list(range(6))
    assert taken != sorted(taken)


def test_the_end_of_a_run_is_its_last_frame():
    command = make_sampler().submit(MODEL)
    assert Run(command, DynamicsFinished(command.task, 40, 4, 0.0, "")).end == Frame(command.task, 3)
