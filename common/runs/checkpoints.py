"""Where an interrupted run goes on."""

import pathlib
import typing

from common.files.atomic import replace_atomically
from common.files.tensor_file import read_tensors_if_whole, write_tensors

LAST = pathlib.PurePath("checkpoints", "last.pt")
"""Within the folder of a run."""


class Checkpoint(typing.NamedTuple):
    """Where an interrupted run goes on.

    Attributes:
        epoch: the last one that is done.
        state: all that the next epoch needs: tensors, numbers, text, and lists and dicts of these.
        fingerprint: of everything that determines the trajectory.
    """

    epoch: int
    state: dict[str, typing.Any]
    fingerprint: str


def save_checkpoint(folder: pathlib.Path, checkpoint: Checkpoint) -> None:
    """Writes the checkpoint of a run, in place of the one before."""
    with replace_atomically(folder / LAST) as beside:
        write_tensors(checkpoint._asdict(), beside)


def load_checkpoint(folder: pathlib.Path, fingerprint: str) -> Checkpoint:
    """Reads the checkpoint of an interrupted run.

    Args:
        folder: of the run.
        fingerprint: of what is asked for now.

    Raises:
        FileNotFoundError: the run has no checkpoint.
        ValueError: it is damaged, or the contents of data or parameters are others now.
    """
    path = folder / LAST
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; the run ended before its first checkpoint, or its method has none: start a new one"
        )
    plain = read_tensors_if_whole(path)
    if plain is None:
        raise ValueError(f"{path}: damaged; start the run anew")
    if set(plain) != set(Checkpoint._fields):
        raise ValueError(f"{path}: of another version; start the run anew")
    checkpoint = Checkpoint(**plain)
    if checkpoint.fingerprint != fingerprint:
        raise ValueError(
            f"{folder}: was made with other data or parameters than there are now (a path may change, contents may "
            "not); start a new run instead"
        )
    return checkpoint
