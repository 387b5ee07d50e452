"""The methods of stage 004: from a fit that is set up to a fitted force field, logged on the way."""

import dataclasses
import math
import pathlib
import time

import torch

from common.fitting.adam import Best, Epochs, begin, build_delta, run_epochs
from common.fitting.exact_fit import fit_exact, search_all
from common.fitting.objective import Objective
from common.fitting.optimizers import describe_end
from common.fitting.outputs import compute_losses, describe_losses, evaluate_curves, save_force_field
from common.forcefields.tensors import ParameterizedMolecules, TensorForceField
from common.forcefields.trainable import Trainable, TrainedColumns
from common.processes.progress import make_bar
from common.runs.checkpoints import Checkpoint, save_checkpoint
from common.runs.tensorboard import Log


@dataclasses.dataclass(frozen=True)
class Fit:
    """A fit that is set up.

    Attributes:
        folder: of the run.
        trained, trainable: what is trained.
        objectives: the loss on each split; that of "train" is minimised.
        molecules: what the fit starts from.
        comments: lines for the head of the OFFXML files.
        fingerprint: of everything that determines the trajectory.
    """

    folder: pathlib.Path
    trained: TrainedColumns
    trainable: Trainable
    objectives: dict[str, Objective]
    molecules: ParameterizedMolecules
    comments: list[str]
    fingerprint: str

    @property
    def initial(self) -> TensorForceField:
        """The starting force field, within the limits."""
        return self.trainable.to_force_field(self.trainable.to_values(self.molecules.force_field))


WRITE_SECONDS = 1.0
"""Curves are written so often at least, as long as the fit goes on."""

BEST = "best"
"""Name of the force field of the epoch with the least validation loss, without suffix."""


N_LOGGED = 100
"""So many epochs are logged one by one, and of those that follow each tenth: more points than a curve can show."""


def list_stops(start: int, n_epochs: int, checkpoint_interval: int) -> list[int]:
    """The epochs after ``start`` that are logged or saved."""
    return [
        number
        for number in range(start + 1, n_epochs + 1)
        if number <= N_LOGGED or number % 10 == 0 or number % checkpoint_interval == 0 or number == n_epochs
    ]


def run_adam(
    fit: Fit, learning_rate: float, n_epochs: int, checkpoint_interval: int, checkpoint: Checkpoint | None
) -> TensorForceField:
    """Full-batch epochs; the force field and a checkpoint are saved every ``checkpoint_interval`` of them.

    Where there are validation molecules, the force field of the epoch that is best on them is saved, too.

    Args:
        fit: what is to be fitted.
        learning_rate: of the scaled values.
        n_epochs: in all, those of the interrupted run among them.
        checkpoint_interval: [epochs]
        checkpoint: where an interrupted run goes on; None for a new run.
    """
    trainable = fit.trainable
    values = trainable.to_values(fit.molecules.force_field)
    done = begin(values)
    if checkpoint is not None:
        state = checkpoint.state
        best = Best(*(state["best"][name] for name in Best._fields))
        done = Epochs(checkpoint.epoch, math.nan, state["values"], state["optimizer"], best)
        print(f"going on after epoch {done.number}")
    curves = _Curves(fit, Log(fit.folder, done.number))
    if done.number == 0:
        curves.add(0, values)
        [losses] = curves.write()
        done = done._replace(best=Best(0, losses.get("validation", {}).get("loss", math.inf), values))
    stops = list_stops(done.number, n_epochs, checkpoint_interval)
    with make_bar(total=n_epochs, initial=done.number, desc="fit", unit="epoch") as bar:
        for epochs in run_epochs(fit.objectives, trainable, learning_rate, stops, done):
            bar.update(epochs.number - done.number)
            done = epochs
            curves.add(done.number, done.values)
            is_interval = done.number % checkpoint_interval == 0
            if is_interval or done.number == n_epochs or curves.is_due:
                curves.write()
            if is_interval:
                bar.set_postfix_str(f"loss {done.loss:.4g}", refresh=False)
                path = fit.folder / "checkpoints" / f"epoch-{done.number:06d}"
                lines = [*fit.comments, f"after {done.number} epochs"]
                save_force_field(path, trainable.to_force_field(done.values), fit.molecules, lines)
            if is_interval or done.number == n_epochs:
                plain = {"values": done.values, "optimizer": done.optimizer_state, "best": done.best._asdict()}
                save_checkpoint(fit.folder, Checkpoint(done.number, plain, fit.fingerprint))
    curves.log.close()
    best = done.best
    if math.isfinite(best.loss):
        print(
            f"the validation loss was least after epoch {best.epoch}: {best.loss:.6g}, see {fit.folder / BEST}.offxml"
        )
        lines = [*fit.comments, f"after epoch {best.epoch}, where the loss on the validation molecules was least"]
        save_force_field(fit.folder / BEST, trainable.to_force_field(best.values), fit.molecules, lines)
    return trainable.to_force_field(done.values)


