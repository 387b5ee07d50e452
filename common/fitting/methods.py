"""The methods of stage 004: from a fit that is set up to a fitted force field, logged on the way."""

import dataclasses
import math
import pathlib
import typing

import torch

from common.fitting.exact_fit import fit_exact, search_all
from common.fitting.objective import Objective
from common.fitting.optimizers import describe_end, iterate_adam
from common.fitting.outputs import compute_losses, describe_losses, save_force_field
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


BEST = "best"
"""Name of the force field of the epoch with the least validation loss, without suffix."""


class Best(typing.NamedTuple):
    """The epoch with the least validation loss so far; a loss of infinity where nothing validates."""

    epoch: int
    loss: float
    values: torch.Tensor

    def compare(self, epoch: int, losses: dict[str, dict[str, float]], values: torch.Tensor) -> "Best":
        """The better of this and another epoch."""
        loss = losses.get("validation", {}).get("loss", math.inf)
        return Best(epoch, loss, values.detach().clone()) if loss < self.loss else self


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
    epoch, values, optimizer_state = 0, trainable.to_values(fit.molecules.force_field), None
    best = Best(0, math.inf, values)
    if checkpoint is not None:
        epoch, values, optimizer_state = checkpoint.epoch, checkpoint.state["values"], checkpoint.state["optimizer"]
        best = Best(*(checkpoint.state["best"][name] for name in Best._fields))
        print(f"going on after epoch {epoch}")
    log = Log(fit.folder, epoch)
    if epoch == 0:
        losses = compute_losses(fit.objectives, trainable.to_force_field(values))
        log.add_scalars(0, describe_losses(losses))
        best = best.compare(0, losses, values)
    epochs = iterate_adam(fit.objectives["train"], trainable, values, learning_rate, n_epochs, epoch, optimizer_state)
    bar = make_bar(epochs, total=n_epochs, initial=epoch, desc="fit", unit="epoch")
    for done in bar:
        values = done.values
        force_field = trainable.to_force_field(values)
        losses = compute_losses(fit.objectives, force_field)
        log.add_scalars(done.number, describe_losses(losses))
        best = best.compare(done.number, losses, values)
        is_interval = done.number % checkpoint_interval == 0
        if is_interval:
            bar.set_postfix_str(f"loss {done.loss:.4g}", refresh=False)
            path = fit.folder / "checkpoints" / f"epoch-{done.number:06d}"
            lines = [*fit.comments, f"after {done.number} epochs"]
            save_force_field(path, force_field, fit.molecules, lines)
        if is_interval or done.number == n_epochs:
            state = {"values": values, "optimizer": done.optimizer_state, "best": best._asdict()}
            save_checkpoint(fit.folder, Checkpoint(done.number, state, fit.fingerprint))
    log.close()
    if math.isfinite(best.loss):
        print(
            f"the validation loss was least after epoch {best.epoch}: {best.loss:.6g}, see {fit.folder / BEST}.offxml"
        )
        lines = [*fit.comments, f"after epoch {best.epoch}, where the loss on the validation molecules was least"]
        save_force_field(fit.folder / BEST, trainable.to_force_field(best.values), fit.molecules, lines)
    return trainable.to_force_field(values)


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


def _log_ends(fit: Fit, final: TensorForceField) -> TensorForceField:
    """Logs the losses of the first and the last force field, for methods without epochs."""
    log = Log(fit.folder)
    for epoch, force_field in enumerate((fit.initial, final)):
        log.add_scalars(epoch, describe_losses(compute_losses(fit.objectives, force_field)))
    log.close()
    return final
