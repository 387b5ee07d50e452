"""What the workers of a campaign do with networks: train one, run dynamics by one, predict and evaluate by all.

Every task reads and writes files below the campaign's folder, whole or not at all, and gives a few numbers back. A task
that is asked for again, since the campaign was killed before it heard of the result, finds its file and gives the same.
"""

import collections
import collections.abc
import dataclasses
import pathlib
import typing

import numpy
import torch

from common.files.fingerprints import compute_content_hash, compute_fingerprint
from common.neural.atom_energies import AtomEnergyNetwork, NetworkSettings
from common.potentials.ensemble import compute_reference, predict
from common.potentials.file import NetworkFile, load_network, save_network
from common.potentials.neural import NeuralPotential
from common.selection.disagreement import compute_energy_disagreement, compute_force_disagreement
from common.tasks.labels import Labels, load_labels
from common.tasks.sampling import (
    DynamicsSettings,
    draw_start_velocities,
    load_run,
    run_dynamics,
    save_run,
)
from common.tasks.training import TrainingError, TrainingSettings, train_member


@dataclasses.dataclass(frozen=True)
class TrainTask:
    """A network to be trained.

    Attributes:
        output: file of the network.
        labels: file with all labels.
        start: file with the starting weights; None for weights drawn from ``start_seed``.
        network: what the network is like, where it is drawn.
        start_seed: the same for all members of all rounds.
        settings: of the training.
        seed: of the sample.
        cache: folder of networks by all that determines them, in which a training is looked up before it is done, and
            kept after; None for none.
    """

    output: str
    labels: str
    start: str | None
    network: NetworkSettings
    start_seed: int
    settings: TrainingSettings
    seed: int
    cache: str | None = None


def train(task: TrainTask) -> dict[str, typing.Any]:
    """Trains a network; gives what :class:`common.tasks.training.Progress` says."""
    output = pathlib.Path(task.output)
    if output.is_file():
        found = load_network(output).provenance
        if found.get("seed") == task.seed:
            return found["progress"]
    kept = None if task.cache is None else pathlib.Path(task.cache) / f"{_fingerprint(task)}.pt"
    if kept is not None and kept.is_file():
        contents = load_network(kept)
        save_network(output, contents)
        return contents.provenance["progress"]
    network = load_starting_network(task)
    contents, progress = train_member(network, load_labels(task.labels), task.settings, task.seed)
    if not numpy.isfinite(progress.validation_error):
        raise TrainingError(f"the validation error is {progress.validation_error}")
    described = dataclasses.asdict(progress)
    notes = {"seed": task.seed, "progress": described, "training": dataclasses.asdict(task.settings)}
    for path in (output, kept):
        if path is not None:
            save_network(path, dataclasses.replace(contents, provenance=notes))
    return described


def _fingerprint(task: TrainTask) -> str:
    """Names all that determines a network: the contents of its files, never their places."""
    files = compute_content_hash([task.labels, *([] if task.start is None else [task.start])])
    drawn = None if task.start is not None else [dataclasses.asdict(task.network), task.start_seed]
    return compute_fingerprint([files, drawn, dataclasses.asdict(task.settings), task.seed])


def load_starting_network(task: TrainTask) -> AtomEnergyNetwork:
    """The network from which a training starts."""
    if task.start is not None:
        return load_network(task.start).network
    return AtomEnergyNetwork(task.network, torch.Generator().manual_seed(task.start_seed))


@dataclasses.dataclass(frozen=True)
class SampleTask:
    """A run of dynamics.

    Attributes:
        output: file of the run.
        model: file of the network that drives it.
        origin: file of the run at whose end it starts; None for ``coords``.
        numbers: atomic numbers, ``shape=(n_atoms,)``.
        coords: [Angstrom] of the trajectory's own start, ``shape=(n_atoms, 3)``.
        velocities: [Angstrom/fs] there; None to draw them.
        temperature: [K].
        n_steps: of the run.
        settings: of the dynamics.
        seed: of velocities and noise.
        device: of torch.
    """

    output: str
    model: str
    origin: str | None
    numbers: numpy.ndarray
    coords: numpy.ndarray
    velocities: numpy.ndarray | None
    temperature: float
    n_steps: int
    settings: DynamicsSettings
    seed: int
    device: str


def sample(task: SampleTask) -> dict[str, typing.Any]:
    """Runs dynamics; gives ``n_steps``, ``n_frames``, ``energy`` of the end, and ``reason``."""
    output = pathlib.Path(task.output)
    if output.is_file():
        run = load_run(output)
    else:
        coords, velocities = _find_start(task)
        evaluate = _make_evaluate(load_network(task.model), task.numbers, task.device)
        run = run_dynamics(
            evaluate, task.numbers, coords, velocities, task.temperature, task.n_steps, task.settings, task.seed + 1
        )
        save_run(output, run)
    n_frames = len(run.coords)
    energy = None
    if n_frames:
        energy = float(predict([load_network(task.model)], task.numbers, run.coords[-1:]).energies[0, 0])
    return {"n_steps": run.n_steps, "n_frames": n_frames, "energy": energy, "reason": run.reason}


