"""What a training minimises: losses of windows through the equations of motion, or of the forces of single frames."""

import collections.abc
import dataclasses
import typing

import torch

from common.body_trajectories.trajectories import Trajectories
from common.coarse_graining.configuration import Config, Further
from common.coarse_graining.gradients import GRADIENTS
from common.coarse_graining.losses import LOSSES, Spreads, compute_window_losses, measure_spreads
from common.coarse_graining.targets import collect_frames
from common.coarse_graining.windows import Windows, list_windows, measure_separations, weigh_by_signal
from common.dynamics.rigid_bodies import Field, Inertia, Motion, integrate
from common.pair_networks.potential import LearnedPotential
from common.potentials.body_pairs import BodyPotential

N_SAMPLED = 4096
"""Windows that weights by signal are measured on."""


class Objective(typing.NamedTuple):
    """A loss of samples.

    Attributes:
        n_samples: windows, or frames.
        evaluate: adds the gradients of the mean loss of chosen samples to those of the parameters, and gives the loss.
    """

    n_samples: int
    evaluate: collections.abc.Callable[[torch.Tensor], float]


@dataclasses.dataclass(frozen=True)
class Machinery:
    """What turns states into frames to come.

    Attributes:
        inertia: of the bodies, on the device.
        step: [time] of the integrator.
        steps_per_frame: from frame to frame.
        spreads: of the training data.
        dtype, device: of the numbers.
    """

    inertia: Inertia
    step: float
    steps_per_frame: int
    spreads: Spreads
    dtype: torch.dtype
    device: str

    def roll_out(self, start: Motion, field: Field, n_frames: int) -> Motion:
        """Frames after a start, without gradients, ``shape=(n_windows, n_frames, n_bodies, 3 | 4)``."""
        with torch.no_grad():
            frames = list(integrate(start, field, self.inertia, self.step, n_frames, self.steps_per_frame))
            return Motion(*(torch.stack(values, 1) for values in zip(*frames, strict=True)))


def build_machinery(data: Trajectories, config: Config, further: Further) -> Machinery:
    """For trajectories as they are to be trained on."""
    dtype = getattr(torch, config.dtype)
    inertia = data.system.build_inertia(dtype)
    rods = None if inertia.rods is None else inertia.rods.to(config.device)
    masses, moments, inverse = (values.to(config.device) for values in inertia[:3])
    step = data.interval / further.steps_per_frame
    return Machinery(
        Inertia(masses, moments, inverse, rods),
        step,
        further.steps_per_frame,
        measure_spreads(data.motion),
        dtype,
        config.device,
    )


def build_objective(
    data: Trajectories, learned: LearnedPotential, config: Config, further: Further, machinery: Machinery, length: int
) -> Objective:
    """The objective of the method that is asked for.

    Args:
        data: to train on.
        learned: what is trained.
        config, further: the settings.
        machinery: as :func:`build_machinery` gives it.
        length: frames of a window after its first; of "trajectory".

    Raises:
        ValueError: a window is longer than the trajectories, or no forces are stored.
    """
    if further.method == "trajectory":
        return _build_window_objective(data, learned, config, further, machinery, length)
    return _build_frame_objective(data, learned, config, further)


def compute_windows_loss(
    name: str, windows: Windows, chosen: torch.Tensor, field: Field, machinery: Machinery
) -> torch.Tensor:
    """The loss of chosen windows without gradients, ``shape=(n_chosen,)``."""
    start, true = windows.take(chosen, machinery.dtype, machinery.device)
    predicted = machinery.roll_out(start, field, windows.length)
    return compute_window_losses(name, predicted, true, machinery.spreads, windows.trajectories.system.box)


def _build_window_objective(
    data: Trajectories, learned: LearnedPotential, config: Config, further: Further, machinery: Machinery, length: int
) -> Objective:
    windows = list_windows(data, length, 1, "batch_length")
    weights = _weigh_windows(windows, config, further, machinery)
    differentiate, field = GRADIENTS[further.gradient], learned.build_total().compute_field
    box = data.system.box

    def evaluate(chosen: torch.Tensor) -> float:
        start, true = windows.take(chosen, machinery.dtype, machinery.device)
        own = weights[chosen.to(weights.device)]

        def loss(predicted: Motion) -> torch.Tensor:
            return (own * compute_window_losses(config.loss_func, predicted, true, machinery.spreads, box)).mean()

        return differentiate(start, field, machinery.inertia, machinery.step, length, machinery.steps_per_frame, loss)

    return Objective(len(windows.starts), evaluate)


def _weigh_windows(windows: Windows, config: Config, further: Further, machinery: Machinery) -> torch.Tensor:
    """By what bodies would miss that feel the known terms alone."""
    system = windows.trajectories.system
    trajectory, frame = windows.starts.unbind(1)
    separations = measure_separations(windows.trajectories.motion, system.box)[trajectory, frame]
    chosen = torch.randperm(len(separations), generator=torch.Generator().manual_seed(further.seed))[:N_SAMPLED]
    field = system.add_spring(BodyPotential(())).compute_field
    missed = compute_windows_loss(config.loss_func, windows, chosen, field, machinery).cpu().double()
    weights = weigh_by_signal(separations, separations[chosen], missed, further.balance)
    return weights.to(machinery.device, machinery.dtype)


def _build_frame_objective(
    data: Trajectories, learned: LearnedPotential, config: Config, further: Further
) -> Objective:
    """Forces and torques over their spreads; absolute or squared, as the loss says."""
    motion, *targets = collect_frames(data, further.method)
    widths = [float(values.std()) or 1.0 for values in targets]
    scaled = [values / width for values, width in zip(targets, widths, strict=True)]
    is_squared = LOSSES[config.loss_func].is_squared

    def measure(errors: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack([(e.square() if is_squared else e.abs()).flatten(1).mean(1) for e in errors]).mean(0)

    separations = measure_separations(motion, data.system.box)
    dtype, device = getattr(torch, config.dtype), config.device
    weights = weigh_by_signal(separations, separations, measure(scaled), further.balance).to(dtype)
    field = learned.build_potential().compute_field

    def evaluate(chosen: torch.Tensor) -> float:
        found = field(*(values[chosen].to(device, dtype) for values in (motion.positions, motion.quaternions)))
        errors = [
            own / width - target[chosen].to(device, dtype)
            for own, width, target in zip(found, widths, scaled, strict=True)
        ]
        value = (weights[chosen].to(device) * measure(errors)).mean()
        value.backward()
        return float(value.detach())

    return Objective(len(separations), evaluate)
