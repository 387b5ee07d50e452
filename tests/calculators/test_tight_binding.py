"""GFN2-xTB and GFN1-xTB: physics, a number from outside, and failures that say what failed."""

import subprocess
import sys

import numpy
import pytest
from scipy.optimize import minimize

from common.calculators.interface import CalculationError
from common.calculators.tight_binding import TightBinding, compute_tight_binding
from common.units import BOHR_TO_ANGSTROM
from tests.helpers import ROOT

WATER = numpy.array([8, 1, 1])
COORDS = numpy.array([[0.0, 0.0, 0.1], [0.0, 0.78, -0.49], [0.05, -0.74, -0.5]])  # [Angstrom], off the minimum

STEP = 1e-3  # [Angstrom] central differences are then good to about 1e-5 kcal/mol/Angstrom
FORCE_TOLERANCE = 1e-3  # [kcal/mol/Angstrom] the SCF converges to 1e-6 hartree, to 1e-9 in practice
ENERGY_TOLERANCE = 1e-6  # [hartree]


@pytest.mark.parametrize("method", ["GFN2-xTB", "GFN1-xTB"])
def test_forces_are_minus_the_gradient(method):
    calculator = TightBinding(method)
    forces = calculator(WATER, COORDS, 0).forces
    numeric = numpy.zeros_like(forces)
    for index in numpy.ndindex(*COORDS.shape):
        shift = numpy.zeros_like(COORDS)
        shift[index] = STEP
        ends = [calculator(WATER, COORDS + sign * shift, 0).energy for sign in (1.0, -1.0)]
        numeric[index] = -(ends[0] - ends[1]) / (2.0 * STEP)
    assert numpy.abs(forces).max() > 10.0
    numpy.testing.assert_allclose(forces, numeric, atol=FORCE_TOLERANCE)
    numpy.testing.assert_allclose(forces.sum(axis=0), 0.0, atol=FORCE_TOLERANCE)


def test_water_has_the_energy_that_the_xtb_program_prints():
    def compute(flat):
        energy, gradient = compute_tight_binding("GFN2-xTB", WATER, flat.reshape(-1, 3), 0)
        return energy, gradient.ravel()

    found = minimize(compute, (COORDS / BOHR_TO_ANGSTROM).ravel(), jac=True, tol=1e-6)
    assert found.fun == pytest.approx(-5.070544, abs=ENERGY_TOLERANCE)  # xtb's manual, optimised water


def test_the_same_geometry_gives_the_same_bits_whatever_came_before():
    calculator = TightBinding("GFN2-xTB")
    first = calculator(WATER, COORDS, 0)
    calculator(WATER, 1.1 * COORDS, 0)
    again = calculator(WATER, COORDS, 0)
    assert again.energy == first.energy
    assert again.forces.tobytes() == first.forces.tobytes()


def test_the_charge_counts():
    hydroxide = [TightBinding("GFN2-xTB")(WATER[:2], COORDS[:2], charge).energy for charge in (-1, 1)]
    assert hydroxide[0] < hydroxide[1]


@pytest.mark.parametrize(
    ("numbers", "coords", "charge", "reason"),
    [
        (WATER, COORDS * numpy.nan, 0, "GFN2-xTB"),
        (WATER, COORDS, 1, "9 electrons at charge 1"),
        (numpy.array([118, 1, 1]), COORDS, 0, "GFN2-xTB"),
    ],
    ids=["not finite", "odd electrons", "no such element"],
)
def test_a_failure_is_told_from_an_energy(numbers, coords, charge, reason):
    with pytest.raises(CalculationError, match=reason):
        TightBinding("GFN2-xTB")(numbers, coords, charge)


def test_the_interpreter_ends_without_a_complaint():
    code = (
        "import numpy; from common.calculators.tight_binding import TightBinding as T; "
        "T('GFN2-xTB')(numpy.array([1, 1]), numpy.array([[0, 0, 0], [0, 0, 0.74]]), 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
