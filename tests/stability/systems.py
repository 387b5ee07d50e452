"""A reference of ethanol by a made-up network, and potentials that have learnt a little of it: enough to run on."""

import dataclasses
import pathlib

import numpy
import torch

from common.data.dataset import Entry
from common.data.trajectories import Trajectory, write_trajectories
from common.dynamics.langevin import Langevin, run_langevin
from common.dynamics.states import begin, draw_velocities
from common.neural.frames import fit_reference_energies
from common.potentials.file import NetworkFile, save_network
from common.processes.generators import make_generator
from common.replicas.epochs import EpochSettings
from common.replicas.reference import load_reference
from common.replicas.setup import DeviationSettings, MotionSettings, ObservableSettings
from common.stability.cycle import CycleSettings
from common.stability.force_field_model import Limits
from common.stability.plan import ForceFieldSettings, Plan
from tests.neural.systems import COORDS, make_network
from tests.observables.systems import ETHANOL_SMILES

MASSES = numpy.array([12.011, 12.011, 15.999] + [1.008] * 6)
TEMPERATURE = 300.0


def evaluate_springs(coords: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Ethanol held together by springs between all atoms, as a level of theory that costs nothing."""
    pairs = torch.triu_indices(9, 9, 1)
    d = coords[..., pairs[0], :] - coords[..., pairs[1], :]
    r = d.norm(dim=-1)
    rest = (COORDS[pairs[0]] - COORDS[pairs[1]]).norm(dim=-1)
    stiffness = torch.where(rest < 1.6, 600.0, 30.0)
    energy = 0.5 * (stiffness * (r - rest) ** 2).sum(-1)
    pull = (stiffness * (r - rest) / r)[..., None] * d
    forces = torch.zeros_like(coords).index_add(-2, pairs[0], -pull).index_add(-2, pairs[1], pull)
    return energy, forces


def write_reference(folder: pathlib.Path, n_runs: int = 2, n_frames: int = 60) -> pathlib.Path:
    """Runs of the springs; returns the data set's path."""
    masses = torch.from_numpy(MASSES)
    integrator = Langevin(masses, 0.5, TEMPERATURE)
    trajectories = []
    for run in range(n_runs):
        generator = make_generator("reference", run)
        state = begin(evaluate_springs, COORDS, draw_velocities(masses, TEMPERATURE, (), generator))
        states = list(run_langevin(integrator, evaluate_springs, state, 200 + 10 * n_frames, generator))[200::10]
        energy = torch.stack([one.energies for one in states]).numpy()
        entry = Entry(
            ETHANOL_SMILES,
            torch.stack([one.coords for one in states]).numpy(),
            energy - energy.mean(),
            torch.stack([one.forces for one in states]).numpy(),
            float(energy.mean()),
        )
        velocities = torch.stack([one.velocities for one in states]).numpy()
        trajectories.append(Trajectory(entry, MASSES, velocities, None, 5.0, 0.5, TEMPERATURE))
    write_trajectories(folder / "ethanol", trajectories, {"stage": "test"})
    return folder / "ethanol"


def write_potential(folder: pathlib.Path, reference: pathlib.Path, seed: int = 0) -> pathlib.Path:
    """A network with hardly a force, said to be trained on six frames: atoms fly apart, some replicas soon."""
    data = load_reference(reference, 0.5)
    provenance = {
        "reference": str(reference),
        "reference_fingerprint": data.fingerprint,
        "held_out_share": 0.5,
        "split": {"train": [[0, 0], [0, 5], [0, 10], [1, 3], [1, 9], [1, 20]], "validation": []},
    }
    path = folder / "potential.pt"
    network = make_network("schnet", seed)
    network.head.weight.data *= 0.02
    save_network(path, NetworkFile(network, fit_reference_energies(list(data.known)), provenance))
    return path


def make_plan(folder: pathlib.Path, reference: pathlib.Path, potential: pathlib.Path, **changes) -> Plan:
    """A short run: eight replicas, epochs of 40 steps."""
    folder.mkdir(parents=True, exist_ok=True)
    cycle = CycleSettings(
        n_replicas=8,
        n_cycles=2,
        max_simulation_epochs=2,
        max_learning_epochs=2,
        frames_per_epoch=24,
        n_inner_steps=3,
        smallest_effective_share=0.0,
        n_blocks=4,
        learning_rate=1e-3,
    )
    plan = Plan(
        folder=folder,
        reference=reference,
        potential=potential,
        held_out_share=0.5,
        cycle=cycle,
        epoch=EpochSettings(40, 5, 10, 3),
        motion=MotionSettings("langevin", 0.5, TEMPERATURE),
        deviations=DeviationSettings(bond_tolerance=0.6),
        observables=ObservableSettings(),
        weights={"instability": 2.0, "adf": 100.0},
        shares=(0.05, 0.95),
        quantum_batch=100,
        is_localized=False,
        force_field=ForceFieldSettings({}, 0.0, 10, Limits()),
        control=None,
        fingerprint="test",
        checkpoint=None,
        device="cpu",
    )
    return dataclasses.replace(plan, **changes)
