"""Replicas until their first failure."""

import dataclasses

import numpy
import torch

from common.replicas.evaluation import evaluate
from common.replicas.setup import make_deviations
from tests.replicas.findings import DEVIATIONS, MOTION, SETTINGS, load, make_findings


def test_nobody_lives_on_after_a_failure(findings):
    evaluation = findings.evaluation
    assert evaluation.has_failed.any()
    assert (evaluation.times[~evaluation.has_failed] == SETTINGS.horizon).all()
    for frames in (evaluation.frames, evaluation.fast):
        times = frames.steps.numpy() * MOTION.time_step / 1000.0
        assert (times <= evaluation.times[frames.replicas.numpy()]).all()
    assert [bool(cause) for cause in evaluation.causes] == evaluation.has_failed.tolist()


def test_time_is_counted_in_steps_of_the_looks(findings):
    steps = findings.evaluation.times[findings.evaluation.has_failed] * 1000.0 / MOTION.time_step
    numpy.testing.assert_allclose(steps % SETTINGS.check_interval, 0.0, atol=1e-9)


def test_frames_are_kept_at_their_intervals(findings):
    assert set(findings.evaluation.frames.steps.tolist()) <= set(range(20, 121, 20))
    assert set(findings.evaluation.fast.steps.tolist()) <= {10, 20, 30, 40}
    assert findings.evaluation.frames.coords.isfinite().all()


def test_the_same_replica_lives_the_same_in_any_company(made_up_reference, made_up_potential, findings):
    """Starts, velocities and noise belong to a replica, so that candidates are compared pair by pair."""
    deviations = make_deviations(made_up_reference, DEVIATIONS)
    again = evaluate(load(made_up_reference, made_up_potential), made_up_reference, deviations, MOTION, SETTINGS)
    numpy.testing.assert_array_equal(again.times, findings.evaluation.times)
    assert torch.equal(again.frames.coords, findings.evaluation.frames.coords)


def test_another_seed_is_another_evaluation(made_up_reference, made_up_potential, findings):
    other = make_findings(made_up_reference, made_up_potential, seed=4)
    assert not torch.equal(other.evaluation.last, findings.evaluation.last)


def test_without_velocities_there_is_one_part(made_up_reference, made_up_potential):
    settings = dataclasses.replace(SETTINGS, velocity_window=0)
    deviations = make_deviations(made_up_reference, DEVIATIONS)
    evaluation = evaluate(load(made_up_reference, made_up_potential), made_up_reference, deviations, MOTION, settings)
    assert len(evaluation.fast.steps) == 0
    assert len(evaluation.frames.steps) > 0


def test_where_it_failed_is_where_it_was_seen(made_up_reference, findings):
    (bond,) = make_deviations(made_up_reference, DEVIATIONS)
    deviations = bond.measure(findings.evaluation.last.double())
    assert bond.has_failed(deviations).tolist() == findings.evaluation.has_failed.tolist()
