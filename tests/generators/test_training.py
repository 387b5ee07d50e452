"""Training: it learns, it can be resumed to the last bit, parts and ranks change nothing."""

import math

import numpy
import pytest
import torch

from common.generators.conditions import count_types
from common.generators.training import EpochLosses, Training, TrainingData, TrainingSettings
from common.processes.ranks import Ranks
from tests.generators.made_up import CONDITIONS, make_geometry, make_network, make_settings, make_table

SMILES = ["C", "CC", "CCO", "C#N", "C=O", "CO", "CF", "CN"]
ALONE = Ranks(0, 1)

PARTS_TOLERANCE = 2e-6  # float32: the same sums in another order


def make_data(settings):
    table = make_table(SMILES, settings)
    values = {}
    if settings.conditions:
        random = numpy.random.default_rng(0)
        counts = count_types([make_geometry(one).numbers for one in SMILES], settings.types)
        values = {
            "gap": random.uniform(0.0, 4.0, (len(table), 1)),
            "fingerprint": random.normal(size=(len(table), 4)),
            "composition": counts.astype(float),
        }
    return TrainingData(table, values)


def make_training(n_epochs=4, conditions=CONDITIONS, ranks=ALONE, **changes):
    settings = make_settings(conditions=conditions)
    plain = {"batch_size": 3, "n_drawn": 4, "learning_rate": 0.01, "condition_dropout": 0.3, "averaging": 0.9}
    training = Training(make_network(settings), TrainingSettings(**{**plain, **changes}), n_epochs, ranks)
    return training, make_data(settings)


def get_weights(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


@pytest.mark.parametrize("schedule", ["plateau", "cosine"])
def test_the_losses_fall(schedule):
    training, data = make_training(n_epochs=12, schedule=schedule)
    before = training.validate(data)
    for _ in range(12):
        training.run_epoch(data)
    after = training.validate(data)
    assert after.types < 0.8 * before.types
    assert after.distances < 0.9 * before.distances


def test_a_resumed_training_ends_in_the_weights_of_an_uninterrupted_one():
    whole, data = make_training(schedule="cosine", n_warmup=3, max_norm=1.0)
    for _ in range(4):
        whole.run_epoch(data)
        whole.heed(whole.validate(data).total)
    first, _ = make_training(schedule="cosine", n_warmup=3, max_norm=1.0)
    for _ in range(2):
        first.run_epoch(data)
        first.heed(first.validate(data).total)
    second, _ = make_training(schedule="cosine", n_warmup=3, max_norm=1.0)
    second.set_state(first.get_state())
    for _ in range(2):
        second.run_epoch(data)
        second.heed(second.validate(data).total)
    assert torch.equal(get_weights(second.network), get_weights(whole.network))
    assert torch.equal(get_weights(second.averaged), get_weights(whole.averaged))
    assert second.best == whole.best


def test_another_seed_goes_another_way():
    first, data = make_training()
    second, _ = make_training(seed=1)
    assert first.run_epoch(data) != second.run_epoch(data)


def test_a_batch_in_parts_is_the_same_batch():
    """One pair too many for a part: every step is a part of its own."""
    whole, data = make_training(conditions=())
    parts, _ = make_training(conditions=(), max_pairs=1)
    losses = whole.run_epoch(data), parts.run_epoch(data)
    assert losses[1].total == pytest.approx(losses[0].total, rel=1e-5)
    torch.testing.assert_close(
        get_weights(parts.network), get_weights(whole.network), rtol=0, atol=100 * PARTS_TOLERANCE
    )  # Adam divides by the size of a gradient: where that is nothing but rounding, weights may go either way


def test_gradients_of_ranks_add_up_to_those_of_the_batch():
    """Two ranks that hold the same molecules: the mean over both is the mean over one."""

    class Twice(Ranks):
        def sum_in_place(self, tensor):
            return tensor.mul_(2.0)

    alone, data = make_training(conditions=(), batch_size=8)
    twice, _ = make_training(conditions=(), batch_size=8, ranks=Twice(0, 1))
    assert alone.run_epoch(data).total == pytest.approx(twice.run_epoch(data).total, rel=1e-6)


def test_the_learning_rate_follows_its_schedule():
    training, data = make_training(n_epochs=4, schedule="cosine", least_learning_rate=0.0, batch_size=8)
    rates = []
    for _ in range(4):
        training.run_epoch(data)
        rates.append(training.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.005 * (1.0 + math.cos(math.pi * i / 4)) for i in range(4)])
    plateau, _ = make_training(patience=1, least_learning_rate=0.004)
    for loss in (1.0, 2.0, 2.0, 2.0, 2.0, 0.5):
        plateau.heed(loss)
        rates.append(plateau.rate)
    assert rates[4:] == pytest.approx([0.01, 0.01, 0.005, 0.005, 0.004, 0.004])


def test_the_average_follows_the_weights():
    training, data = make_training(averaging=0.0)
    training.run_epoch(data)
    assert torch.equal(get_weights(training.averaged), get_weights(training.network))
    slow, _ = make_training(averaging=0.9)
    slow.run_epoch(data)
    assert not torch.equal(get_weights(slow.averaged), get_weights(slow.network))


def test_validation_is_the_same_every_time():
    training, data = make_training()
    first = training.validate(data)
    assert isinstance(first, EpochLosses)
    assert training.validate(data) == first