class _Curves:
    """The losses of all splits along a fit, for TensorBoard: worked out for many epochs in one product."""

    def __init__(self, fit: Fit, log: Log):
        self.log = log
        self._fit = fit
        self._measure = build_delta(fit.objectives["train"], fit.trainable)
        self._numbers: list[int] = []
        self._deltas: list[torch.Tensor] = []
        self._written = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether somebody who watches has waited for long enough."""
        return time.monotonic() - self._written > WRITE_SECONDS

    def add(self, number: int, values: torch.Tensor) -> None:
        """An epoch, by its number and the trained values that it led to."""
        self._numbers.append(number)
        self._deltas.append(self._measure(values))

    def write(self) -> list[dict[str, dict[str, float]]]:
        """The losses of the epochs since the last time, which are logged."""
        curves = evaluate_curves(self._fit.objectives, torch.stack(self._deltas))
        for number, losses in zip(self._numbers, curves, strict=True):
            self.log.add_scalars(number, describe_losses(losses))
        self._numbers, self._deltas, self._written = [], [], time.monotonic()
        return curves


def run_lbfgs(fit: Fit, max_iterations: int) -> TensorForceField:
    """L-BFGS on all trained values at once."""
    minimum = search_all(fit.objectives["train"], fit.trainable, fit.molecules.force_field, max_iterations)
    print(f"L-BFGS {describe_end(minimum)}")
    return _log_ends(fit, fit.trainable.to_force_field(minimum.values))


def run_exact(fit: Fit) -> TensorForceField:
    """The global optimum of the valence terms; with trained vdW, a local one of these."""
    exact = fit_exact(fit.objectives["train"], fit.trainable, fit.trained, fit.initial)
    print(f"exact: {exact.message}; its conditions hold to {exact.optimality:.1e}")
    return _log_ends(fit, exact.force_field)


def fit_quietly(
    method: str,
    objective: Objective,
    trainable: Trainable,
    trained: TrainedColumns,
    start: TensorForceField,
    n_epochs: int,
    learning_rate: float,
) -> TensorForceField:
    """A fit that leaves no files and says nothing.

    Args:
        method: "adam", "lbfgs" or "exact".
        objective: the training loss.
        trainable, trained: what is trained.
        start: where the fit starts.
        n_epochs, learning_rate: of Adam; most iterations of L-BFGS.
    """
    if method == "exact":
        return fit_exact(objective, trainable, trained, start).force_field
    if method == "lbfgs":
        return trainable.to_force_field(search_all(objective, trainable, start, n_epochs).values)
    ends = run_epochs({"train": objective}, trainable, learning_rate, [n_epochs], begin(trainable.to_values(start)))
    return trainable.to_force_field(next(ends).values)


def _log_ends(fit: Fit, final: TensorForceField) -> TensorForceField:
    """Logs the losses of the first and the last force field, for methods without epochs."""
    log = Log(fit.folder)
    for epoch, force_field in enumerate((fit.initial, final)):
        log.add_scalars(epoch, describe_losses(compute_losses(fit.objectives, force_field)))
    log.close()
    return final
