"""Training a pair potential: on trajectories through the equations of motion, or on forces.

    Trainer(config).train()

``config`` is the dictionary of :mod:`common.coarse_graining.configuration`; the run folder gets config.json, log.csv,
TensorBoard's events with figures, checkpoints/, and at the end potential.pt and summary.json.
"""

import collections.abc
import dataclasses
import math
import pathlib
import time
import typing

import torch

from common.body_trajectories.systems import UNITS
from common.coarse_graining.asymptote import build_asymptote
from common.coarse_graining.configuration import Config, Further, check_config, check_further, read_config
from common.coarse_graining.data import load_splits
from common.coarse_graining.figures import plot_components
from common.coarse_graining.objectives import Objective, build_machinery, build_objective, compute_windows_loss
from common.coarse_graining.optimizers import build_optimizer, compute_learning_rate
from common.coarse_graining.progress import Progress
from common.coarse_graining.windows import list_windows
from common.dynamics.rigid_bodies import Motion
from common.files.fingerprints import compute_fingerprint
from common.files.plain import write_json
from common.files.provenance import describe_versions
from common.pair_networks.potential import (
    LearnedPotential,
    Shape,
    build_learned_potential,
    load_learned_potential,
    save_learned_potential,
)
from common.runs.checkpoints import LAST, Checkpoint, load_checkpoint, save_checkpoint
from common.runs.folder import CONFIG, SUMMARY, create_run_folder
from common.runs.tensorboard import Log

RUNS = pathlib.Path("outputs/coarse-graining")

POTENTIAL = "potential.pt"
"""Within the folder of a run: the weights that were best on the validation split."""

N_EVALUATED = 1024
"""Windows of an evaluation, at most."""

N_PLOTTED = 200
"""Frames of the figures, at most."""

UNCOUNTED = (
    "folder", "load_folder", "num_workers", "device", "epochs", "itr_printing_freq", "printing_freq", "plotting_freq",
    "checkpoint_freq",
)  # fmt: skip
"""Keys that do not determine the weights after an epoch: the data themselves count, not where they are."""


