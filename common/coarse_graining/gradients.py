r"""Gradients through the equations of motion: of a loss of predicted frames, with respect to a potential's parameters.

Merged half kicks make a step the map Φ of w = (v½, L½, x, q):

    x' = x + h v½,   (q', L_r) = free(q, L½),   (F, τ) = field(x', q'),   v½' = v½ + h F / M,   L½' = L_r + h τ

and a frame after it is v½ + h F / 2M, L_r + h τ / 2, x', q'. ``direct`` keeps the graph of all steps. ``adjoint`` keeps
the w alone, 13 numbers a body and step, and rebuilds Φ step by step on the way back,

    λ <- (∂Φ/∂w)ᵀ λ + what the frame adds,   ∂loss/∂θ += (∂Φ/∂θ)ᵀ λ,

so that its gradient is that of the very steps taken, to rounding, in memory that hardly grows with their number.
"""

import collections.abc

import torch

from common.dynamics.rigid_bodies import Field, Inertia, Motion, integrate, kick, turn_freely

Loss = collections.abc.Callable[[Motion], torch.Tensor]
"""From predicted frames, ``shape=(n_windows, n_frames, n_bodies, 3 | 4)``, the first not among them, to a scalar."""


def differentiate_directly(
    start: Motion, field: Field, inertia: Inertia, step: float, n_frames: int, steps_per_frame: int, loss: Loss
) -> float:
    """Adds the gradients of the loss to those of all parameters, and gives the loss.

    Args:
        start: where the windows start, ``shape=(n_windows, n_bodies, 3 | 4)``.
        field: forces and torques, in closed form; its parameters are leaves that require gradients.
        inertia: of the bodies.
        step: [time].
        n_frames, steps_per_frame: how far to go.
        loss: of the frames.
    """
    value = loss(_stack(list(integrate(start, field, inertia, step, n_frames, steps_per_frame))))
    value.backward()
    return float(value.detach())


def differentiate_by_adjoint(
    start: Motion, field: Field, inertia: Inertia, step: float, n_frames: int, steps_per_frame: int, loss: Loss
) -> float:
    """As :func:`differentiate_directly`, the graph of one step at a time."""
    with torch.no_grad():
        visited = [kick(start, *field(start.positions, start.quaternions), inertia, 0.5 * step)]
        frames = []
        for i in range(n_frames * steps_per_frame):
            after, forces, torques = _advance(visited[-1], field, inertia, step)
            if (i + 1) % steps_per_frame == 0:
                frames.append(kick(after, forces, torques, inertia, 0.5 * step))
            visited.append(kick(after, forces, torques, inertia, step))
    predicted = Motion(*(values.requires_grad_() for values in _stack(frames)))
    with torch.enable_grad():
        value = loss(predicted)
    on_frames = Motion(*torch.autograd.grad(value, predicted, materialize_grads=True))
    on_after = Motion(*(torch.zeros_like(values) for values in start))
    for i in reversed(range(n_frames * steps_per_frame)):
        on_frame = None
        if (i + 1) % steps_per_frame == 0:
            on_frame = Motion(*(values[:, i // steps_per_frame] for values in on_frames))
        on_after = _pull_back(visited.pop(-2) if i else visited[0], field, inertia, step, on_after, on_frame)
    with torch.enable_grad():
        first = kick(start, *field(start.positions, start.quaternions), inertia, 0.5 * step)
        torch.autograd.backward(
            (first.velocities, first.angular_momenta), (on_after.velocities, on_after.angular_momenta)
        )
    return float(value.detach())


GRADIENTS = {"adjoint": differentiate_by_adjoint, "direct": differentiate_directly}


def _advance(w: Motion, field: Field, inertia: Inertia, step: float) -> tuple[Motion, torch.Tensor, torch.Tensor]:
    """Moves and turns for a step, without the kick at its end, whose forces and torques are given, too."""
    positions = w.positions + step * w.velocities
    quaternions, momenta = turn_freely(w.quaternions, w.angular_momenta, inertia, step)
    forces, torques = field(positions, quaternions)
    return Motion(positions, quaternions, w.velocities, momenta), forces, torques


def _pull_back(
    w: Motion, field: Field, inertia: Inertia, step: float, on_after: Motion, on_frame: Motion | None
) -> Motion:
    """The gradient with respect to w, from those with respect to Φ(w) and the frame; parameters collect their own."""
    leaves = Motion(*(values.detach().requires_grad_() for values in w))
    with torch.enable_grad():
        after, forces, torques = _advance(leaves, field, inertia, step)
        kicked = kick(after, forces, torques, inertia, step)
        outputs, on_outputs = [*kicked], [*on_after]
        if on_frame is not None:
            frame = kick(after, forces, torques, inertia, 0.5 * step)
            on_outputs[0], on_outputs[1] = (
                on_after.positions + on_frame.positions,
                on_after.quaternions + on_frame.quaternions,
            )
            outputs += [frame.velocities, frame.angular_momenta]
            on_outputs += [on_frame.velocities, on_frame.angular_momenta]
        torch.autograd.backward(outputs, on_outputs)
    return Motion(*(torch.zeros_like(values) if values.grad is None else values.grad for values in leaves))


def _stack(frames: list[Motion]) -> Motion:
    return Motion(*(torch.stack(values, 1) for values in zip(*frames, strict=True)))
