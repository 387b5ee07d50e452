"""Bond lengths, angles and dihedrals, with their gradients in closed form.

Vectors have their three components on the FIRST axis, ``shape=(3, ...)``, so that each component is contiguous: the
functions below then run over any number of interactions at the speed of memory. "Gradient" is +dq/dx. All functions
are made of plain torch operations and may be differentiated.
"""

import torch

LINEAR_SINE = 1e-8
"""At smaller sines of a bond angle its gradient, and every dihedral through it, has no direction in float64."""


def dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Scalar product over the first axis, ``(3, ...), (3, ...) -> (...)``."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def cross(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Vector product over the first axis, ``(3, ...), (3, ...) -> (3, ...)``."""
    return torch.stack(
        (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]),
    )


def compute_distances(x1: torch.Tensor, x2: torch.Tensor) -> torch.Tensor:
    """Distances, ``(3, ...), (3, ...) -> (...)``, in the unit of the coordinates."""
    d = x1 - x2
    return torch.sqrt(dot(d, d))


def compute_distances_with_gradients(
    x1: torch.Tensor, x2: torch.Tensor
) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
    """Distances r and dr/dx of both points; the gradients, ``shape=(3, ...)`` each, are unit vectors."""
    d = x1 - x2
    r = torch.sqrt(dot(d, d))
    unit = d / r
    return r, (unit, -unit)


def compute_angles(x1: torch.Tensor, x2: torch.Tensor, x3: torch.Tensor) -> torch.Tensor:
    """Angles [radian] at ``x2``, 0 to pi, ``(3, ...) x 3 -> (...)``; exact also near 0 and pi."""
    u, v = x1 - x2, x3 - x2
    w = cross(u, v)
    return torch.atan2(torch.sqrt(dot(w, w)), dot(u, v))


def compute_angles_with_gradients(
    x1: torch.Tensor, x2: torch.Tensor, x3: torch.Tensor
) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Angles [radian] at ``x2`` and their gradients [radian per unit of the coordinates].

    With u = x1 - x2, v = x3 - x2, w = u x v:  dθ/dx1 = (u x w) / (|u|² |w|),  dθ/dx3 = (w x v) / (|v|² |w|), and
    dθ/dx2 is minus their sum. At a straight angle |w| = 0 and the gradient has no direction: zero is returned, which
    is the gradient of every harmonic term with its minimum there.
    """
    u, v = x1 - x2, x3 - x2
    w = cross(u, v)
    uu, vv = dot(u, u), dot(v, v)
    area = torch.sqrt(dot(w, w))
    theta = torch.atan2(area, dot(u, v))
    bent = area > LINEAR_SINE * torch.sqrt(uu * vv)
    inverse = torch.where(bent, 1.0 / torch.where(bent, area, 1.0), 0.0)
    gradient1 = cross(u, w) * (inverse / uu)
    gradient3 = cross(w, v) * (inverse / vv)
    return theta, (gradient1, -(gradient1 + gradient3), gradient3)


def compute_dihedrals(x1: torch.Tensor, x2: torch.Tensor, x3: torch.Tensor, x4: torch.Tensor) -> torch.Tensor:
    """Dihedral angles [radian], -pi to pi, IUPAC sign, ``(3, ...) x 4 -> (...)``."""
    f, g, h = x1 - x2, x2 - x3, x4 - x3
    a, b = cross(f, g), cross(h, g)
    return torch.atan2(dot(cross(b, a), g) / torch.sqrt(dot(g, g)), dot(a, b))


def compute_dihedrals_with_gradients(
    x1: torch.Tensor, x2: torch.Tensor, x3: torch.Tensor, x4: torch.Tensor
) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Dihedral angles [radian] and their gradients [radian per unit of the coordinates].

    Formulas of Blondel and Karplus, J. Comput. Chem. 17, 1132 (1996), eq. 27, which have no singularity in the
    dihedral itself. Where three neighbouring points lie on a line the dihedral is undefined: its gradient is returned
    as zero.
    """
    f, g, h = x1 - x2, x2 - x3, x4 - x3
    a, b = cross(f, g), cross(h, g)
    aa, bb, gg = dot(a, a), dot(b, b), dot(g, g)
    length = torch.sqrt(gg)
    phi = torch.atan2(dot(cross(b, a), g) / length, dot(a, b))
    limit = LINEAR_SINE**2 * gg
    defined = (aa > limit * dot(f, f)) & (bb > limit * dot(h, h))
    zero = torch.zeros((), dtype=aa.dtype, device=aa.device)
    inverse_a = torch.where(defined, 1.0 / torch.where(defined, aa, 1.0), zero)
    inverse_b = torch.where(defined, 1.0 / torch.where(defined, bb, 1.0), zero)
    gradient1 = -a * (length * inverse_a)
    gradient4 = b * (length * inverse_b)
    shift = a * (dot(f, g) * inverse_a / length) - b * (dot(h, g) * inverse_b / length)
    return phi, (gradient1, shift - gradient1, -shift - gradient4, gradient4)
