"""Relaxations end in minima, in few calculations."""

import numpy
import pytest

from common.calculators.interface import EnergyForces
from common.calculators.relaxation import build_spring_hessian, relax
from common.calculators.tight_binding import TightBinding

WATER = numpy.array([8, 1, 1])
COORDS = numpy.array([[0.0, 0.0, 0.1], [0.0, 0.9, -0.49], [0.05, -0.74, -0.5]])


class Spring:
    """Two atoms on a spring of 700 kcal/mol/Angstrom² and 1.2 Angstrom; counts its calls."""

    def __init__(self):
        self.n_calls = 0

    def __call__(self, numbers, coords, charge):
        self.n_calls += 1
        delta = coords[1] - coords[0]
        distance = numpy.linalg.norm(delta)
        force = -700.0 * (distance - 1.2) * delta / distance
        return EnergyForces(350.0 * (distance - 1.2) ** 2, numpy.array([-force, force]))


def test_a_spring_comes_to_rest():
    spring = Spring()
    found = relax(spring, numpy.array([6, 8]), numpy.array([[0.0, 0, 0], [1.0, 0.9, 0.4]]), max_force=0.01)
    assert found.converged
    assert found.n_calculations == spring.n_calls <= 8
    assert numpy.linalg.norm(found.coords[1] - found.coords[0]) == pytest.approx(1.2, abs=0.01 / 700.0)
    assert found.energy < 1e-6


def test_water_relaxes_to_the_minimum_whatever_its_orientation():
    level = TightBinding("GFN2-xTB")
    found = relax(level, WATER, COORDS, max_force=0.1)
    turned = relax(level, WATER, COORDS[:, [2, 0, 1]] + 5.0, max_force=0.1)
    assert found.converged
    assert found.n_calculations <= 10
    assert numpy.linalg.norm(level(WATER, found.coords, 0).forces, axis=1).max() <= 0.1
    assert turned.energy == pytest.approx(found.energy, abs=1e-3)  # forces of 0.1 leave less than this
    bond = numpy.linalg.norm(found.coords[1] - found.coords[0])
    assert bond == pytest.approx(0.959, abs=0.003)  # GFN2-xTB's water


def test_the_way_is_recorded_where_somebody_asks():
    frames = []
    found = relax(TightBinding("GFN2-xTB"), WATER, COORDS, on_step=lambda *frame: frames.append(frame))
    assert len(frames) == found.n_calculations
    numpy.testing.assert_array_equal(frames[0][0], COORDS)
    energies = [energy for _, energy, _ in frames]
    assert min(energies) == found.energy


def test_a_relaxation_that_is_cut_short_says_so():
    found = relax(TightBinding("GFN2-xTB"), WATER, COORDS, max_force=1e-9, max_calculations=3)
    assert not found.converged
    assert found.n_calculations == 3


def test_the_starting_hessian_does_not_hold_the_molecule_in_place():
    hessian = build_spring_hessian(WATER, COORDS)
    numpy.testing.assert_allclose(hessian, hessian.T)
    shift = numpy.tile([1.0, 2.0, 3.0], 3)
    turn = numpy.cross([0.3, -0.2, 0.9], COORDS).ravel()
    numpy.testing.assert_allclose(hessian @ numpy.column_stack([shift, turn]), 0.0, atol=1e-9)
    assert numpy.linalg.eigvalsh(hessian)[-2] > 900.0  # two bonds


def test_frontier_orbitals_charges_and_dipole():
    water = relax(TightBinding("GFN2-xTB"), WATER, COORDS, max_force=0.1)
    electrons = TightBinding("GFN2-xTB").compute_electronic_structure(WATER, water.coords, 0)
    assert electrons.energy == pytest.approx(water.energy, abs=1e-6)
    assert electrons.gap == pytest.approx(electrons.lumo - electrons.homo)
    assert electrons.charges.sum() == pytest.approx(0.0, abs=1e-6)
    assert electrons.charges[0] < -0.4 < 0.0 < electrons.charges[1]
    assert numpy.linalg.norm(electrons.dipole) == pytest.approx(0.46, abs=0.03)  # 2.2 D
    swapped = TightBinding("GFN2-xTB").compute_electronic_structure(WATER[::-1], water.coords[::-1], 0)
    numpy.testing.assert_allclose(swapped.charges[::-1], electrons.charges, atol=1e-5)
