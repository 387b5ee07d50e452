"""Scalars for TensorBoard."""

import collections.abc
import pathlib

from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter


class Log:
    """Scalars for TensorBoard, in the run folder."""

    def __init__(self, folder: pathlib.Path, start_epoch: int = 0):
        """Opens a new events file; those of an interrupted run count up to ``start_epoch``."""
        self.writer = SummaryWriter(str(folder), purge_step=start_epoch + 1 if start_epoch else None)

    def add_losses(self, epoch: int, losses: collections.abc.Mapping[str, collections.abc.Mapping[str, float]]) -> None:
        """Writes what ``compute_losses`` gives, as ``<name>/<split>``: the curves of the splits share a plot."""
        values = [
            Summary.Value(tag=f"{name}/{split}", simple_value=value)
            for split, of in losses.items()
            for name, value in of.items()
        ]
        self.writer.file_writer.add_summary(Summary(value=values), epoch)  # one event, not one for each value

    def close(self) -> None:
        self.writer.close()
