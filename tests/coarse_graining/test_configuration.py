"""The original's keys, all of them and no others; what is wrong is named with what there is."""

import dataclasses

import pytest

from common.coarse_graining.configuration import Config, Further, check_further, read_config
from tests.coarse_graining.samples import make_config

KEYS = [
    "folder", "load_folder", "device", "dtype", "epochs", "start_epoch", "nn_depth", "nn_width", "batch_length",
    "eval_batch_length", "batch_size", "shuffle", "num_workers", "optimizer", "learning_rate", "scheduler",
    "scheduling_factor", "loss_func", "itr_printing_freq", "printing_freq", "plotting_freq", "stopping_freq",
    "scheduling_freq", "evaluation_freq", "checkpoint_freq",
]  # fmt: skip
"""Of run-example.py in the README of the original."""


def test_the_keys_are_the_originals():
    assert [field.name for field in dataclasses.fields(Config)] == KEYS


def test_a_dictionary_of_all_keys_is_read(tmp_path):
    assert dataclasses.asdict(read_config(make_config(tmp_path))) == make_config(tmp_path)


@pytest.mark.parametrize("name", KEYS)
def test_a_missing_key_is_named(name, tmp_path):
    config = make_config(tmp_path)
    del config[name]
    with pytest.raises(ValueError, match=f"the key '{name}' is missing"):
        read_config(config)


def test_an_unknown_key_is_named_with_the_nearest(tmp_path):
    with pytest.raises(ValueError, match="no key 'learnin_rate'; did you mean 'learning_rate'"):
        read_config({**make_config(tmp_path), "learnin_rate": 0.1})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("optimizer", "Adamm", "optimizer = 'Adamm'.*did you mean 'Adam'.*LBFGS"),
        ("scheduler", "StepLR", "scheduler = 'StepLR'.*LambdaLR, ExponentialLR, CyclicLR"),
        ("loss_func", "some", "loss_func = 'some'.*there are all, final"),
        ("device", "cuda:7", "device = 'cuda:7'"),
        ("dtype", "float16", "dtype = 'float16'"),
        ("epochs", -1, "epochs = -1: must be an integer of at least 0"),
        ("batch_size", 0, "batch_size = 0: must be an integer of at least 1"),
        ("batch_size", True, "batch_size = True"),
        ("learning_rate", 0.0, r"learning_rate = 0\.0: must be a number above 0"),
        ("learning_rate", float("nan"), "learning_rate = nan"),
        ("scheduling_factor", float("inf"), "scheduling_factor = inf"),
        ("shuffle", 1, "shuffle = 1: must be True or False"),
    ],
)
def test_wrong_values_are_named(name, value, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_config(make_config(tmp_path, **{name: value}))


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere.*no such folder"):
        read_config(make_config(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": "all"}, "inputs = 'all'.*points"),
        ({"method": "magic"}, "method = 'magic'.*trajectory, forces"),
        ({"gradient": "no"}, "gradient = 'no'.*adjoint, direct"),
        ({"activation": "relu"}, "activation = 'relu'.*silu"),
        ({"steps_per_frame": 0}, "steps_per_frame = 0"),
        ({"balance": -1.0}, "balance = -1.0"),
    ],
)
def test_wrong_further_settings_are_named(changes, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        check_further(Further(**changes), read_config(make_config(tmp_path)))


def test_forces_have_no_positions(tmp_path):
    with pytest.raises(ValueError, match="loss_func = 'all-pos': means positions"):
        check_further(Further(method="forces"), read_config(make_config(tmp_path, loss_func="all-pos")))
