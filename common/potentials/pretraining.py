"""Training of a neural potential by any number of processes, with checkpoints, curves and what remains in the end."""

import dataclasses
import pathlib
import time
import typing

import torch

from common.data.splits import SPLITS
from common.data.trajectories import Trajectory, read_trajectories
from common.files.plain import write_json
from common.neural.atom_energies import AtomEnergyNetwork, NetworkSettings
from common.neural.frame_splits import Split
from common.neural.frames import FrameSet, fit_reference_energies
from common.neural.training import Errors, Trainer, TrainingSettings, compute_errors
from common.potentials.file import NetworkFile, load_network, save_network
from common.processes.generators import make_generator
from common.processes.progress import make_bar
from common.processes.ranks import Ranks
from common.runs.checkpoints import Checkpoint, save_checkpoint
from common.runs.folder import SUMMARY
from common.runs.tensorboard import Log

POTENTIAL = "potential.pt"
"""Within the folder of a run."""


@dataclasses.dataclass(frozen=True)
class Pretraining:
    """All that ranks need to know.

    Attributes:
        folder: of the run.
        data: the data set.
        split: its frames.
        network: the size of the network; not looked at where ``start`` is given.
        training: how it is trained.
        start: the file of a potential whose weights are the first; None to draw them.
        fingerprint: of all that determines the result.
        checkpoint: where an interrupted run goes on, or None.
        checkpoint_interval: epochs between two.
        log_interval: epochs between two points of the curves.
        device: of the tensors.
        provenance: plain values that go into the potential's file.
    """

    folder: pathlib.Path
    data: pathlib.Path
    split: Split
    network: NetworkSettings
    training: TrainingSettings
    start: pathlib.Path | None
    fingerprint: str
    checkpoint: Checkpoint | None
    checkpoint_interval: int
    log_interval: int
    device: str
    provenance: dict[str, typing.Any]


def run_pretraining(ranks: Ranks, plan: Pretraining) -> None:
    """Trains; the first rank writes. The result is the same, to the last bit, on any number of ranks."""
    trajectories = read_trajectories(plan.data)
    numbers = number_frames(trajectories, plan.split)
    used = sorted({row for row, _ in plan.split["train"]})
    references = fit_reference_energies([_pick(trajectories[row], plan.split, row) for row in used])
    frames = FrameSet(trajectories, references, torch.float32, plan.device)
    network = _make_network(plan).to(plan.device)
    trainer = Trainer(network, plan.training, frames, numbers["train"], numbers["validation"], ranks)
    if plan.checkpoint is not None:
        trainer.set_state(plan.checkpoint.state)
    log = Log(plan.folder, trainer.epoch) if ranks.rank == 0 else None
    start = time.perf_counter()
    first = trainer.epoch
    with make_bar(
        total=plan.training.max_epochs, initial=first, desc="epochs", unit="epoch", disable=ranks.rank != 0
    ) as bar:
        while not trainer.is_finished:
            loss = trainer.run_epoch()
            errors = trainer.validate()
            bar.update()
            if log is not None and (trainer.epoch % plan.log_interval == 0 or trainer.is_finished):
                scalars = {"loss/train": loss, "learning rate": trainer.learning_rate, **_name(errors, "validation")}
                log.add_scalars(trainer.epoch, scalars)
            if log is not None and trainer.epoch % plan.checkpoint_interval == 0:
                save_checkpoint(plan.folder, Checkpoint(trainer.epoch, trainer.get_state(), plan.fingerprint))
    if log is None:
        return
    save_checkpoint(plan.folder, Checkpoint(trainer.epoch, trainer.get_state(), plan.fingerprint))
    network.load_state_dict(trainer.best_weights)
    errors_of = {split: compute_errors(network, frames, numbers[split]) for split in SPLITS if numbers[split]}
    log.add_scalars(trainer.epoch, _name(errors_of.get("test"), "test"))
    log.close()
    split = {name: plan.split[name] for name in ("train", "validation")}
    provenance = {**plan.provenance, "split": split, "n_epochs": trainer.epoch}
    save_network(plan.folder / POTENTIAL, NetworkFile(network.cpu(), references, provenance))
    write_json(
        plan.folder / SUMMARY,
        {
            "n_epochs": trainer.epoch,
            "n_steps": trainer.n_steps,
            "n_parameters": sum(parameter.numel() for parameter in network.parameters()),
            "n_frames": {name: len(chosen) for name, chosen in plan.split.items()},
            "errors": {name: dataclasses.asdict(errors) for name, errors in errors_of.items()},
            "seconds": time.perf_counter() - start,
            "n_ranks": ranks.world_size,
        },
    )


def number_frames(trajectories: list[Trajectory], split: Split) -> dict[str, list[int]]:
    """The numbers that a :class:`common.neural.frames.FrameSet` gives to the frames of each split."""
    starts, total = [], 0
    for trajectory in trajectories:
        starts.append(total)
        total += trajectory.n_frames
    return {name: [starts[row] + frame for row, frame in chosen] for name, chosen in split.items()}


def _pick(trajectory: Trajectory, split: Split, row: int) -> Trajectory:
    """The training frames of a row."""
    entry = trajectory.entry.select([frame for own, frame in split["train"] if own == row])
    return dataclasses.replace(trajectory, entry=entry, velocities=None)


def _make_network(plan: Pretraining) -> AtomEnergyNetwork:
    if plan.start is not None:
        return load_network(plan.start).network
    return AtomEnergyNetwork(plan.network, make_generator(plan.training.seed, "weights"))


def _name(errors: Errors | None, split: str) -> dict[str, float]:
    if errors is None:
        return {}
    return {f"{name.replace('_', ' ')}/{split}": value for name, value in dataclasses.asdict(errors).items()}
