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

    def add_scalars(self, epoch: int, scalars: collections.abc.Mapping[str, float]) -> None:
        """Writes numbers by tag, e.g. "loss/train": tags with the same first part share a plot."""
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        writer = self.writer.file_writer
        assert writer is not None  # it is open until close()
        writer.add_summary(Summary(value=values), epoch)  # one event, not one for each value

    def close(self) -> None:
        self.writer.close()
