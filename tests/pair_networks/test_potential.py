"""Learned potentials: what U does not change with, forces and torques, how they end, and their file."""

import pytest
import torch

from common.geometry.quaternions import (
    compute_rotation_matrices,
    convert_matrices_to_quaternions,
    draw_quaternions,
    multiply_quaternions,
)
from common.pair_networks.potential import LearnedPotential, load_learned_potential, save_learned_potential
from tests.bodies import make_asymmetric_body, make_hexagon, make_rod
from tests.pair_networks.pairs import ALL_INPUTS, draw_dimers, make_learned

INVARIANT = 1e-12
GRADIENT = 1e-12
"""Relative to the largest force."""

INVARIANT_INPUTS = ("points", "averaged", "symmetric")
"""Under all that leaves a pair of hexagons as it is."""


def compute(learned: LearnedPotential, positions: torch.Tensor, quaternions: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return learned.build_potential().compute_energy(positions, quaternions)


def turn(quaternions: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    """All bodies as a whole."""
    return multiply_quaternions(by.expand_as(quaternions), quaternions)


@pytest.fixture(params=ALL_INPUTS)
def inputs(request):
    return request.param


def test_forces_and_torques_are_minus_the_gradient(inputs):
    learned = make_learned(make_hexagon(), make_hexagon(), inputs=inputs)
    positions, quaternions = (values.requires_grad_() for values in draw_dimers(20, 5))
    potential = learned.build_total()
    energies, forces, torques = potential.compute_all(positions, quaternions)
    on_x, on_q = torch.autograd.grad(potential.compute_energy(positions, quaternions).sum(), (positions, quaternions))
    axes = torch.eye(4, dtype=torch.float64)[1:]
    expected = torch.stack(
        [-0.5 * (on_q * multiply_quaternions(quaternions, axis.expand_as(quaternions))).sum(-1) for axis in axes], -1
    )
    scale = float(on_x.abs().max())
    torch.testing.assert_close(forces, -on_x, atol=GRADIENT * scale, rtol=0)
    torch.testing.assert_close(torques, expected, atol=GRADIENT * scale, rtol=0)
    torch.testing.assert_close(energies, potential.compute_energy(positions, quaternions), atol=1e-13, rtol=0)


@pytest.mark.parametrize("bodies", ["rod and clump", "clump and rod", "two clumps"])
def test_forces_of_bodies_without_symmetry_too(bodies):
    made = {"rod": make_rod, "clump": make_asymmetric_body, "clumps": make_asymmetric_body}
    words = bodies.replace("two clumps", "clumps and clumps").split(" and ")
    learned = make_learned(*(made[word]() for word in words))
    positions, quaternions = draw_dimers(10, 5)
    positions.requires_grad_()
    potential = learned.build_potential()
    [on_x] = torch.autograd.grad(potential.compute_energy(positions, quaternions).sum(), positions)
    forces = potential.compute_field(positions, quaternions)[0]
    torch.testing.assert_close(forces, -on_x, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("kind", INVARIANT_INPUTS)
def test_u_is_invariant(kind):
    """Under rotation, translation, q -> -q, exchange, and the body's own rotations."""
    hexagon = make_hexagon()
    learned = make_learned(hexagon, hexagon, inputs=kind)
    positions, quaternions = draw_dimers(30, 6)
    energies = compute(learned, positions, quaternions)
    assert energies.std() > 0.01
    by = draw_quaternions((1,), torch.Generator().manual_seed(0))
    rotated = positions @ compute_rotation_matrices(by)[0].T
    signs = torch.tensor([[[-1.0], [1.0]]], dtype=torch.float64)
    changed = {
        "rotation": (rotated, turn(quaternions, by)),
        "translation": (positions + torch.tensor([10.0, -3.0, 5.0], dtype=torch.float64), quaternions),
        "sign": (positions, signs * quaternions),
        "exchange": (positions.flip(1), quaternions.flip(1)),
    }
    for i, one in enumerate(hexagon.own_rotations):
        own = convert_matrices_to_quaternions(torch.from_numpy(one.rotation))
        second = multiply_quaternions(quaternions[:, 1], own.expand(30, 4))
        changed[f"own rotation {i}"] = (positions, torch.stack((quaternions[:, 0], second), 1))
    for name, places in changed.items():
        difference = (compute(learned, *places) - energies).abs().max()
        assert difference < INVARIANT * energies.abs().max(), name


def test_raw_inputs_are_not_invariant():
    learned = make_learned(make_hexagon(), make_hexagon(), inputs="raw")
    positions, quaternions = draw_dimers(30, 6)
    energies = compute(learned, positions, quaternions)
    by = draw_quaternions((1,), torch.Generator().manual_seed(0))
    for places in (
        (positions @ compute_rotation_matrices(by)[0].T, turn(quaternions, by)),
        (positions, -quaternions),
        (positions.flip(1), quaternions.flip(1)),
    ):
        assert (compute(learned, *places) - energies).abs().max() > 0.01


def test_far_apart_there_is_nothing():
    learned = make_learned(make_hexagon(), make_hexagon())
    positions, quaternions = draw_dimers(10, 7)
    near = compute(learned, positions, quaternions).abs().mean()
    assert compute(learned, 30.0 * positions, quaternions).abs().max() < 1e-6 * near


def test_nearer_than_the_data_there_is_a_wall(inputs):
    learned = make_learned(make_hexagon(), make_hexagon(), inputs=inputs)
    positions, quaternions = draw_dimers(10, 8)
    scales = next(iter(learned.scales.values()))
    d = positions[:, 1:] - positions[:, :1]
    close = torch.cat((positions[:, :1], positions[:, :1] + 0.6 * scales.nearest * d / d.norm(dim=-1, keepdim=True)), 1)
    assert (compute(learned, close, quaternions) > 1e3 * scales.wall).all()
    forces = learned.build_potential().compute_field(close, quaternions)[0]
    assert ((forces[:, 1:] * d).sum((-1, -2)) > 0.0).all()
    on_top = compute(
        learned, positions[:, :1] + 1e-3 * d * torch.tensor([[[0.0]], [[1.0]]]).flatten()[:, None], quaternions
    )
    assert torch.isfinite(on_top).all()


def test_a_potential_read_back_gives_the_same_numbers(inputs, tmp_path):
    learned = make_learned(make_hexagon(), make_hexagon(), inputs=inputs)
    save_learned_potential(tmp_path / "potential.pt", learned, {"loss": 0.5})
    again, record = load_learned_potential(tmp_path / "potential.pt")
    places = draw_dimers(10, 9)
    assert torch.equal(compute(again, *places), compute(learned, *places))
    assert record == {"loss": 0.5}
    rough = compute(learned.cast(torch.float32), *(values.float() for values in places))
    torch.testing.assert_close(rough.double(), compute(learned, *places), atol=1e-3, rtol=1e-3)


def test_what_is_no_potential_is_named(tmp_path):
    path = tmp_path / "potential.pt"
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_learned_potential(path)
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"potential\.pt: damaged"):
        load_learned_potential(path)
    torch.save({"format": 99}, path)
    with pytest.raises(ValueError, match=r"potential\.pt: no learned potential of format 1"):
        load_learned_potential(path)


def test_symmetric_inputs_need_symmetric_bodies():
    with pytest.raises(ValueError, match="'symmetric' need like bodies"):
        make_learned(make_asymmetric_body(), make_asymmetric_body(), inputs="symmetric")
    with pytest.raises(ValueError, match="no inputs 'magic'; there are points"):
        make_learned(make_hexagon(), make_hexagon(), inputs="magic")
