"""Learn the pair potential of rigid bodies from their trajectories, by gradients through the equations of motion.

Reads   outputs/trajectories/<name>/            what 031-simulate-bodies.py wrote, or LAMMPS's files in the same places
Writes  outputs/coarse-graining/<run>/          config.json, log.csv, TensorBoard events with every component of a
                                                rollout, checkpoints/, potential.pt (best on validation), summary.json

    python 032-coarse-grain.py
    python 032-coarse-grain.py --preset forces
    python 032-coarse-grain.py --preset run-example                  the settings of the original code's run-example.py
    python 032-coarse-grain.py --resume outputs/coarse-graining/<run>
    tensorboard --logdir outputs/coarse-graining

The gradient of a rollout is exact, by the adjoint of the very steps that were taken; forces are in closed form. On one
core a step of the optimiser takes a second for 256 windows of ten frames, with forces a twentieth of it.
"""

import dataclasses
import pathlib
import typing

from common.coarse_graining.configuration import Config, Further, check_config, check_further
from common.coarse_graining.trainer import POTENTIAL, RUNS, Trainer
from common.files.locks import hold_lock
from common.processes.memory import format_peak_memory
from common.processes.stage import remember_run, run_stage
from common.reporting.console import suggest_command
from common.runs.folder import SUMMARY, create_run_folder, read_config, write_config
from common.runs.names import name_run, read_first_settings
from common.runs.options import read_settings
from common.runs.settings import (
    AtLeastOne,
    Contents,
    Duration,
    Group,
    Machine,
    NonNegative,
    Positive,
    StageSettings,
    select_groups,
)

OUTPUTS = pathlib.Path("outputs")


