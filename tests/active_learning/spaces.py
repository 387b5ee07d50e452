"""A small search space of a made-up molecule, and a plan for a campaign that takes seconds."""

import dataclasses
import pathlib
import typing

import torch

from common.active_learning.plan import Plan
from common.active_learning.search_space import (
    STARTING_MODEL,
    Start,
    make_molecule,
    write_search_space,
)
from common.calculators.registry import compute_level_fingerprint
from common.neural.atom_energies import AtomEnergyNetwork
from common.potentials.file import NetworkFile, save_network
from common.steering.settings import SteeringSettings
from common.tasks.sampling import DynamicsSettings
from common.tasks.training import TrainingSettings
from tests.tasks.made_up import LEVEL, PAINN, SMILES, draw_coords, draw_labels

N_INITIAL = 12

STEERING = SteeringSettings(
    seed=5,
    n_members=2,
    budget=28,
    n_quantum_workers=2,
    n_samplers=2,
    retrain_interval=6,
    n_labels_ahead=3,
    audit=True,
    audit_share=0.5,
    energy_tolerance=2.0,
    min_run_length=10,
    max_run_length=40,
    uncertainty="energies",
    n_frames_per_run=10,
    chunk_size=10,
    n_chunks=1,
    max_pool=60,
    max_failed_fraction=0.9,
    max_failures=20,
)

PLAN = Plan(
    steering=STEERING,
    training=TrainingSettings(batch_size=6, learning_rate=0.02, evaluation_interval=5, max_steps=10),
    final_training=TrainingSettings(batch_size=6, learning_rate=0.02, evaluation_interval=5, max_steps=15),
    dynamics=DynamicsSettings(frame_interval=2),
    network=PAINN,
    is_pretrained=True,
    n_initial=N_INITIAL,
    n_starts=6,
    time_limit=30.0,
    device="cpu",
)


def write_space(folder: pathlib.Path, level: str = LEVEL) -> pathlib.Path:
    """A search space with a starting model of random weights; its labels are springs, whatever the level."""
    starts = [
        Start(0, coords, None, temperature, region)
        for coords, temperature, region in zip(
            draw_coords(10, 1, 0.03), [200.0] * 8 + [400.0] * 2, ["known"] * 8 + ["new"] * 2, strict=True
        )
    ]
    tests = {"near": draw_labels(10, 2), "wide": draw_labels(10, 3, 0.15)}
    write_search_space(
        folder,
        [make_molecule(SMILES)],
        starts,
        draw_labels(20, 4),
        tests,
        level,
        compute_level_fingerprint(level),
        {"network": dataclasses.asdict(PAINN)},
    )
    network = AtomEnergyNetwork(PAINN, torch.Generator().manual_seed(0))
    save_network(folder / STARTING_MODEL, NetworkFile(network, {1: 0.0, 8: 0.0}, {}))
    return folder


def make_plan(**changes: typing.Any) -> Plan:
    """The plan with other settings of its decisions."""
    return dataclasses.replace(PLAN, steering=dataclasses.replace(STEERING, **changes))
