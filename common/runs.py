"""The run folder: what a fit was asked to do, how it went, and what came out."""

import dataclasses
import os
import pathlib
import typing

import torch
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter

from common.data.splits import SPLITS
from common.files.atomic import replace_atomically
from common.files.tensor_file import read_tensors_if_whole, write_tensors
from common.forcefields.parameter_file import save_parameters
from common.forcefields.tensors import ParameterizedMolecules, TensorForceField
from common.losses import Objective
from common.offxml_write import write_offxml
from common.run_settings import propose_names
from common.statistics import Statistics


def create_run_folder(output: str | os.PathLike, name: str) -> pathlib.Path:
    """A new folder below ``output``: date, time and ``name``; a number is added where there is such a one."""
    output = pathlib.Path(output)
    output.mkdir(parents=True, exist_ok=True)
    names = propose_names(name)
    for proposed in names:
        try:
            (output / proposed).mkdir()
        except FileExistsError:
            continue
        return output / proposed
    raise OSError(f"{output}: no free name for a run folder {names[0]}")


def find_latest_run(output: str | os.PathLike) -> pathlib.Path:
    """The run that was started last and has ended.

    Raises:
        FileNotFoundError: there is none.
    """
    runs = sorted(path.parent for path in pathlib.Path(output).glob("*/summary.json"))
    if not runs:
        raise FileNotFoundError(f"{output}: no finished run here; run 004-train.py, or say where the run is")
    return runs[-1]


def save_force_field(
    path: pathlib.Path,
    force_field: TensorForceField,
    start: ParameterizedMolecules,
    comments: typing.Sequence[str],
    with_topologies: bool = True,
) -> None:
    """Writes ``path`` + ".pt" and ".offxml".

    The ``.pt`` is of the kind that stage 002 writes, so that with its topologies it may be used in its place.

    Args:
        path: without suffix.
        force_field: the fitted values.
        start: what the fit started from.
        comments: lines for the head of the OFFXML file.
        with_topologies: whether the ``.pt`` holds the molecules too, or the force field alone.
    """
    molecules = dataclasses.replace(
        start, force_field=force_field, provenance={**start.provenance, "fitted": list(comments)}
    )
    if not with_topologies:
        molecules = dataclasses.replace(molecules, topologies={}, failures={})
    save_parameters(path.with_name(path.name + ".pt"), molecules)
    write_offxml(start.provenance["offxml"], force_field, path.with_name(path.name + ".offxml"), comments)


class Checkpoint(typing.NamedTuple):
    """Where an interrupted fit goes on.

    Attributes:
        epoch: the last one that is done.
        values: the trained values after it, ``shape=(n_values,)``.
        optimizer_state: of the optimiser.
        settings: a fingerprint of everything that determines the trajectory.
    """

    epoch: int
    values: torch.Tensor
    optimizer_state: dict[str, typing.Any]
    settings: str


def save_checkpoint(folder: pathlib.Path, checkpoint: Checkpoint) -> None:
    """Writes the checkpoint of a run, in place of the one before."""
    with replace_atomically(folder / "checkpoints" / "last.pt") as beside:
        write_tensors(checkpoint._asdict(), beside)


def load_checkpoint(folder: pathlib.Path, settings: str) -> Checkpoint:
    """Reads the checkpoint of an interrupted run.

    Args:
        folder: of the run.
        settings: the fingerprint of what is asked for now.

    Raises:
        FileNotFoundError: the run has no checkpoint.
        ValueError: it is damaged, or belongs to other settings or data.
    """
    path = folder / "checkpoints" / "last.pt"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; the run ended before its first checkpoint, or was none of Adam: start a new one"
        )
    plain = read_tensors_if_whole(path)
    if plain is None:
        raise ValueError(f"{path}: damaged; start the run anew")
    checkpoint = Checkpoint(**plain)
    if checkpoint.settings != settings:
        raise ValueError(f"{folder}: was made with other data, parameters or hyperparameters; start a new run instead")
    return checkpoint


