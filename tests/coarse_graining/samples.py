"""Short trajectories of pairs of small bodies, and the settings of a short training, for the tests of this room."""

import functools
import pathlib
import typing

import torch

from common.body_trajectories.simulation import Protocol, simulate, split_trajectories
from common.body_trajectories.systems import BodySystem
from common.body_trajectories.trajectories import Trajectories, save_trajectories
from common.pair_networks.potential import LearnedPotential, Shape, build_learned_potential
from common.potentials.body_pairs import Spring
from tests.bodies import LENNARD_JONES, make_hexagon

PROTOCOL = Protocol(
    kt=0.3, friction=0.5, equilibration_step=0.02, equilibration_time=4.0, step=0.02, interval=0.1, n_frames=21, seed=0
)


@functools.cache
def make_trajectories() -> Trajectories:
    body = make_hexagon()
    system = BodySystem((body, body), (LENNARD_JONES,), Spring(1.0, 2.2), units="reduced")
    return simulate(system, 16, PROTOCOL, "pair")


def make_learned(inputs: str = "points", dtype: torch.dtype = torch.float64) -> LearnedPotential:
    """With weights that are not those of the start."""
    learned = build_learned_potential(make_trajectories(), Shape(inputs=inputs, width=8), 0, dtype)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for values in learned.parameters():
            values.add_(0.2 * torch.randn(values.shape, generator=generator, dtype=torch.float64).to(dtype))
    return learned


def write_data(folder: pathlib.Path) -> pathlib.Path:
    save_trajectories(folder, split_trajectories(make_trajectories(), (0.2, 0.2)), {})
    return folder


def make_config(folder: pathlib.Path, **changes) -> dict[str, typing.Any]:
    """All keys of the original, for a training of seconds."""
    config = {
        "folder": str(folder),
        "load_folder": None,
        "device": "cpu",
        "dtype": "float64",
        "epochs": 2,
        "start_epoch": 0,
        "nn_depth": 2,
        "nn_width": 8,
        "batch_length": 3,
        "eval_batch_length": 5,
        "batch_size": 80,
        "shuffle": True,
        "num_workers": 0,
        "optimizer": "Adam",
        "learning_rate": 0.01,
        "scheduler": "LambdaLR",
        "scheduling_factor": 0.9,
        "loss_func": "all",
        "itr_printing_freq": 0,
        "printing_freq": 0,
        "plotting_freq": 0,
        "stopping_freq": 0,
        "scheduling_freq": 1,
        "evaluation_freq": 1,
        "checkpoint_freq": 1,
    }
    return config | changes
