"""Reference dynamics: a molecule or a box by a level of theory, kept piece by piece so that nothing is lost."""

import collections.abc
import dataclasses
import pathlib

import numpy
import torch

from common.calculators.interface import CalculationError
from common.calculators.registry import make_calculator
from common.data.dataset import Entry
from common.data.trajectories import Trajectory
from common.dynamics.langevin import Langevin
from common.dynamics.states import Evaluate, State, begin, draw_velocities
from common.files.atomic import replace_atomically
from common.files.tensor_file import read_tensors_if_whole, write_tensors
from common.interop.openmm_water import FlexibleWater
from common.molecules.conformers import embed_conformers
from common.molecules.mapped_smiles import from_mapped_smiles
from common.processes.generators import make_generator

WATER_LEVEL = "spc-water"
"""The level that samples a box of water."""

PIECE_FRAMES = 200
"""Frames that are written at once; an interrupted run goes on after the last piece."""


@dataclasses.dataclass(frozen=True)
class SamplingSettings:
    """What determines a run of reference dynamics.

    Attributes:
        level: of theory, see ``common.calculators.registry``.
        temperature: [K].
        time_step: [fs].
        friction: [1/fs].
        equilibration: [ps] before the first frame.
        frame_interval: steps between frames.
        seed: of starting geometries, velocities and noise.
    """

    level: str
    temperature: float
    time_step: float
    friction: float
    equilibration: float
    frame_interval: int
    seed: int


@dataclasses.dataclass(frozen=True)
class Source:
    """What is sampled.

    Attributes:
        smiles: mapped SMILES.
        masses: [amu] ``shape=(n_atoms,)`` float64.
        cell: edges of the periodic box [Angstrom], or None.
        evaluate: energy and forces of one geometry, ``shape=(n_atoms, 3)``; may raise ``CalculationError``.
        make_start: the starting geometry [Angstrom] of a run, by its number.
    """

    smiles: str
    masses: torch.Tensor
    cell: numpy.ndarray | None
    evaluate: Evaluate
    make_start: collections.abc.Callable[[int], numpy.ndarray]


