"""The pool, its predictions, and the choices; the rule itself is tested with selection."""

import dataclasses

import numpy
import pytest

from common.steering.records import Frame, FramesPredicted
from common.steering.selector import Selector
from tests.steering.simulation import SETTINGS


def make_selector(**changes):
    settings = dataclasses.replace(SETTINGS, **{"chunk_size": 10, "n_chunks": 1, **changes})
    return Selector(settings, numpy.random.default_rng(3))


def make_frames(n, task="sample-1"):
    return [Frame(task, i) for i in range(n)]


def predict(selector, command, loudest=None):
    """Random predictions; the members quarrel most over ``loudest``."""
    random = numpy.random.default_rng(len(command.task))
    energies = random.normal(size=(len(command.frames), 3))
    for i, frame in enumerate(command.frames):
        if frame == loudest:
            energies[i] *= 100.0
    disagreement = tuple(energies.std(axis=1).tolist())
    selector.store(FramesPredicted(command.task, tuple(tuple(row) for row in energies.tolist()), disagreement))


def test_nothing_is_predicted_before_all_members_are_there():
    selector = make_selector()
    selector.add(make_frames(30), 1)
    assert selector.submit(is_starving=True) == []
    selector.start_round(1)
    assert [len(each.frames) for each in selector.submit(is_starving=False)] == [10, 10, 10]


def test_chunks_are_full_unless_nothing_else_will_come():
    selector = make_selector()
    selector.start_round(1)
    selector.submit(is_starving=False)
    selector.add(make_frames(14), 1)
    (chunk,) = selector.submit(is_starving=False)
    assert chunk.frames == tuple(make_frames(10))
    (rest,) = selector.submit(is_starving=True)
    assert rest.frames == tuple(make_frames(14)[10:])
    assert rest.round == 1


def test_the_loudest_quarrel_is_chosen_first():
    selector = make_selector()
    selector.start_round(1)
    selector.add(make_frames(20), 1)
    for command in selector.submit(is_starving=True):
        assert selector.is_choosing
        selector.choose(5, is_starving=False)
        assert not selector.choices  # not before all chunks are there
        predict(selector, command, loudest=Frame("sample-1", 13))
    selector.choose(5, is_starving=False)
    assert len(selector.choices) == 5
    assert selector.choices[0] == (Frame("sample-1", 13), 1)


def test_too_small_a_pool_waits_unless_nothing_else_will_come():
    selector = make_selector(n_chunks=2)
    selector.start_round(1)
    selector.add(make_frames(10), 1)
    (command,) = selector.submit(is_starving=False)
    predict(selector, command)
    selector.choose(6, is_starving=False)
    assert not selector.choices
    selector.choose(6, is_starving=True)
    assert len(selector.choices) == 3  # half of what a pool of 20 would give


@pytest.mark.parametrize("uncertainty", ["energies", "random"])
def test_frames_by_the_present_models_are_waited_for_and_older_ones_may_be_chosen(uncertainty):
    selector = make_selector(uncertainty=uncertainty, max_pool=1000)
    selector.add(make_frames(40, "sample-1"), 1)
    selector.start_round(2)
    for command in selector.submit(is_starving=False):
        predict(selector, command)
    selector.choose(30, is_starving=False)
    assert not selector.choices
    selector.add(make_frames(10, "sample-2"), 2)
    for command in selector.submit(is_starving=False):
        predict(selector, command)
    selector.choose(10, is_starving=False)
    assert len(selector.choices) == 10
    assert {choice.frame.task for choice in selector.choices} == {"sample-1", "sample-2"}


def test_no_more_is_chosen_than_is_wanted_and_not_before_the_last_choice_is_taken():
    selector = make_selector()
    selector.start_round(1)
    selector.add(make_frames(40), 1)
    for command in selector.submit(is_starving=True):
        predict(selector, command)
    selector.choose(0, is_starving=True)
    assert not selector.choices
    selector.choose(2, is_starving=True)
    first = list(selector.choices)
    selector.choose(2, is_starving=True)
    assert list(selector.choices) == first


def test_new_models_judge_the_old_choices_anew():
    selector = make_selector(max_pool=1000)
    selector.start_round(1)
    selector.add(make_frames(30), 1)
    for command in selector.submit(is_starving=True):
        predict(selector, command)
    selector.choose(4, is_starving=True)
    taken = selector.choices.popleft().frame
    selector.start_round(2)
    assert not selector.choices
    again = [frame for command in selector.submit(is_starving=False) for frame in command.frames]
    assert sorted(again) == sorted(set(make_frames(30)) - {taken})  # those dropped as alike come again, too


def test_a_prediction_by_old_models_is_ignored():
    selector = make_selector()
    selector.start_round(1)
    selector.add(make_frames(10), 1)
    (old,) = selector.submit(is_starving=False)
    selector.start_round(2)
    predict(selector, old)
    selector.choose(3, is_starving=True)
    assert not selector.choices
    (new,) = selector.submit(is_starving=False)
    assert (new.round, new.frames) == (2, old.frames)
    predict(selector, new)
    selector.choose(3, is_starving=True)
    assert {choice.round for choice in selector.choices} == {2}


def test_frames_of_much_older_models_are_forgotten():
    selector = make_selector()
    selector.add(make_frames(10, "sample-1"), 1)
    selector.start_round(1)
    selector.add(make_frames(10, "sample-2"), 2)
    selector.start_round(3)
    (chunk,) = selector.submit(is_starving=True)
    assert {frame.task for frame in chunk.frames} == {"sample-2"}


def test_the_pool_is_bounded_and_the_newest_stay():
    selector = make_selector(max_pool=20)
    selector.add(make_frames(50), 1)
    selector.start_round(1)
    (chunk,) = selector.submit(is_starving=True)
    assert chunk.frames == tuple(make_frames(50)[40:])


def test_what_is_not_finite_is_forgotten():
    selector = make_selector()
    selector.start_round(1)
    selector.add(make_frames(10), 1)
    (command,) = selector.submit(is_starving=False)
    energies = numpy.random.default_rng(0).normal(size=(10, 3))
    energies[4, 1] = numpy.nan
    selector.store(FramesPredicted(command.task, tuple(tuple(row) for row in energies), (1.0,) * 9 + (numpy.inf,)))
    assert selector.n_pooled == 8


def test_a_prediction_that_failed_is_asked_for_again():
    selector = make_selector()
    selector.start_round(1)
    selector.add(make_frames(10), 1)
    (command,) = selector.submit(is_starving=False)
    selector.put_back(command.task)
    (again,) = selector.submit(is_starving=False)
    assert again.frames == command.frames
    assert again.task != command.task


def test_the_choice_by_chance_needs_no_prediction():
    selector = make_selector(uncertainty="random")
    selector.start_round(1)
    selector.add(make_frames(10), 1)
    assert selector.submit(is_starving=True) == []
    selector.choose(4, is_starving=False)
    chosen = [choice.frame for choice in selector.choices]
    assert len(set(chosen)) == 4
    assert chosen != sorted(chosen)
    assert selector.n_pooled == 6
