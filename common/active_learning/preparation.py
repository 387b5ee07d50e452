"""The making of a search space: cheap dynamics, labels for candidates and tests, a model pretrained for nothing."""

import collections.abc
import dataclasses
import pathlib

import numpy
import torch

from common.active_learning.search_space import CALCULATIONS, Molecule, Start
from common.calculators.ledger import Ledger
from common.dynamics.langevin import Langevin, run_langevin
from common.dynamics.states import begin, draw_velocities
from common.executors.interface import Executor, Method, describe_error
from common.files.atomic import FULL_DISK
from common.molecules.conformers import embed_conformers
from common.molecules.mapped_smiles import from_mapped_smiles
from common.neural.atom_energies import AtomEnergyNetwork, NetworkSettings
from common.potentials.file import NetworkFile
from common.potentials.smirnoff import SmirnoffPotential
from common.processes.generators import make_generator
from common.processes.progress import make_bar
from common.tasks.labelling import LabelTask, label_structure
from common.tasks.labels import Labels, make_labels
from common.tasks.reference import ReferenceTask, run_reference
from common.tasks.sampling import find_flaw, get_masses
from common.tasks.timing import Call, run_timed
from common.tasks.training import Progress, TrainingSettings, train_member

METHODS = {"calculate": Method(run_timed, "quantum")}


@dataclasses.dataclass(frozen=True)
class CheapDynamics:
    """Dynamics by the force field, many replicas at once.

    Attributes:
        time_step: [fs].
        friction: [1/fs].
        n_replicas: of each molecule and temperature.
        equilibration, duration: [steps] before the first frame, and from there to the last.
        frame_interval: [steps].
    """

    time_step: float = 0.5
    friction: float = 0.01
    n_replicas: int = 16
    equilibration: int = 1000
    duration: int = 4000
    frame_interval: int = 40


@dataclasses.dataclass(frozen=True)
class CheapFrames:
    """Frames of the force field's dynamics of one molecule at one temperature, in no order.

    Attributes:
        coords, forces: [Angstrom] and [kcal/mol/Angstrom] ``shape=(n_frames, n_atoms, 3)``.
        velocities: [Angstrom/fs] of the same shape.
        energies: [kcal/mol] ``shape=(n_frames,)``.
    """

    coords: numpy.ndarray
    velocities: numpy.ndarray
    energies: numpy.ndarray
    forces: numpy.ndarray

    def take(self, first: int, n: int) -> "CheapFrames":
        """``n`` of them from ``first`` on.

        Raises:
            ValueError: there are not so many.
        """
        if first + n > len(self.coords):
            raise ValueError(
                f"{first + n} frames of the force field's dynamics are wanted and {len(self.coords)} are there: run it "
                "for longer, or with more replicas"
            )
        return CheapFrames(*(getattr(self, field.name)[first : first + n] for field in dataclasses.fields(self)))


def run_cheap_dynamics(
    potential: SmirnoffPotential,
    molecule: Molecule,
    geometries: numpy.ndarray,
    temperature: float,
    settings: CheapDynamics,
    seed: int,
) -> CheapFrames:
    """Langevin dynamics by the force field; frames that make no sense are left out, the others shuffled.

    Args:
        potential: of the molecule.
        molecule: to be moved.
        geometries: [Angstrom] where replicas start, in turn, ``shape=(n, n_atoms, 3)``.
        temperature: [K].
        settings: how.
        seed: of velocities, noise and the order of the frames.
    """
    masses = get_masses(molecule.numbers)
    generator = make_generator(seed, molecule.smiles, str(temperature))
    start = torch.from_numpy(geometries[numpy.arange(settings.n_replicas) % len(geometries)])
    velocities = draw_velocities(masses, temperature, (settings.n_replicas,), generator)
    evaluate = potential.freeze()
    integrator = Langevin(masses, settings.time_step, temperature, settings.friction)
    parts: list[tuple[torch.Tensor, ...]] = []
    n_steps = settings.equilibration + settings.duration
    states = run_langevin(integrator, evaluate, begin(evaluate, start, velocities), n_steps, generator)
    for step, state in enumerate(states, start=1):
        if step > settings.equilibration and step % settings.frame_interval == 0:
            parts.append((state.coords, state.velocities, state.energies, state.forces))
    arrays = [torch.cat(part).numpy() for part in zip(*parts, strict=True)]
    sound = [i for i, coords in enumerate(arrays[0]) if not find_flaw(molecule.numbers, coords)]
    order = torch.randperm(len(sound), generator=generator).numpy()
    return CheapFrames(*(array[numpy.array(sound, dtype=numpy.int64)[order]] for array in arrays))


def make_starts(molecule: int, frames: CheapFrames, temperature: float, region: str) -> list[Start]:
    """Starts of trajectories from frames, with their velocities."""
    return [
        Start(molecule, coords, velocities, temperature, region)
        for coords, velocities in zip(frames.coords, frames.velocities, strict=True)
    ]