def make_molecule_source(smiles: str, level: str, seed: int, start: numpy.ndarray | None) -> Source:
    """A molecule by a level of theory.

    Args:
        smiles: mapped SMILES.
        level: see ``common.calculators.registry``.
        seed: of embedded starting geometries.
        start: [Angstrom] the starting geometry of all runs; None for embedded ones, another for each run.
    """
    mol = from_mapped_smiles(smiles)
    atomic_nums = numpy.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    charge = sum(atom.GetFormalCharge() for atom in mol.GetAtoms())
    calculator = make_calculator(level)

    def evaluate(coords: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        energy, forces = calculator(atomic_nums, coords.numpy(), charge)
        return torch.tensor(energy, dtype=torch.float64), torch.from_numpy(forces)

    return Source(
        smiles,
        torch.tensor([atom.GetMass() for atom in mol.GetAtoms()], dtype=torch.float64),
        None,
        evaluate,
        lambda run: embed_conformers(mol, 1, seed + run)[0] if start is None else start,
    )


def make_water_source(n_molecules: int, edge: float, seed: int) -> Source:
    """A box of flexible SPC water by OpenMM.

    Raises:
        ValueError: OpenMM is not installed, or the box is too small.
    """
    water = FlexibleWater(n_molecules, edge)

    def evaluate(coords: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        energy, forces = water.compute(coords.numpy())
        return torch.from_numpy(energy), torch.from_numpy(forces)

    return Source(
        water.smiles,
        torch.from_numpy(water.masses),
        numpy.full(3, edge),
        evaluate,
        lambda run: water.make_start(seed + run),
    )


def sample_run(
    source: Source, settings: SamplingSettings, duration: float, folder: pathlib.Path, run: int
) -> Trajectory:
    """One run, whose pieces are kept in ``folder``; those that are there already are not computed again.

    Args:
        source: what is sampled.
        settings: see there.
        duration: [ps] of the frames.
        folder: of the pieces of this source and settings and no others, by run.
        run: its number, which names its starting geometry, velocities and noise.

    Raises:
        ValueError: the level gives no energy somewhere; the message says where, and what was kept.
    """
    folder = folder / f"run-{run}"
    masses, evaluate = source.masses, source.evaluate
    integrator = Langevin(masses, settings.time_step, settings.temperature, settings.friction)
    n_frames = round(1000.0 * duration / (settings.time_step * settings.frame_interval))
    pieces = _read_pieces(folder)
    n_done = sum(len(piece["frame_energies"]) for piece in pieces)
    generator = make_generator(settings.seed, "reference", run)
    try:
        if pieces:
            last = pieces[-1]
            generator.set_state(last["generator"])
            state = State(**{field.name: last[field.name] for field in dataclasses.fields(State)})
        else:
            coords = torch.from_numpy(source.make_start(run))
            state = begin(evaluate, coords, draw_velocities(masses, settings.temperature, (), generator))
            for _ in range(round(1000.0 * settings.equilibration / settings.time_step)):
                state = _step(integrator, evaluate, state, generator)
        while n_done < n_frames:
            piece, state = _make_piece(
                integrator, evaluate, state, generator, min(PIECE_FRAMES, n_frames - n_done), settings.frame_interval
            )
            with replace_atomically(folder / f"{len(pieces):05d}.pt") as beside:
                write_tensors(piece, beside)
            pieces.append(piece)
            n_done += len(piece["frame_energies"])
    except CalculationError as error:
        time = n_done * settings.time_step * settings.frame_interval / 1000.0
        raise ValueError(
            f"run {run}, {source.smiles}: {settings.level} fails after frame {n_done} ({error}); the frames "
            f"before are kept: ask for a --duration of at most {time:g} ps to use them, or for a shorter --time-step"
        ) from error
    return _join(pieces, source, settings, n_frames, run)


def _step(integrator: Langevin, evaluate: Evaluate, state: State, generator: torch.Generator) -> State:
    noise = torch.randn(state.coords.shape, generator=generator, dtype=state.coords.dtype)
    return integrator.step(state, evaluate, noise)


def _make_piece(
    integrator: Langevin, evaluate: Evaluate, state: State, generator: torch.Generator, n_frames: int, interval: int
) -> tuple[dict, State]:
    """Frames, and what is needed to go on from the last of them."""
    frames = []
    for _ in range(n_frames):
        for _ in range(interval):
            state = _step(integrator, evaluate, state, generator)
        frames.append(state)
    return {
        "frame_coords": torch.stack([frame.coords for frame in frames]),
        "frame_velocities": torch.stack([frame.velocities for frame in frames]),
        "frame_forces": torch.stack([frame.forces for frame in frames]),
        "frame_energies": torch.stack([frame.energies for frame in frames]),
        **{field.name: getattr(state, field.name) for field in dataclasses.fields(State)},
        "generator": generator.get_state(),
    }, state


def _read_pieces(folder: pathlib.Path) -> list[dict]:
    pieces: list[dict] = []
    while (piece := read_tensors_if_whole(folder / f"{len(pieces):05d}.pt")) is not None:
        pieces.append(piece)
    return pieces


def _join(pieces: list[dict], source: Source, settings: SamplingSettings, n_frames: int, run: int) -> Trajectory:
    arrays = {
        name: torch.cat([piece[f"frame_{name}"] for piece in pieces])[:n_frames].numpy()
        for name in ("coords", "velocities", "forces", "energies")
    }
    mean = float(arrays["energies"].mean())
    entry = Entry(source.smiles, arrays["coords"], arrays["energies"] - mean, arrays["forces"], mean, f"run-{run}")
    return Trajectory(
        entry,
        source.masses.numpy(),
        arrays["velocities"],
        source.cell,
        settings.time_step * settings.frame_interval,
        settings.time_step,
        settings.temperature,
    )
