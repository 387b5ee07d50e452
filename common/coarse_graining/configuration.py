"""The settings of a training: the dictionary of the original code, key for key, and what this one adds.

https://github.com/jakublala/coarsegrained-md-neural-ode (README of 30 August 2022) trains by
``Trainer(config).train()``; every key of ``config`` keeps its meaning here.
"""

import collections.abc
import dataclasses
import pathlib
import typing

from common.coarse_graining.gradients import GRADIENTS
from common.coarse_graining.losses import LOSSES
from common.coarse_graining.optimizers import OPTIMIZERS, SCHEDULERS
from common.pair_networks.perceptron import ACTIVATIONS
from common.pair_networks.potential import INPUTS
from common.processes.devices import check_device
from common.reporting.console import suggest_name

DTYPES = ("float64", "float32")

METHODS = ("trajectory", "forces", "finite-differences")
"""What is matched: frames to come; the forces stored with frames; or those of finite differences of velocities."""


@dataclasses.dataclass(frozen=True)
class Config:
    """The keys of the original, in its order. Frequencies are in epochs unless said otherwise; 0 means never."""

    folder: str  # trajectories: train/, validation/, test/ below it, ours or files of LAMMPS
    load_folder: str | None  # start from the potential of this run; None: from random weights
    device: str  # "cpu", "cuda"
    dtype: str  # "float64", "float32"
    epochs: int  # how many
    start_epoch: int  # the counter begins after this one
    nn_depth: int  # hidden layers
    nn_width: int  # numbers in each
    batch_length: int  # frames of a training window after its first
    eval_batch_length: int  # the same for validation and test
    batch_size: int  # windows of one step of the optimiser
    shuffle: bool  # windows in random order, another one each epoch
    num_workers: int  # processes that read files; 0: this one
    optimizer: str  # a name of torch.optim
    learning_rate: float  # at the start, or, of CyclicLR, at most
    scheduler: str | None  # "LambdaLR", "ExponentialLR", "CyclicLR", "CosineAnnealingLR" or None
    scheduling_factor: float  # of the scheduler
    loss_func: str  # "all", "final"; with "-mse" squared, with "-pos" without momenta
    itr_printing_freq: int  # [steps of the optimiser] between lines on the console
    printing_freq: int  # between lines on the console
    plotting_freq: int  # between figures of all components, true against predicted
    stopping_freq: int  # between looks whether the loss still falls
    scheduling_freq: int  # between steps of the scheduler
    evaluation_freq: int  # between evaluations on the validation split
    checkpoint_freq: int  # between saved potentials


@dataclasses.dataclass(frozen=True)
class Further:
    """What the original has not; its own method and gradient are "trajectory" and "adjoint"."""

    inputs: str = "points"  # what the network is told: "points", "averaged", "symmetric", "body-frame", "raw"
    n_points: int = 6  # anchor points of a body, at least, of "points"
    n_radial: int = 8  # Gaussians of their distances
    activation: str = "silu"  # "silu", "tanh", "softplus", "sigmoid"
    method: str = "trajectory"  # "trajectory", "forces", "finite-differences"
    gradient: str = "adjoint"  # "adjoint", "direct"
    steps_per_frame: int = 1  # of the integrator, from frame to frame
    frame_stride: int = 1  # use every so many frames
    batch_length_step: int = 0  # frames by which windows grow
    batch_length_freq: int = 1  # [epochs] after which they grow
    batches_per_epoch: int = 0  # steps of the optimiser in an epoch; 0: all windows once
    balance: float = 0.5  # how much more bodies far apart count: 0 not at all, 1 until all distances count alike
    asymptote: float = 0.1  # weight of a tail like r⁻⁶ beyond the distances of the data; 0 for charged bodies
    max_gradient_norm: float = 1.0  # longer gradients are shortened
    stopping_look_back: int = 1  # looks back, of which the loss must have fallen
    seed: int = 0  # of weights and order