def _find_start(task: SampleTask) -> tuple[numpy.ndarray, numpy.ndarray]:
    if task.origin is not None:
        before = load_run(task.origin)
        return before.coords[-1], before.end_velocities
    if task.velocities is not None:
        return task.coords, task.velocities
    return task.coords, draw_start_velocities(task.numbers, task.temperature, task.seed)


def _make_evaluate(contents: NetworkFile, numbers: numpy.ndarray, device: str) -> typing.Any:
    """The network for dynamics of one molecule in float64, what it computes itself in its own type."""
    compute_reference(contents, numbers)  # says which element it does not know
    potential = NeuralPotential(contents.network.to(device), torch.from_numpy(numbers))
    frozen = potential.freeze()

    def evaluate(coords: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        energies, forces = frozen(coords.to(potential.device, potential.dtype))
        return energies.double().cpu(), forces.double().cpu()

    return evaluate


@dataclasses.dataclass(frozen=True)
class PredictTask:
    """Frames to be predicted by all members.

    Attributes:
        models: files of the networks.
        frames: file of the run and place of each frame.
        by_forces: whether members disagree in forces; else in energies.
        device: of torch.
    """

    models: tuple[str, ...]
    frames: tuple[tuple[str, int], ...]
    by_forces: bool
    device: str


def predict_frames(task: PredictTask) -> dict[str, typing.Any]:
    """Predicts frames; gives ``energies`` by frame and member, and the ``disagreement`` by frame."""
    members = [_load_on(path, task.device) for path in task.models]
    energies = numpy.zeros((len(task.frames), len(members)))
    disagreement = numpy.zeros(len(task.frames))
    for numbers, coords, places in _group_frames(task.frames):
        found = predict(members, numbers, coords)
        energies[places] = found.energies.T
        if task.by_forces:
            disagreement[places] = compute_force_disagreement(found.forces)
        else:
            n_atoms = numpy.full(len(places), len(numbers))
            disagreement[places] = compute_energy_disagreement(found.energies.T, n_atoms)
    return {"energies": energies.tolist(), "disagreement": disagreement.tolist()}


def _load_on(path: str, device: str) -> NetworkFile:
    contents = load_network(path)
    contents.network.to(device)
    return contents


def _group_frames(
    frames: tuple[tuple[str, int], ...],
) -> collections.abc.Iterator[tuple[numpy.ndarray, numpy.ndarray, list[int]]]:
    """Frames by molecule: atomic numbers, coordinates, and which of ``frames`` they are."""
    groups: dict[tuple[int, ...], tuple[list[numpy.ndarray], list[int]]] = collections.defaultdict(lambda: ([], []))
    runs = {path: load_run(path) for path in dict.fromkeys(path for path, _ in frames)}
    for i, (path, place) in enumerate(frames):
        coords, places = groups[tuple(runs[path].numbers.tolist())]
        coords.append(runs[path].coords[place])
        places.append(i)
    for numbers, (coords, places) in groups.items():
        yield numpy.array(numbers), numpy.stack(coords), places


@dataclasses.dataclass(frozen=True)
class EvaluateTask:
    """Networks to be held against labels that none of them has seen.

    Attributes:
        models: files of the networks.
        tests: files of labels by name.
        device: of torch.
    """

    models: tuple[str, ...]
    tests: dict[str, str]
    device: str


def evaluate_ensemble(task: EvaluateTask) -> dict[str, dict[str, float]]:
    """Errors by name of the test, see :func:`compute_errors`."""
    members = [_load_on(path, task.device) for path in task.models]
    return {name: compute_errors(members, load_labels(path)) for name, path in task.tests.items()}


def compute_errors(members: list[NetworkFile], labels: Labels) -> dict[str, float]:
    """Root mean square errors of the ensemble's mean, and of its members on average.

    Returns:
        ``force`` and ``member_force`` [kcal/mol/Angstrom] over force components; ``energy`` [kcal/mol] after the mean
        error of each molecule was subtracted: differences of energy are what counts.
    """
    squares, member_squares, n_components = 0.0, 0.0, 0
    energy_squares = 0.0
    for molecule in numpy.unique(labels.molecules):
        part = labels.select(numpy.flatnonzero(labels.molecules == molecule))
        n_atoms = int(part.n_atoms[0])
        found = predict(members, part.numbers[:n_atoms], part.coords.reshape(-1, n_atoms, 3))
        errors = found.forces - part.forces.reshape(-1, n_atoms, 3)
        squares += float((errors.mean(axis=0) ** 2).sum())
        member_squares += float((errors**2).sum()) / len(members)
        n_components += errors[0].size
        of_energies = found.energies.mean(axis=0) - part.energies
        energy_squares += float(((of_energies - of_energies.mean()) ** 2).sum())
    return {
        "force": (squares / n_components) ** 0.5,
        "member_force": (member_squares / n_components) ** 0.5,
        "energy": (energy_squares / len(labels)) ** 0.5,
    }
