"""What a network is told of two bodies: numbers z of a pair, and what a gradient with respect to them means.

With d the vector between the centres, r = |d|, h = d / r, R the rotations (body -> laboratory):

``raw``         d, q1, q2: 11 numbers, as jakublala/coarsegrained-md-neural-ode has them, without any symmetry.
``body-frame``  r, u1 = R1ᵀ h, u2 = -R2ᵀ h, C = R1ᵀ R2: 16 numbers that do not change when the pair is moved or turned
                as a whole, nor with the sign of a quaternion. They describe the pair completely.
``symmetric``   13 polynomials of these that do not change either when a body is turned about its own n-fold axis or
                flipped, nor when like bodies are exchanged (bodies of D_nh: benzene, n = 6). Not complete.
"""

import abc

import torch

from common.potentials.body_pairs import Orientations, PairGradient


class PairInputs(abc.ABC):
    """Numbers of a pair; ``pull_back`` turns ∂U/∂z into force and torques."""

    n_inputs: int

    @abc.abstractmethod
    def compute(self, d: torch.Tensor, first: Orientations, second: Orientations) -> torch.Tensor:
        """The numbers z, ``(n_pairs, n_inputs)``."""

    @abc.abstractmethod
    def pull_back(
        self, energies: torch.Tensor, gradient: torch.Tensor, d: torch.Tensor, first: Orientations, second: Orientations
    ) -> PairGradient:
        """Force and torques from the gradient ``(n_pairs, n_inputs)``; the energies are handed on."""


class RawInputs(PairInputs):
    """``raw``."""

    n_inputs = 11

    def compute(self, d: torch.Tensor, first: Orientations, second: Orientations) -> torch.Tensor:
        """See :class:`PairInputs`."""
        return torch.cat((d, first.quaternions, second.quaternions), -1)

    def pull_back(
        self, energies: torch.Tensor, gradient: torch.Tensor, d: torch.Tensor, first: Orientations, second: Orientations
    ) -> PairGradient:
        """See :class:`PairInputs`; τ_k = -½ ∂U/∂q · (q e_k)."""
        forces, on_first, on_second = gradient[:, :3], gradient[:, 3:7], gradient[:, 7:]
        return PairGradient(
            energies,
            -forces,
            _compute_quaternion_torques(first.quaternions, on_first),
            _compute_quaternion_torques(second.quaternions, on_second),
        )