def label_cheaply(molecule: int, numbers: numpy.ndarray, frames: CheapFrames) -> Labels:
    """Frames with the energies and forces of the force field that made them."""
    n = len(frames.coords)
    return make_labels(
        [molecule] * n, [numbers] * n, list(frames.coords), frames.energies.tolist(), list(frames.forces)
    )


@dataclasses.dataclass(frozen=True)
class Labeller:
    """Labels structures at the campaign's level, by an executor, into the search space's ledger.

    Attributes:
        executor: made with ``METHODS``.
        folder: of the search space.
        level, fingerprint: of the labels.
        time_limit: [s] of a calculation; None for none.
    """

    executor: Executor
    folder: pathlib.Path
    level: str
    fingerprint: str
    time_limit: float | None

    def label(
        self,
        molecules: collections.abc.Sequence[Molecule],
        of: collections.abc.Sequence[int],
        coords: collections.abc.Sequence[numpy.ndarray],
        description: str,
    ) -> tuple[Labels, dict[str, str]]:
        """Labels in the order of the structures, and the failures: keys with their reasons.

        Args:
            molecules: of the search space.
            of: the molecule of each structure.
            coords: [Angstrom] of each structure, ``shape=(n_atoms, 3)``.
            description: of the progress bar.

        Raises:
            OSError: the disk is full.
            RuntimeError: no calculation can be run at all.
        """
        tasks = [
            LabelTask(
                molecules[m].numbers,
                numpy.ascontiguousarray(x),
                molecules[m].charge,
                self.level,
                self.fingerprint,
                str(self.folder / CALCULATIONS),
                self.time_limit,
            )
            for m, x in zip(of, coords, strict=True)
        ]
        self._run([Call(label_structure, task) for task in tasks], description, "structure")
        ledger = Ledger(self.folder / CALCULATIONS)
        entries = [ledger.read(task.key) for task in tasks]
        failures = {
            task.key: entry.calculation.reason if entry else "the worker died"
            for task, entry in zip(tasks, entries, strict=True)
            if entry is None or not entry.calculation.succeeded
        }
        kept = [(m, e) for m, e in zip(of, entries, strict=True) if e is not None and e.calculation.succeeded]
        labels = make_labels(
            [m for m, _ in kept],
            [entry.numbers for _, entry in kept],
            [entry.coords for _, entry in kept],
            [float(entry.calculation.energy or 0.0) for _, entry in kept],
            [numpy.asarray(entry.calculation.forces) for _, entry in kept],
        )
        return labels, failures

    def run_references(self, tasks: collections.abc.Sequence[ReferenceTask], description: str) -> list[str]:
        """Dynamics at the campaign's level, one trajectory a task; the reasons of those that ended early.

        Raises:
            OSError: the disk is full.
            RuntimeError: no calculation can be run at all.
        """
        return self._run([Call(run_reference, task) for task in tasks], description, "trajectory")

    def _run(self, calls: list[Call], description: str, unit: str) -> list:
        """The results of the calls that gave one, in no order."""
        futures = [self.executor.submit("calculate", call) for call in calls]
        results: list = []
        errors: list[str] = []
        with make_bar(total=len(futures), desc=description, unit=unit) as bar:
            while len(results) + len(errors) < len(futures):
                future = self.executor.wait(0.5)
                if future is None:
                    continue
                bar.update()
                error = future.exception()
                if isinstance(error, OSError) and error.errno in FULL_DISK:
                    raise error
                if error is None:
                    results.append(future.result().result)
                else:
                    errors.append(describe_error(error))
        if errors and not results:
            raise RuntimeError(f"{description}: {errors[0]}")
        return results


def pretrain(
    settings: NetworkSettings,
    labels: Labels,
    training: TrainingSettings,
    seed: int,
    on_evaluation: collections.abc.Callable[[int, float], None],
) -> tuple[NetworkFile, Progress]:
    """A network trained on what the force field says: for nothing, and a better start than random weights.

    Args:
        settings: what the network is like.
        labels: by the force field.
        training: how.
        seed: of the weights and of the order.
        on_evaluation: is told the step and the validation error [kcal/mol/Angstrom].

    Raises:
        TrainingError: it does not work.
    """
    network = AtomEnergyNetwork(settings, torch.Generator().manual_seed(seed))
    return train_member(network, labels, training, seed, on_evaluation)


def find_geometries(molecule: Molecule, n_confs: int, seed: int) -> numpy.ndarray:
    """Conformers from the bonds alone [Angstrom], ``shape=(at most n_confs, n_atoms, 3)``.

    Raises:
        ValueError: RDKit finds none.
    """
    return embed_conformers(from_mapped_smiles(molecule.smiles), n_confs, seed)
