"""Scalars and figures for TensorBoard.

TensorBoard's own writer works in a thread, whose errors (a full disk) no one can catch; here each event is written when
it comes, and the file is brought up to date every few seconds.
"""

import collections.abc
import contextlib
import io
import itertools
import os
import pathlib
import socket
import time
import typing

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from common.files.atomic import name_full_disk

if typing.TYPE_CHECKING:
    import matplotlib.figure

FLUSH_SECONDS = 5.0
"""How old what a reader sees may be."""

_counter = itertools.count()


class Log:
    """Scalars and figures for TensorBoard, in the run folder."""

    def __init__(self, folder: pathlib.Path, start_epoch: int = 0):
        """Opens a new events file; those of an interrupted run count up to ``start_epoch``.

        Raises:
            OSError: the disk is full, here and in all that follows; it names the file.
        """
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(_counter)}"
        self.path = folder / name
        self._flushed = time.time()
        with name_full_disk(self.path):
            self._file = self.path.open("wb")
        self._records = RecordWriter(self._file)
        self._add(Event(file_version="brain.Event:2"))
        if start_epoch:
            self._add(Event(step=start_epoch + 1, session_log=SessionLog(status=SessionLog.START)))
        self.flush()

    def add_scalars(self, epoch: int, scalars: collections.abc.Mapping[str, float]) -> None:
        """Writes numbers by tag, e.g. "loss/train": tags with the same first part share a plot."""
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        self._add(Event(step=epoch, summary=Summary(value=values)))  # one event, not one for each value

    def add_figure(self, epoch: int, tag: str, figure: "matplotlib.figure.Figure") -> None:
        """Writes a picture."""
        file = io.BytesIO()
        figure.savefig(file, format="png")
        width, height = (round(float(inches) * figure.dpi) for inches in figure.get_size_inches())
        image = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=file.getvalue())
        self._add(Event(step=epoch, summary=Summary(value=[Summary.Value(tag=tag, image=image)])))

    def _add(self, event: Event) -> None:
        event.wall_time = time.time()
        with self._closed_on_errors():
            self._records.write(event.SerializeToString())
        if event.wall_time - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Brings the file up to date."""
        self._flushed = time.time()
        with self._closed_on_errors():
            self._file.flush()

    @contextlib.contextmanager
    def _closed_on_errors(self) -> collections.abc.Iterator[None]:
        try:
            with name_full_disk(self.path):
                yield
        except OSError:
            with contextlib.suppress(OSError):  # what is left to write has no place either
                self._file.close()
            raise

    def close(self) -> None:
        """Nothing more comes."""
        with self._closed_on_errors():
            self._file.close()

    def __del__(self):
        """What a run has logged that ended by an error stays."""
        with contextlib.suppress(AttributeError, OSError):
            self._file.close()
