"""The methods of stage 004: from a fit that is set up to a fitted force field, logged on the way."""

import dataclasses
import math
import pathlib

from common.fitting.adam import Best, Epochs, begin, build_delta, run_epochs
from common.fitting.exact_fit import fit_exact, search_all
from common.fitting.objective import Objective
from common.fitting.optimizers import describe_end
from common.fitting.outputs import compute_losses, describe_losses, evaluate_losses, save_force_field
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
    log = Log(fit.folder, done.number)
    measure = build_delta(fit.objectives["train"], trainable)
    if done.number == 0:
        losses = evaluate_losses(fit.objectives, measure(values))
        log.add_scalars(0, describe_losses(losses))
        done = done._replace(best=Best(0, losses.get("validation", {}).get("loss", math.inf), values))
    stops = list_stops(done.number, n_epochs, checkpoint_interval)
    with make_bar(total=n_epochs, initial=done.number, desc="fit", unit="epoch") as bar:
        for epochs in run_epochs(fit.objectives, trainable, learning_rate, stops, done):
            bar.update(epochs.number - done.number)
            done = epochs
            log.add_scalars(done.number, describe_losses(evaluate_losses(fit.objectives, measure(done.values))))
            is_interval = done.number % checkpoint_interval == 0
            if is_interval:
                bar.set_postfix_str(f"loss {done.loss:.4g}", refresh=False)
                path = fit.folder / "checkpoints" / f"epoch-{done.number:06d}"
                lines = [*fit.comments, f"after {done.number} epochs"]
                save_force_field(path, trainable.to_force_field(done.values), fit.molecules, lines)
            if is_interval or done.number == n_epochs:
                plain = {"values": done.values, "optimizer": done.optimizer_state, "best": done.best._asdict()}
                save_checkpoint(fit.folder, Checkpoint(done.number, plain, fit.fingerprint))
    log.close()
    best = done.best
    if math.isfinite(best.loss):
        print(
            f"the validation loss was least after epoch {best.epoch}: {best.loss:.6g}, see {fit.folder / BEST}.offxml"
        )
        lines = [*fit.comments, f"after epoch {best.epoch}, where the loss on the validation molecules was least"]
        save_force_field(fit.folder / BEST, trainable.to_force_field(best.values), fit.molecules, lines)
    return trainable.to_force_field(done.values)


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
