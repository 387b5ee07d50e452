"""The learning curves of a run, read back from its TensorBoard events."""

import pathlib
import typing

import numpy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


class Curve(typing.NamedTuple):
    """A quantity after each epoch that was logged, ``shape=(n,)`` both."""

    epochs: numpy.ndarray
    values: numpy.ndarray


def read_curves(folder: pathlib.Path) -> dict[str, Curve]:
    """All scalars in a run folder, by tag, e.g. "loss/train"."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    curves = {}
    for tag in events.Tags()["scalars"]:
        points = events.Scalars(tag)
        curves[tag] = Curve(numpy.array([p.step for p in points]), numpy.array([p.value for p in points]))
    return curves