def _compute_quaternion_torques(q: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    w, x, y, z = q.unbind(-1)
    gw, gx, gy, gz = gradient.unbind(-1)
    return -0.5 * torch.stack(
        (
            -x * gw + w * gx + z * gy - y * gz,
            -y * gw - z * gx + w * gy + x * gz,
            -z * gw + y * gx - x * gy + w * gz,
        ),
        -1,
    )


class BodyFrameInputs(PairInputs):
    """``body-frame``, in the order r, u1, u2, C by rows."""

    n_inputs = 16

    def compute(self, d: torch.Tensor, first: Orientations, second: Orientations) -> torch.Tensor:
        """See :class:`PairInputs`."""
        r = d.norm(dim=-1, keepdim=True)
        h = (d / r)[:, :, None]
        u1 = (first.rotations.mT @ h)[..., 0]
        u2 = -(second.rotations.mT @ h)[..., 0]
        return torch.cat((r, u1, u2, (first.rotations.mT @ second.rotations).flatten(1)), -1)

    def pull_back(
        self, energies: torch.Tensor, gradient: torch.Tensor, d: torch.Tensor, first: Orientations, second: Orientations
    ) -> PairGradient:
        """See :class:`PairInputs`.

        A turn δ of the first body along its axes changes u1 by u1 × δ and C by -[δ]× C, one of the second u2 by u2 × δ
        and C by C [δ]×.
        """
        r = d.norm(dim=-1, keepdim=True)
        h = d / r
        on_r, on_u1, on_u2 = gradient[:, :1], gradient[:, 1:4], gradient[:, 4:7]
        on_c = gradient[:, 7:].unflatten(1, (3, 3))
        u1 = (first.rotations.mT @ h[:, :, None])[..., 0]
        u2 = -(second.rotations.mT @ h[:, :, None])[..., 0]
        on_h = ((first.rotations @ on_u1[:, :, None]) - (second.rotations @ on_u2[:, :, None]))[..., 0]
        forces = -(on_r * h + (on_h - (on_h * h).sum(-1, keepdim=True) * h) / r)
        c = first.rotations.mT @ second.rotations
        return PairGradient(
            energies,
            forces,
            torch.linalg.cross(u1, on_u1) + _take_axial(c @ on_c.mT),
            torch.linalg.cross(u2, on_u2) + _take_axial(c.mT @ on_c),
        )


def _take_axial(a: torch.Tensor) -> torch.Tensor:
    """(A_12 - A_21, A_20 - A_02, A_01 - A_10) of ``(n, 3, 3)``."""
    return torch.stack((a[:, 1, 2] - a[:, 2, 1], a[:, 2, 0] - a[:, 0, 2], a[:, 0, 1] - a[:, 1, 0]), -1)


class SymmetricInputs(PairInputs):
    """``symmetric``: with a = u1z², b = u2z², c = Czz², e = -u1z u2z Czz, and the n-fold real parts of complex powers

        h_i = Re (u_ix + i u_iy)ⁿ,   g1 = Re (Cxz + i Cyz)ⁿ,   g2 = Re (Czx + i Czy)ⁿ,
        H = Re [((Cxx + Cyy) + i (Cyx - Cxy)) / 2]ⁿ + Re [((Cxx - Cyy) + i (Cyx + Cxy)) / 2]ⁿ

    the inputs are r, r₀ / r, a + b, a b, c, e, h1 + h2, h1 h2, H, (a - b)(h1 - h2), g1 + g2, (a - b)(g1 - g2), g1 g2.

    Args:
        fold: n, of the axis along z.
        distance: r₀ [length].
    """

    n_inputs = 13

    def __init__(self, fold: int, distance: float):
        self.fold, self.distance = fold, distance
        self.frame = BodyFrameInputs()

    def compute(self, d: torch.Tensor, first: Orientations, second: Orientations) -> torch.Tensor:
        """See :class:`PairInputs`."""
        r, (a, b, c, e), powers = self._compute_parts(self.frame.compute(d, first, second))
        h1, h2, g1, g2, k1, k2 = (power[0] for power in powers)
        rows = (
            r, self.distance / r, a + b, a * b, c, e, h1 + h2, h1 * h2, k1 + k2,
            (a - b) * (h1 - h2), g1 + g2, (a - b) * (g1 - g2), g1 * g2,
        )  # fmt: skip
        return torch.stack(rows, -1)

    def pull_back(
        self, energies: torch.Tensor, gradient: torch.Tensor, d: torch.Tensor, first: Orientations, second: Orientations
    ) -> PairGradient:
        """See :class:`PairInputs`: by way of the numbers of the body frame."""
        z = self.frame.compute(d, first, second)
        r, (a, b, _, _), powers = self._compute_parts(z)
        h1, h2, g1, g2, _, _ = (power[0] for power in powers)
        on = gradient.unbind(-1)
        on_a = on[2] + on[3] * b + on[9] * (h1 - h2) + on[11] * (g1 - g2)
        on_b = on[2] + on[3] * a - on[9] * (h1 - h2) - on[11] * (g1 - g2)
        on_powers = (
            on[6] + on[7] * h2 + on[9] * (a - b),
            on[6] + on[7] * h1 - on[9] * (a - b),
            on[10] + on[12] * g2 + on[11] * (a - b),
            on[10] + on[12] * g1 - on[11] * (a - b),
            on[8],
            on[8],
        )
        h1_xy, h2_xy, g1_xy, g2_xy, k1_xy, k2_xy = (
            (on_power * power[1], on_power * power[2]) for on_power, power in zip(on_powers, powers, strict=True)
        )
        u1z, u2z, czz = z[:, 3], z[:, 6], z[:, 15]
        half_sum = (0.5 * (k1_xy[0] + k2_xy[0]), 0.5 * (k1_xy[0] - k2_xy[0]))  # on Cxx, on Cyy
        half_turn = (0.5 * (k2_xy[1] - k1_xy[1]), 0.5 * (k2_xy[1] + k1_xy[1]))  # on Cxy, on Cyx
        on_frame = (
            on[0] - on[1] * self.distance / (r * r),
            h1_xy[0], h1_xy[1], 2.0 * u1z * on_a - on[5] * u2z * czz,
            h2_xy[0], h2_xy[1], 2.0 * u2z * on_b - on[5] * u1z * czz,
            half_sum[0], half_turn[0], g1_xy[0],
            half_turn[1], half_sum[1], g1_xy[1],
            g2_xy[0], g2_xy[1], 2.0 * czz * on[4] - on[5] * u1z * u2z,
        )  # fmt: skip
        return self.frame.pull_back(energies, torch.stack(on_frame, -1), d, first, second)

    def _compute_parts(
        self, z: torch.Tensor
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...], list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]]:
        """The distance; a, b, c, e; and h1, h2, g1, g2 and the parts of H with their derivatives by x and y."""
        r, u1x, u1y, u1z, u2x, u2y, u2z, cxx, cxy, cxz, cyx, cyy, cyz, czx, czy, czz = z.unbind(-1)
        arguments = (
            (u1x, u1y), (u2x, u2y), (cxz, cyz), (czx, czy),
            (0.5 * (cxx + cyy), 0.5 * (cyx - cxy)), (0.5 * (cxx - cyy), 0.5 * (cyx + cxy)),
        )  # fmt: skip
        powers = [_raise_to_power(x, y, self.fold) for x, y in arguments]
        return r, (u1z * u1z, u2z * u2z, czz * czz, -u1z * u2z * czz), powers


def _raise_to_power(x: torch.Tensor, y: torch.Tensor, n: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Re (x + i y)ⁿ and its derivatives by x and y."""
    real, imaginary = torch.ones_like(x), torch.zeros_like(x)
    for _ in range(n - 1):
        real, imaginary = real * x - imaginary * y, real * y + imaginary * x
    return real * x - imaginary * y, n * real, -n * imaginary
