"""Where an interrupted run goes on."""

import pathlib
import typing

import torch

from common.files.atomic import replace_atomically
from common.files.tensor_file import read_tensors_if_whole, write_tensors


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