@dataclasses.dataclass(frozen=True)
class Settings(StageSettings):
    """The keys of the original code, and what is added to them. Frequencies are in epochs; 0 means never."""

    # --- data --------------------------------------------------------------------------------------------------------
    folder: Contents[pathlib.Path] = OUTPUTS / "trajectories" / "benzene"  # has train/, validation/ and test/
    load_folder: Contents[pathlib.Path | None] = None  # start from the potential of this run
    frame_stride: AtLeastOne[int] = 1  # use every so many frames
    num_workers: Machine[NonNegative[int]] = 0  # processes that read files of LAMMPS; 0: this one

    # --- what is learned ---------------------------------------------------------------------------------------------
    inputs: typing.Literal["points", "averaged", "symmetric", "body-frame", "raw"] = (
        "points"  # what the network is told
    )
    n_points: AtLeastOne[int] = 6  # anchor points of a body, at least, of "points"
    n_radial: AtLeastOne[int] = 10  # Gaussians of their distances
    nn_depth: NonNegative[int] = 2  # hidden layers
    nn_width: AtLeastOne[int] = 32  # numbers in each
    activation: typing.Literal["silu", "tanh", "softplus", "sigmoid"] = "silu"

    # --- how ---------------------------------------------------------------------------------------------------------
    method: typing.Literal["trajectory", "forces", "finite-differences"] = "trajectory"  # what is matched
    gradient: typing.Literal["adjoint", "direct"] = "adjoint"  # of rollouts
    loss_func: typing.Literal[
        "all", "final", "all-mse", "final-mse", "all-pos", "final-pos", "all-mse-pos", "final-mse-pos"
    ] = "all-mse"  # which frames count; mean absolute or squared; "pos": without momenta
    batch_length: AtLeastOne[int] = 5  # frames of a training window after its first
    batch_length_step: NonNegative[int] = 0  # frames by which windows grow
    batch_length_freq: AtLeastOne[int] = 1  # [epochs] after which they grow
    eval_batch_length: AtLeastOne[int] = 10  # the same for validation and test
    steps_per_frame: AtLeastOne[int] = 1  # of the integrator
    batch_size: AtLeastOne[int] = 256  # windows, or frames, of one step of the optimiser
    batches_per_epoch: NonNegative[int] = 10  # 0: all samples once
    shuffle: bool = True  # another order each epoch
    balance: NonNegative[float] = 0.5  # 0: all samples count alike; 1: all distances of bodies count alike
    asymptote: NonNegative[float] = (
        0.1  # weight of a tail like r⁻⁶ beyond the distances of the data; 0 for charged bodies
    )
    epochs: Duration[NonNegative[int]] = 40
    start_epoch: NonNegative[int] = 0  # the counter begins after this one
    optimizer: str = "Adam"  # a name of torch.optim
    learning_rate: Positive[float] = 0.005
    scheduler: typing.Literal["LambdaLR", "ExponentialLR", "CyclicLR", "CosineAnnealingLR"] | None = "CosineAnnealingLR"
    scheduling_factor: Positive[float] = 0.02  # of the scheduler
    scheduling_freq: NonNegative[int] = 1  # between its steps
    max_gradient_norm: Positive[float] = 1.0  # longer gradients are shortened
    seed: NonNegative[int] = 0  # of weights and order
    stopping_freq: NonNegative[int] = 0  # between looks whether the loss still falls
    stopping_look_back: AtLeastOne[int] = 1  # looks back, of which it must have fallen
    evaluation_freq: NonNegative[int] = 2  # between evaluations on the validation split

    # --- where and with what -----------------------------------------------------------------------------------------
    dtype: typing.Literal["float64", "float32"] = "float64"
    device: Machine[str] = "cpu"  # "cuda" where there is a GPU
    itr_printing_freq: Machine[NonNegative[int]] = 0  # [steps of the optimiser] between lines
    printing_freq: Machine[NonNegative[int]] = 5  # between lines
    plotting_freq: Machine[NonNegative[int]] = 20  # between figures of all components
    checkpoint_freq: Machine[NonNegative[int]] = 10  # between saved potentials
    output: Machine[pathlib.Path] = RUNS  # folder of runs
    resume: Machine[pathlib.Path | None] = None  # go on with this run; more epochs may be given

    def check(self) -> None:
        if self.resume is None and not self.folder.is_dir():
            return  # said better where the folder is read
        check_config(self.config)
        check_further(self.further, self.config)

    @property
    def config(self) -> Config:
        """The keys of the original."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(Config)}
        load_folder = None if self.load_folder is None else str(self.load_folder)
        return Config(**{**plain, "folder": str(self.folder), "load_folder": load_folder})

    @property
    def further(self) -> Further:
        """What is added."""
        return Further(**{field.name: getattr(self, field.name) for field in dataclasses.fields(Further)})


def open_run(settings: Settings) -> pathlib.Path:
    """A new run folder, or that of the run to go on with."""
    if settings.resume is not None:
        (settings.resume / SUMMARY).unlink(missing_ok=True)  # it has not ended any more
        return settings.resume
    named = select_groups(settings, Group.RESULT, Group.CONTENTS, Group.DURATION)
    what = f"{settings.method}-{settings.inputs}"
    return create_run_folder(
        settings.output, name_run(what, named, read_first_settings(settings.output), ("method", "inputs"))
    )


def has_ended(settings: Settings) -> bool:
    """Whether the run to go on with has done all its epochs."""
    if settings.resume is None or not (settings.resume / SUMMARY).is_file():
        return False
    return read_config(settings.resume).get("epochs") == settings.epochs


def main() -> None:
    settings = read_settings(Settings)
    if has_ended(settings):
        print(f"{settings.resume}: this run has ended; it may be given more with --epochs")
        return
    trainer = Trainer(settings.config, settings.further)
    for notice in trainer.notices:
        print(f"{notice.path}: {notice.what}")
    folder = trainer.folder = open_run(settings)
    with hold_lock(folder / ".lock"):
        write_config(folder, settings)
        remember_run(folder)
        print(f"run {folder}: {settings.method}, inputs {settings.inputs}")
        summary = trainer.train(resume=settings.resume is not None)
    print(
        f"epoch {summary['epoch']}: loss {summary['loss_train']:.4g}, on test {summary['loss_test']:.4g}; "
        f"{summary['n_parameters']} weights, {summary['seconds']:.0f} s, peak memory {format_peak_memory()}"
    )
    print(f"wrote {folder / POTENTIAL}")
    print(suggest_command("033-roll-out.py", {}, "--runs", folder))


if __name__ == "__main__":
    run_stage(main)
