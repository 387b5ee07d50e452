"""When the ensemble is trained, and which models there are."""

import dataclasses

from common.steering.records import Model
from common.steering.trainer import Trainer
from tests.steering.simulation import SETTINGS


def make_trainer(**changes):
    return Trainer(dataclasses.replace(SETTINGS, **changes), n_initial=10)


def finish(trainer, round_):
    return [trainer.store(Model(round_, member)) for member in range(3)]


def test_the_first_round_is_due_at_once_and_the_next_after_enough_labels():
    trainer = make_trainer()
    assert trainer.needs_training(10)
    trainer.submit(10)
    assert not trainer.needs_training(30)  # one is under way
    assert finish(trainer, 1) == [False, False, True]
    assert not trainer.needs_training(17)
    assert trainer.needs_training(18)
    assert trainer.needs_training(29)  # never a question of remainders


def test_models_by_round():
    trainer = make_trainer()
    trainer.submit(10)
    assert (trainer.sampling_model, trainer.complete_round) == (None, None)
    trainer.store(Model(1, 2))
    assert (trainer.sampling_model, trainer.complete_round) == (Model(1, 2), None)
    finish(trainer, 1)
    assert (trainer.sampling_model, trainer.complete_round) == (Model(1, 2), 1)
    trainer.submit(18)
    trainer.store(Model(2, 1))
    assert (trainer.sampling_model, trainer.complete_round) == (Model(2, 1), 1)
    assert not trainer.store(Model(1, 0))  # late, of the round before
    assert trainer.sampling_model == Model(2, 1)


def test_seeds_depend_on_campaign_round_member_and_attempt():
    seeds = set()
    for seed in (1, 2):
        trainer = make_trainer(seed=seed)
        for _ in range(2):
            commands = trainer.submit(10)
            seeds |= {each.seed for each in commands}
            seeds.add(trainer.retry(commands[0], "x")[0].seed)
    assert len(seeds) == 2 * 2 * 4
    assert make_trainer().submit(10) == make_trainer().submit(10)


def test_labels_of_a_round_that_was_cancelled_are_trained_on_in_the_next():
    trainer = make_trainer()
    trainer.submit(10)
    finish(trainer, 1)
    trainer.submit(20)
    trainer.cancel()
    assert not trainer.is_under_way
    assert trainer.n_labels_at_start == 10
    assert trainer.needs_training(20)


def test_a_failure_is_forgotten_when_asked():
    trainer = make_trainer()
    command = trainer.submit(10)[0]
    (again,) = trainer.retry(command, "nan")
    assert trainer.retry(again, "nan") == []
    assert trainer.failure == "train-1-0-2: nan"
    trainer.forget_failure()
    assert trainer.failure == ""
    assert trainer.needs_training(10)
