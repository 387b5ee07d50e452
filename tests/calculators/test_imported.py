"""ASE calculators and functions by import path."""

import ase
import numpy
import pytest
from ase.calculators.calculator import Calculator as AseBase
from ase.calculators.calculator import all_changes
from ase.calculators.emt import EMT

from common.calculators.imported import AseCalculator, import_object

NUMBERS = numpy.array([6, 8, 1, 1])
COORDS = numpy.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.2], [0.9, 0.0, -0.6], [-0.9, 0.0, -0.6]])


def test_units_are_converted():
    atoms = ase.Atoms(numbers=NUMBERS, positions=COORDS, calculator=EMT())
    found = AseCalculator(EMT, {})(NUMBERS, COORDS, 0)
    assert found.energy == pytest.approx(23.060548 * atoms.get_potential_energy(), rel=1e-7)
    numpy.testing.assert_allclose(found.forces, 23.060548 * atoms.get_forces(), rtol=1e-7, atol=1e-9)


def test_forces_are_minus_the_gradient():
    calculator, step = AseCalculator(EMT, {}), 1e-5
    shift = step * numpy.eye(4, 3)
    numeric = -(calculator(NUMBERS, COORDS + shift, 0).energy - calculator(NUMBERS, COORDS - shift, 0).energy)
    forces = calculator(NUMBERS, COORDS, 0).forces
    assert (forces * shift).sum() * 2.0 == pytest.approx(numeric, rel=1e-6)


class Remembers(AseBase):
    """Gives the charge that it hears of, and notices what is carried over."""

    implemented_properties = ("energy", "forces")

    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = factor

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": self.factor * atoms.info["charge"], "forces": 0.0 * atoms.positions}


def test_charge_and_options_reach_the_calculator():
    calculator = AseCalculator(Remembers, {"factor": 2.0})
    assert calculator(NUMBERS, COORDS, -1).energy == pytest.approx(-2.0 * 23.060548)
    assert calculator(NUMBERS, COORDS, 1).energy == pytest.approx(2.0 * 23.060548)  # the same coordinates


def test_what_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"cannot import 'no_such_package'.*install it"):
        import_object("no_such_package", "Calculator")
    with pytest.raises(ValueError, match=r"'ase\.calculators\.emt' has no 'Emt'"):
        import_object("ase.calculators.emt", "Emt")
