"""Unit quaternions (w, x, y, z), scalar first: they turn vectors of a body's own axes into those of the laboratory.

Everything works on tensors ``(..., 4)`` and may be differentiated. q and -q are the same rotation.
"""

import torch


def multiply_quaternions(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """Hamilton's product p q, ``(..., 4)``: the rotation q, then p."""
    a, b, c, d = p.unbind(-1)
    e, f, g, h = q.unbind(-1)
    return torch.stack(
        (
            a * e - b * f - c * g - d * h,
            a * f + b * e + c * h - d * g,
            a * g - b * h + c * e + d * f,
            a * h + b * g - c * f + d * e,
        ),
        -1,
    )


def conjugate_quaternions(q: torch.Tensor) -> torch.Tensor:
    """The inverse rotation, ``(..., 4)``."""
    return q * q.new_tensor((1.0, -1.0, -1.0, -1.0))


def compute_rotation_matrices(q: torch.Tensor) -> torch.Tensor:
    """R(q), ``shape=(..., 3, 3)``, body to laboratory; its columns are the body's axes.

    The form 1 + 2 (...) without division by |q|², so that -½ ∂U/∂q · (q e_k) is the torque about axis k where |q| = 1.
    """
    w, x, y, z = q.unbind(-1)
    xx, yy, zz, xy, xz, yz = x * x, y * y, z * z, x * y, x * z, y * z
    wx, wy, wz = w * x, w * y, w * z
    rows = (
        1.0 - 2.0 * (yy + zz), 2.0 * (xy - wz), 2.0 * (xz + wy),
        2.0 * (xy + wz), 1.0 - 2.0 * (xx + zz), 2.0 * (yz - wx),
        2.0 * (xz - wy), 2.0 * (yz + wx), 1.0 - 2.0 * (xx + yy),
    )  # fmt: skip
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def convert_matrices_to_quaternions(rotations: torch.Tensor) -> torch.Tensor:
    """The unit quaternions with w >= 0 of proper rotations, ``(..., 3, 3) -> (..., 4)``.

    The largest eigenvector of the symmetric 4 x 4 matrix of Bar-Itzhack (J. Guid. Control Dyn. 23, 1085, 2000): no
    case is special, and the nearest rotation is taken where rounding has made a matrix slightly less than one.
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = (row.unbind(-1) for row in rotations.unbind(-2))
    rows = (
        xx + yy + zz, zy - yz, xz - zx, yx - xy,
        zy - yz, xx - yy - zz, xy + yx, xz + zx,
        xz - zx, xy + yx, yy - xx - zz, yz + zy,
        yx - xy, xz + zx, yz + zy, zz - xx - yy,
    )  # fmt: skip
    _, vectors = torch.linalg.eigh(torch.stack(rows, -1).unflatten(-1, (4, 4)))
    q = vectors[..., -1]
    return torch.where(q[..., :1] < 0.0, -q, q)


def align_quaternions(q: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Of q and -q the one nearer to the reference, ``(..., 4)``."""
    return torch.where((q * reference).sum(-1, keepdim=True) < 0.0, -q, q)


def compute_rotation_angles(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """The angle [radian], 0 to π, of the rotation between two orientations, ``(..., 4) -> (...)``."""
    difference = multiply_quaternions(conjugate_quaternions(p), q)
    return 2.0 * torch.atan2(difference[..., 1:].norm(dim=-1), difference[..., 0].abs())


def draw_quaternions(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Orientations uniform over all rotations, ``(*shape, 4)`` float64."""
    q = torch.randn(*shape, 4, generator=generator, dtype=torch.float64)
    return q / q.norm(dim=-1, keepdim=True)
