"""Numbers of a pair: what they do not change with, and that gradients are pulled back to forces and torques."""

import pytest
import torch

from common.geometry.quaternions import compute_rotation_matrices, multiply_quaternions
from common.pair_networks.frames import BodyFrameInputs, RawInputs, SymmetricInputs
from common.potentials.body_pairs import Orientations
from tests.pair_networks.pairs import draw_dimers

EXACT = 1e-12
KINDS = {"raw": RawInputs(), "body-frame": BodyFrameInputs(), "symmetric": SymmetricInputs(6, 2.0)}


def prepare(positions, quaternions):
    orientations = [Orientations(q, compute_rotation_matrices(q)) for q in quaternions.unbind(1)]
    return positions[:, 1] - positions[:, 0], *orientations


@pytest.mark.parametrize("kind", KINDS)
def test_pulling_back_gives_minus_the_gradient(kind):
    inputs = KINDS[kind]
    positions, quaternions = (values.requires_grad_() for values in draw_dimers(10, 0))
    pair = prepare(positions, quaternions)
    z = inputs.compute(*pair)
    on_z = torch.randn(z.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    on_x, on_q = torch.autograd.grad((z * on_z).sum(), (positions, quaternions))
    felt = inputs.pull_back(z.sum(-1), on_z, *pair)
    axes = torch.eye(4, dtype=torch.float64)[1:]
    torques = torch.stack(
        [-0.5 * (on_q * multiply_quaternions(quaternions, axis.expand_as(quaternions))).sum(-1) for axis in axes], -1
    )
    scale = float(on_x.abs().max())
    torch.testing.assert_close(felt.forces, -on_x[:, 1], atol=EXACT * scale, rtol=0)
    torch.testing.assert_close(felt.first_torques, torques[:, 0], atol=EXACT * scale, rtol=0)
    torch.testing.assert_close(felt.second_torques, torques[:, 1], atol=EXACT * scale, rtol=0)


def test_the_body_frame_describes_a_pair_completely():
    """Place and turn of the second body along the axes of the first can be read off."""
    positions, quaternions = draw_dimers(10, 1)
    d, first, second = prepare(positions, quaternions)
    z = BodyFrameInputs().compute(d, first, second)
    torch.testing.assert_close(z[:, :1] * z[:, 1:4], (first.rotations.mT @ d[:, :, None])[..., 0], atol=EXACT, rtol=0)
    torch.testing.assert_close(z[:, 7:].reshape(-1, 3, 3), first.rotations.mT @ second.rotations, atol=EXACT, rtol=0)
