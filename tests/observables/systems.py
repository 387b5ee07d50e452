"""A molecule and a box of water that the tests of observables share."""

import numpy
import torch

from common.data.dataset import Entry
from common.data.trajectories import Trajectory
from common.observables.system import System, build_system

ETHANOL_SMILES = "[C:1]([C:2]([O:3][H:9])([H:7])[H:8])([H:4])([H:5])[H:6]"


def make_system(smiles: str, n_atoms: int, cell=None, masses=None) -> System:
    """The system of a trajectory with one empty frame."""
    zeros = numpy.zeros((1, n_atoms, 3))
    entry = Entry(smiles, zeros, numpy.zeros(1), zeros)
    return build_system(Trajectory(entry, numpy.ones(n_atoms) if masses is None else masses, cell=cell))


def make_ethanol() -> System:
    return make_system(ETHANOL_SMILES, 9)


def make_water_box(n_molecules: int, edge: float, seed: int = 0, n_frames: int = 3) -> tuple[System, torch.Tensor]:
    """Rigid molecules anywhere in a cubic box, overlaps allowed; coordinates ``(n_frames, n_atoms, 3)``."""
    smiles = ".".join(f"[O:{3 * k + 1}]([H:{3 * k + 2}])[H:{3 * k + 3}]" for k in range(n_molecules))
    system = make_system(smiles, 3 * n_molecules, numpy.full(3, edge), numpy.tile([15.999, 1.008, 1.008], n_molecules))
    random = numpy.random.default_rng(seed)
    shape = numpy.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])
    frames = []
    for _ in range(n_frames):
        centres = random.uniform(-edge, 2.0 * edge, (n_molecules, 3))
        rotations = [numpy.linalg.qr(random.normal(size=(3, 3)))[0] for _ in range(n_molecules)]
        frames.append(numpy.concatenate([c + shape @ r for c, r in zip(centres, rotations, strict=True)]))
    return system, torch.tensor(numpy.array(frames))