class Log:
    """Scalars for TensorBoard, in the run folder."""

    def __init__(self, folder: pathlib.Path, start_epoch: int = 0):
        """Opens a new events file; those of an interrupted run count up to ``start_epoch``."""
        self.writer = SummaryWriter(str(folder), purge_step=start_epoch + 1 if start_epoch else None)

    def add_losses(self, epoch: int, losses: typing.Mapping[str, typing.Mapping[str, float]]) -> None:
        """Writes what ``compute_losses`` gives, as ``<name>/<split>``: the curves of the splits share a plot."""
        values = [
            Summary.Value(tag=f"{name}/{split}", simple_value=value)
            for split, of in losses.items()
            for name, value in of.items()
        ]
        self.writer.file_writer.add_summary(Summary(value=values), epoch)  # one event, not one for each value

    def close(self) -> None:
        self.writer.close()


def compute_losses(
    objectives: typing.Mapping[str, Objective], force_field: TensorForceField
) -> dict[str, dict[str, float]]:
    """The losses of a force field on each split.

    Args:
        objectives: by split, all of the same statistics.
        force_field: with the rows that the statistics have.

    Returns:
        By split the loss [kcal²/mol²] without priors, its parts, and their roots [kcal/mol], [kcal/mol/Angstrom].
    """
    losses = {}
    with torch.no_grad():
        delta = next(iter(objectives.values())).compute_delta(force_field)
        for split, objective in objectives.items():
            parts = (part.item() for part in objective.evaluate_parts(delta))
            losses[split] = _describe_losses(*parts, objective.force_weight)
    return losses


def _describe_losses(loss_energy: float, loss_forces: float, force_weight: float) -> dict[str, float]:
    return {
        "loss": loss_energy + force_weight * loss_forces,
        "loss_energy": loss_energy,
        "loss_forces": loss_forces,
        "rmse_energy": max(loss_energy, 0.0) ** 0.5,
        "rmse_forces": max(loss_forces, 0.0) ** 0.5,
    }


def summarise(
    statistics: Statistics,
    objectives: typing.Mapping[str, Objective],
    fields: typing.Mapping[str, TensorForceField],
    seconds: typing.Mapping[str, float],
) -> dict[str, typing.Any]:
    """What goes into ``summary.json``.

    Args:
        statistics: for the counts.
        objectives: the loss on each split that has entries.
        fields: "initial", "final" and "optimum", the floor of the training loss without priors.
        seconds: further figures, by name.

    Returns:
        ``loss_initial``, ``loss_final``, ``loss_optimum`` (of the training split, without priors), the counts and the
        two parts of the loss of each split and force field, and the seconds.
    """
    losses = {name: compute_losses(objectives, force_field) for name, force_field in fields.items()}
    splits: dict[str, dict[str, float]] = {}
    for split in SPLITS:
        groups = [group for (_, name), group in statistics.groups.items() if name == split]
        splits[split] = {
            "n_entries": sum(group.n_entries for group in groups),
            "n_molecules": statistics.n_molecules[split],
            "n_conformers": sum(group.n_conformers for group in groups),
        }
        for name in fields if split in objectives else ():
            for part in ("loss_energy", "loss_forces"):
                splits[split][f"{part}_{name}"] = losses[name][split][part]
    train = {name: losses[name]["train"]["loss"] for name in fields}
    return {
        **{f"loss_{name}": loss for name, loss in train.items()},
        "excess_over_optimum": train["final"] / train["optimum"] - 1.0 if train["optimum"] > 0.0 else 0.0,
        "objective_final": objectives["train"].compute_loss(fields["final"]).item(),
        "prior_strength": objectives["train"].prior_strength,
        "splits": splits,
        "statistics": statistics.fingerprint,
        "statistics_reused": statistics.is_reused,
        "n_ranks": statistics.n_ranks,
        "seconds_pass": 0.0 if statistics.is_reused else statistics.seconds,
        **seconds,
    }