def read_config(plain: collections.abc.Mapping[str, typing.Any]) -> Config:
    """The configuration from a dictionary of exactly its keys.

    Raises:
        ValueError: a key is unknown or missing, or a value is not allowed; the message names it.
    """
    known = [field.name for field in dataclasses.fields(Config)]
    for name in plain:
        if name not in known:
            raise ValueError(f"config: there is no key {name!r}{suggest_name(name, known)}")
    missing = [name for name in known if name not in plain]
    if missing:
        spare = [name for name in plain if name.lower().replace("-", "_") == missing[0]]
        raise ValueError(f"config: the key {missing[0]!r} is missing{suggest_name(missing[0], spare or known)}")
    config = Config(**plain)
    check_config(config)
    return config


def check_config(config: Config) -> None:
    """Sees that every value is allowed.

    Raises:
        ValueError: one is not; the message names it and says what is.
    """
    for name, least in {
        "epochs": 0, "start_epoch": 0, "nn_depth": 0, "nn_width": 1, "batch_length": 1, "eval_batch_length": 1,
        "batch_size": 1, "num_workers": 0, "itr_printing_freq": 0, "printing_freq": 0, "plotting_freq": 0,
        "stopping_freq": 0, "scheduling_freq": 0, "evaluation_freq": 0, "checkpoint_freq": 0,
    }.items():  # fmt: skip
        _check_number(name, getattr(config, name), int, least)
    _check_number("learning_rate", config.learning_rate, float, 0.0, is_open=True)
    _check_number("scheduling_factor", config.scheduling_factor, float, 0.0, is_open=True)
    if not isinstance(config.shuffle, bool):
        raise ValueError(f"shuffle = {config.shuffle!r}: must be True or False")
    _check_name("dtype", config.dtype, DTYPES)
    if config.optimizer.lower() not in [name.lower() for name in OPTIMIZERS]:
        _check_name("optimizer", config.optimizer, OPTIMIZERS)
    _check_name("loss_func", config.loss_func, LOSSES)
    if config.scheduler is not None:
        _check_name("scheduler", config.scheduler, SCHEDULERS)
    check_device(config.device)
    if not pathlib.Path(config.folder).is_dir():
        raise FileNotFoundError(f"folder = {config.folder!r}: no such folder; make trajectories, or say where they are")


def check_further(further: Further, config: Config) -> None:
    """As :func:`check_config`, of what is added."""
    _check_name("inputs", further.inputs, INPUTS)
    _check_name("activation", further.activation, ACTIVATIONS)
    _check_name("method", further.method, METHODS)
    _check_name("gradient", further.gradient, GRADIENTS)
    for name, least in {
        "n_points": 1, "n_radial": 2, "steps_per_frame": 1, "frame_stride": 1, "batch_length_step": 0,
        "batch_length_freq": 1, "batches_per_epoch": 0, "stopping_look_back": 1, "seed": 0,
    }.items():  # fmt: skip
        _check_number(name, getattr(further, name), int, least)
    _check_number("balance", further.balance, float, 0.0)
    _check_number("asymptote", further.asymptote, float, 0.0)
    _check_number("max_gradient_norm", further.max_gradient_norm, float, 0.0, is_open=True)
    if further.method != "trajectory" and not LOSSES[config.loss_func].with_momenta:
        raise ValueError(
            f"loss_func = {config.loss_func!r}: means positions, which method = {further.method!r} has not"
        )


def _check_number(name: str, value: typing.Any, kind: type, least: float, is_open: bool = False) -> None:
    is_number = isinstance(value, int | float if kind is float else int) and not isinstance(value, bool)
    if not is_number or not value < float("inf") or not (value > least if is_open else value >= least):
        what = "an integer" if kind is int else "a number"
        raise ValueError(f"{name} = {value!r}: must be {what} {'above' if is_open else 'of at least'} {least:g}")


def _check_name(name: str, value: str, known: collections.abc.Iterable[str]) -> None:
    if value not in known:
        raise ValueError(f"{name} = {value!r}: there is no such one{suggest_name(str(value), known)}")
