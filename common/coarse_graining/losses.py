"""How far predicted frames are from true ones: in velocities, angular momenta, relative positions, orientations.

Each of the four is divided by its spread in the data, and they count alike. Of a predicted q and -q the one nearer to
the truth counts. Positions are relative to the first body, as a trajectory has no place of its own.
"""

import dataclasses
import typing

import torch

from common.dynamics.rigid_bodies import Motion
from common.geometry.quaternions import align_quaternions
from common.potentials.body_pairs import apply_minimum_image


class _Kind(typing.NamedTuple):
    frames: str
    is_squared: bool
    with_momenta: bool


LOSSES = {
    "all": _Kind("all", False, True),
    "final": _Kind("final", False, True),
    "all-mse": _Kind("all", True, True),
    "final-mse": _Kind("final", True, True),
    "all-pos": _Kind("all", False, False),
    "final-pos": _Kind("final", False, False),
    "all-mse-pos": _Kind("all", True, False),
    "final-mse-pos": _Kind("final", True, False),
}
"""Mean absolute, or mean squared, differences of all frames, or of the last; ``pos``: of positions and orientations."""


@dataclasses.dataclass(frozen=True)
class Spreads:
    """Standard deviations of the data."""

    velocities: float
    angular_momenta: float
    positions: float
    quaternions: float


def measure_spreads(motion: Motion) -> Spreads:
    """Of true frames; what does not vary, such as the momenta of points, is left as it is."""

    def measure(values: torch.Tensor) -> float:
        width = float(values.std())
        return width if width > 0.0 else 1.0

    relative = motion.positions[..., 1:, :] - motion.positions[..., :1, :]
    return Spreads(
        measure(motion.velocities), measure(motion.angular_momenta), measure(relative), measure(motion.quaternions)
    )


def compute_window_losses(
    name: str, predicted: Motion, true: Motion, spreads: Spreads, box: float | None = None
) -> torch.Tensor:
    """The loss of each window, ``shape=(n_windows,)``.

    Args:
        name: of ``LOSSES``.
        predicted, true: frames, ``shape=(n_windows, n_frames, n_bodies, 3 | 4)``.
        spreads: of the data.
        box: [length] of the system.
    """
    kind = LOSSES[name]
    if kind.frames == "final":
        predicted, true = (Motion(*(values[:, -1:] for values in one)) for one in (predicted, true))
    errors = predicted.positions - true.positions
    relative = apply_minimum_image(errors[..., 1:, :] - errors[..., :1, :], box)
    turns = align_quaternions(predicted.quaternions, true.quaternions) - true.quaternions
    parts = [relative / spreads.positions, turns / spreads.quaternions]
    if kind.with_momenta:
        parts += [
            (predicted.velocities - true.velocities) / spreads.velocities,
            (predicted.angular_momenta - true.angular_momenta) / spreads.angular_momenta,
        ]
    sizes = [(part.square() if kind.is_squared else part.abs()).flatten(1).mean(1) for part in parts]
    return torch.stack(sizes).mean(0)