class Trainer:
    """One training.

    Args:
        config: the keys of the original, all of them and no others.
        further: what is added to them.
        folder: of the run; a new one below outputs/coarse-graining/ where it is None.

    Raises:
        ValueError: a key or value is wrong, or does not fit the data; before any work is done.
        FileNotFoundError: there are no data.
    """

    def __init__(
        self,
        config: collections.abc.Mapping[str, typing.Any] | Config,
        further: Further | None = None,
        folder: pathlib.Path | None = None,
    ):
        self.config = config if isinstance(config, Config) else read_config(config)
        self.further = further or Further()
        check_config(self.config)
        check_further(self.further, self.config)
        self.folder = folder
        splits, self.notices = load_splits(pathlib.Path(self.config.folder), self.config.num_workers)
        stride = slice(None, None, self.further.frame_stride)
        self.splits = {split: own.select(frames=stride) for split, own in splits.items()}
        self.learned = self._build_potential().to(self.config.device)
        self.machinery = build_machinery(self.splits["train"], self.config, self.further)
        self._add_asymptote = build_asymptote(
            self.learned, self.splits["train"], self.further.asymptote, self.further.seed
        )
        self._objective: tuple[int, Objective] | None = None
        self._check_lengths()

    def _build_potential(self) -> LearnedPotential:
        config, further, data = self.config, self.further, self.splits["train"]
        dtype = getattr(torch, config.dtype)
        shape = Shape(
            further.inputs, config.nn_depth, config.nn_width, further.activation, further.n_points, further.n_radial
        )
        if config.load_folder is None:
            return build_learned_potential(data, shape, further.seed, dtype)
        path = pathlib.Path(config.load_folder)
        learned, _ = load_learned_potential(path if path.is_file() else path / POTENTIAL)
        if learned.shape != shape:
            raise ValueError(f"load_folder = {config.load_folder!r}: has {learned.shape}, and {shape} is asked for")
        if [len(body.sites) for body in learned.system.bodies] != [len(body.sites) for body in data.system.bodies]:
            raise ValueError(f"load_folder = {config.load_folder!r}: is a potential of other bodies")
        return learned.cast(dtype)

    def _check_lengths(self) -> None:
        last = self.config.start_epoch + self.config.epochs
        for split, length, name in (
            ("train", self.get_batch_length(last), "batch_length"),
            ("validation", self.config.eval_batch_length, "eval_batch_length"),
            ("test", self.config.eval_batch_length, "eval_batch_length"),
        ):
            list_windows(self.splits[split], length, 1, name)
        n_samples = self._get_objective(self.get_batch_length(last)).n_samples
        if self.config.batch_size > n_samples:
            what = "windows" if self.further.method == "trajectory" else "frames"
            raise ValueError(
                f"batch_size = {self.config.batch_size}: more than the {n_samples} {what} of the training split"
            )

    def get_batch_length(self, epoch: int) -> int:
        """Frames of a window after its first, which grow from epoch to epoch."""
        n_before = max(0, epoch - 1 - self.config.start_epoch)
        return self.config.batch_length + self.further.batch_length_step * (n_before // self.further.batch_length_freq)

    def _get_objective(self, length: int) -> Objective:
        if self._objective is None or self._objective[0] != length:
            built = build_objective(
                self.splits["train"], self.learned, self.config, self.further, self.machinery, length
            )
            self._objective = (length, built)
        return self._objective[1]

    # --- training ----------------------------------------------------------------------------------------------------

    def train(self, resume: bool = False) -> dict[str, typing.Any]:
        """Trains, and gives the summary.

        Args:
            resume: go on from the last checkpoint of the folder.

        Raises:
            RuntimeError: a loss is not finite.
            ValueError: the folder's checkpoint is of other settings.
        """
        config = self.config
        fingerprint, last = self.compute_fingerprint(), config.start_epoch + config.epochs
        folder = self.folder = self.folder or create_run_folder(RUNS, self.further.method)
        if not (folder / CONFIG).is_file():
            plain = {"config": dataclasses.asdict(config), "further": dataclasses.asdict(self.further)}
            write_json(folder / CONFIG, {**plain, "versions": describe_versions()})
        optimizer = build_optimizer(config.optimizer, self.learned.parameters(), config.learning_rate)
        progress = Progress(config.start_epoch)
        if resume:
            progress = self._restore(load_checkpoint(folder, fingerprint), optimizer)
        log, start = Log(folder, progress.epoch), time.perf_counter()
        for epoch in range(progress.epoch + 1, last + 1):
            rate = self._set_rate(optimizer, epoch)
            progress.loss = self._run_epoch(optimizer, epoch, rate, progress)
            progress.epoch = epoch
            is_flat = _is_due(epoch, config.stopping_freq) and progress.look(self.further.stopping_look_back)
            is_end = is_flat or epoch == last
            self._report(log, progress, rate, start, is_end)
            if is_end or _is_due(epoch, config.checkpoint_freq):
                self._save(folder, optimizer, progress, fingerprint)
            if is_flat:
                print(f"epoch {epoch}: the loss has stopped falling")
                break
        log.close()
        return self._finish(folder, progress, time.perf_counter() - start)

    def compute_fingerprint(self) -> str:
        """Names all that determines the weights after each epoch."""
        counted = {name: value for name, value in dataclasses.asdict(self.config).items() if name not in UNCOUNTED}
        if self.config.scheduler == "CosineAnnealingLR":
            counted["epochs"] = self.config.epochs
        data = self.splits["train"]
        weights = (
            None if self.config.load_folder is None else [float(p.detach().sum()) for p in self.learned.parameters()]
        )
        numbers = [float(values.sum()) for values in data.motion]
        return compute_fingerprint([counted, dataclasses.asdict(self.further), data.names, numbers, weights])

    def _set_rate(self, optimizer: torch.optim.Optimizer, epoch: int) -> float:
        config, freq = self.config, self.config.scheduling_freq
        n_done, n_total = ((n // freq if freq else 0) for n in (epoch - 1 - config.start_epoch, config.epochs - 1))
        scheduler = config.scheduler if freq else None
        rate = compute_learning_rate(scheduler, config.learning_rate, config.scheduling_factor, n_done, n_total)
        for group in optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _run_epoch(self, optimizer: torch.optim.Optimizer, epoch: int, rate: float, progress: Progress) -> float:
        """The mean loss; samples in another order each epoch, the same for the same epoch."""
        config, further = self.config, self.further
        objective = self._get_objective(self.get_batch_length(epoch))
        generator = torch.Generator().manual_seed(further.seed * 1_000_003 + epoch)
        n_samples = objective.n_samples
        order = torch.randperm(n_samples, generator=generator) if config.shuffle else torch.arange(n_samples)
        n_batches = n_samples // config.batch_size
        n_batches = min(n_batches, further.batches_per_epoch or n_batches)
        values = []
        for i, chosen in enumerate(order.split(config.batch_size)[:n_batches]):
            value = self._take_step(optimizer, objective, chosen, epoch * n_samples + i)
            if not math.isfinite(value):
                kept = f"; {self.folder}/{LAST} is kept" if progress.has_checkpoint else ""
                raise RuntimeError(
                    f"the loss is {value} in epoch {epoch} at a learning rate of {rate:g}: lower the rate, or shorten "
                    f"the windows{kept}"
                )
            values.append(value)
            progress.add(value)
            if _is_due(i + 1, config.itr_printing_freq):
                print(f"epoch {epoch}, step {i + 1}: loss {value:.5g}")
        return sum(values) / len(values)

    def _take_step(
        self, optimizer: torch.optim.Optimizer, objective: Objective, chosen: torch.Tensor, number: int
    ) -> float:
        values: list[float] = []

        def closure() -> float:
            optimizer.zero_grad()
            values.append(objective.evaluate(chosen))
            self._add_asymptote(number)
            torch.nn.utils.clip_grad_norm_(self.learned.parameters(), self.further.max_gradient_norm)
            return values[-1]

        if isinstance(optimizer, torch.optim.LBFGS):
            optimizer.step(closure)
        else:
            closure()
            if math.isfinite(values[0]):
                optimizer.step()
        return next((value for value in values if not math.isfinite(value)), values[0])

    # --- looking at it -----------------------------------------------------------------------------------------------

    def evaluate(self, split: str) -> float:
        """The loss of rollouts over ``eval_batch_length`` frames in a split."""
        length = self.config.eval_batch_length
        windows = list_windows(self.splits[split], length, length, "eval_batch_length")
        chosen = torch.linspace(0, len(windows.starts) - 1, min(N_EVALUATED, len(windows.starts))).long()
        field = self.learned.build_total().compute_field
        return float(compute_windows_loss(self.config.loss_func, windows, chosen, field, self.machinery).mean())

    def _report(self, log: Log, progress: Progress, rate: float, start: float, is_end: bool) -> None:
        config, epoch = self.config, progress.epoch
        seconds = time.perf_counter() - start
        scalars = {
            "loss/train": progress.loss,
            "learning rate": rate,
            "batch length": float(self.get_batch_length(epoch)),
        }
        told = ""
        if _is_due(epoch, config.evaluation_freq) or (is_end and config.evaluation_freq):
            scalars["loss/validation"] = self.evaluate("validation")
            progress.compare(scalars["loss/validation"], self.learned.state_dict())
            told = f", validation {scalars['loss/validation']:.5g}"
        log.add_scalars(epoch, scalars)
        progress.rows.append({"epoch": epoch, "seconds": round(seconds, 3), **scalars})
        if _is_due(epoch, config.plotting_freq):
            self._plot(log, epoch)
        if _is_due(epoch, config.printing_freq):
            print(f"epoch {epoch}: loss {progress.loss:.5g}{told}, {seconds:.0f} s")

    def _plot(self, log: Log, epoch: int) -> None:
        data = self.splits["validation"]
        windows = list_windows(data, min(N_PLOTTED, data.n_frames - 1), 1, "plotting")
        start, true = windows.take(torch.tensor([0]), self.machinery.dtype, self.config.device)
        predicted = self.machinery.roll_out(start, self.learned.build_total().compute_field, windows.length)
        one, other = (Motion(*(values[0].cpu() for values in frames)) for frames in (true, predicted))
        for name, figure in plot_components(one, other, data.interval, UNITS[data.system.units]).items():
            log.add_figure(epoch, f"rollout/{name.replace('_', ' ')}", figure)

    # --- keeping it --------------------------------------------------------------------------------------------------

    def _save(
        self, folder: pathlib.Path, optimizer: torch.optim.Optimizer, progress: Progress, fingerprint: str
    ) -> None:
        path = folder / "checkpoints" / f"{progress.epoch}.pt"
        save_learned_potential(path, self.learned, self._describe())
        weights = {name: value.detach().cpu() for name, value in self.learned.state_dict().items()}
        kept = {"weights": weights, "optimizer": optimizer.state_dict(), "progress": progress.to_plain()}
        save_checkpoint(folder, Checkpoint(progress.epoch, kept, fingerprint))
        progress.has_checkpoint = True

    def _restore(self, checkpoint: Checkpoint, optimizer: torch.optim.Optimizer) -> Progress:
        self.learned.load_state_dict(checkpoint.state["weights"])
        optimizer.load_state_dict(checkpoint.state["optimizer"])
        return Progress(checkpoint.epoch, **checkpoint.state["progress"], has_checkpoint=True)

    def _describe(self) -> dict[str, typing.Any]:
        return {
            "config": dataclasses.asdict(self.config),
            "further": dataclasses.asdict(self.further),
            "spreads": dataclasses.asdict(self.machinery.spreads),
        }

    def _finish(self, folder: pathlib.Path, progress: Progress, seconds: float) -> dict[str, typing.Any]:
        """Takes the best weights, tests them once, and writes what the run has come to."""
        if progress.best:
            self.learned.load_state_dict(progress.best)
        summary = {
            "epoch": progress.epoch,
            "loss_train": progress.loss,
            "best_epoch": progress.best_epoch if progress.best else progress.epoch,
            "loss_validation": progress.best_loss if progress.best else None,
            "loss_test": self.evaluate("test"),
            "seconds": seconds,
            "n_parameters": sum(values.numel() for values in self.learned.parameters()),
        }
        save_learned_potential(folder / POTENTIAL, self.learned, self._describe())
        progress.write_log(folder / "log.csv")
        write_json(folder / SUMMARY, summary)
        return summary


def _is_due(number: int, freq: int) -> bool:
    return freq > 0 and number % freq == 0
