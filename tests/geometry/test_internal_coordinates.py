"""Internal coordinates: gradients against autograd, signs against RDKit, and the points where they are undefined."""

import math

import pytest
import torch
from rdkit.Chem import rdMolTransforms

from common.geometry import internal_coordinates as geometry
from common.molecules.conformers import attach_conformers, embed_conformers
from common.molecules.mapped_smiles import from_smiles

COORDINATES = [
    (2, geometry.compute_distances, geometry.compute_distances_with_gradients),
    (3, geometry.compute_angles, geometry.compute_angles_with_gradients),
    (4, geometry.compute_dihedrals, geometry.compute_dihedrals_with_gradients),
]

GRADIENT_TOLERANCE = 1e-12
"""Relative to 1 + |gradient|: both sides are closed forms in float64, of a few dozen operations."""


def make_points(n_points: int, n: int = 1000) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(n_points)
    return [torch.randn(3, n, generator=generator, dtype=torch.float64) for _ in range(n_points)]


@pytest.mark.parametrize(("n_points", "compute", "compute_with_gradients"), COORDINATES)
def test_gradients_are_the_derivatives_of_the_values(n_points, compute, compute_with_gradients):
    points = [point.requires_grad_() for point in make_points(n_points)]
    values = compute(*points)
    expected = torch.autograd.grad(values.sum(), points)
    found_values, gradients = compute_with_gradients(*points)
    assert torch.equal(found_values, values)
    for gradient, reference in zip(gradients, expected, strict=True):
        assert ((gradient - reference).abs() / (1.0 + reference.abs())).max() < GRADIENT_TOLERANCE


@pytest.mark.parametrize(("n_points", "_", "compute_with_gradients"), COORDINATES)
def test_gradients_sum_to_zero(n_points, _, compute_with_gradients):
    gradients = compute_with_gradients(*make_points(n_points))[1]
    scale = 1.0 + torch.stack(gradients).abs().sum(0)
    assert (sum(gradients).abs() / scale).max() < GRADIENT_TOLERANCE


def test_values_agree_with_rdkit():
    mol = from_smiles("CC(O)C=O")
    coords = embed_conformers(mol, 1, seed=1)[0]
    conformer = attach_conformers(mol, coords[None]).GetConformer()
    x = torch.tensor(coords).T
    for i, j, k, m in [(0, 1, 3, 4), (2, 1, 3, 4), (5, 0, 1, 2), (9, 2, 1, 0)]:
        points = [x[:, atom] for atom in (i, j, k, m)]
        assert geometry.compute_distances(*points[:2]).item() == pytest.approx(
            rdMolTransforms.GetBondLength(conformer, i, j), abs=1e-12
        )
        assert geometry.compute_angles(*points[:3]).item() == pytest.approx(
            rdMolTransforms.GetAngleRad(conformer, i, j, k), abs=1e-12
        )
        assert geometry.compute_dihedrals(*points).item() == pytest.approx(
            rdMolTransforms.GetDihedralRad(conformer, i, j, k, m), abs=1e-12
        )


def make_column(*xyz: float) -> torch.Tensor:
    return torch.tensor(xyz, dtype=torch.float64)[:, None]


def test_a_straight_angle_has_a_zero_gradient():
    theta, gradients = geometry.compute_angles_with_gradients(
        make_column(-1.1, 0.0, 0.0), make_column(0.0, 0.0, 0.0), make_column(1.2, 0.0, 0.0)
    )
    assert theta.item() == math.pi
    assert all(torch.equal(gradient, torch.zeros(3, 1, dtype=torch.float64)) for gradient in gradients)


def test_an_almost_straight_angle_keeps_its_precision():
    bend = 1e-6
    theta, gradients = geometry.compute_angles_with_gradients(
        make_column(-1.0, bend, 0.0), make_column(0.0, 0.0, 0.0), make_column(1.0, 0.0, 0.0)
    )
    assert math.pi - theta.item() == pytest.approx(bend, rel=1e-9)
    assert gradients[0][:, 0].tolist() == pytest.approx([0.0, -1.0, 0.0], abs=2e-6)


def test_a_dihedral_through_a_straight_angle_has_a_zero_gradient():
    phi, gradients = geometry.compute_dihedrals_with_gradients(
        make_column(-2.2, 0.0, 0.0), make_column(-1.1, 0.0, 0.0), make_column(0.0, 0.0, 0.0), make_column(0.3, 1.0, 0.0)
    )
    assert torch.isfinite(phi).all()
    assert all(torch.equal(gradient, torch.zeros(3, 1, dtype=torch.float64)) for gradient in gradients)
