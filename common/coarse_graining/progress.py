"""How far a training is: its losses, the best weights so far, and whether the loss still falls."""

import csv
import dataclasses
import math
import pathlib
import typing

import torch

from common.files.atomic import replace_atomically

MOMENTUM = 0.99
"""Of the running average of the loss."""

COLUMNS = ("epoch", "seconds", "loss/train", "loss/validation", "learning rate", "batch length")
"""Of log.csv."""


@dataclasses.dataclass
class Progress:
    """How far a training is.

    Attributes:
        epoch: the last one that is done.
        loss: its mean.
        average, n_values: of the running average of losses.
        looks: running averages at each look whether the loss still falls.
        rows: of log.csv.
        best, best_loss, best_epoch: weights with the least loss on the validation split.
        has_checkpoint: whether there is one to go on from.
    """

    epoch: int
    loss: float = math.nan
    average: float = 0.0
    n_values: int = 0
    looks: list[float] = dataclasses.field(default_factory=list)
    rows: list[dict[str, float]] = dataclasses.field(default_factory=list)
    best: dict[str, torch.Tensor] = dataclasses.field(default_factory=dict)
    best_loss: float = math.inf
    best_epoch: int = 0
    has_checkpoint: bool = False

    def add(self, value: float) -> None:
        """Takes the loss of a step of the optimiser into the running average."""
        self.average = MOMENTUM * self.average + (1.0 - MOMENTUM) * value
        self.n_values += 1

    def compare(self, loss: float, weights: dict[str, torch.Tensor]) -> None:
        """Keeps the weights where their loss on the validation split is the least so far."""
        if loss < self.best_loss:
            self.best_loss, self.best_epoch = loss, self.epoch
            self.best = {name: value.detach().cpu().clone() for name, value in weights.items()}

    def look(self, look_back: int) -> bool:
        """Whether the running average is larger than so many looks ago."""
        self.looks.append(self.average / (1.0 - MOMENTUM**self.n_values))
        return len(self.looks) > look_back and self.looks[-1] > self.looks[-1 - look_back]

    def to_plain(self) -> dict[str, typing.Any]:
        """For a checkpoint, which has the epoch itself."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in plain.items() if name not in ("epoch", "has_checkpoint")}

    def write_log(self, path: pathlib.Path) -> None:
        """Writes log.csv, whole or not at all."""
        with replace_atomically(path) as beside, beside.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(self.rows)
