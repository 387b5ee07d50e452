"""B3LYP-D3(BJ)/DZVP by PySCF, where it is installed."""

import numpy
import pytest

from common.calculators.density_functional import DensityFunctional
from common.calculators.interface import CalculationError
from common.espaloma.entry import read_entry
from common.molecules.mapped_smiles import from_mapped_smiles
from tests.helpers import ROOT

pytest.importorskip("pyscf")
pytest.importorskip("pyscf.dispersion")

FLUORIDE = numpy.array([9, 1])
STEP = 2e-3  # [Angstrom]
FORCE_TOLERANCE = 0.02  # [kcal/mol/Angstrom] the SCF converges to 1e-8 hartree: 2 * 6e-6 kcal/mol over 2 * STEP
ARCHIVE_TOLERANCE = 1e-3  # [kcal/mol, kcal/mol/Angstrom] twice the SCF's convergence, and other processors


def test_the_force_is_minus_the_gradient():
    def compute(distance):
        return DensityFunctional()(FLUORIDE, numpy.array([[0.0, 0.0, 0.0], [0.0, 0.0, distance]]), 0)

    numeric = -(compute(1.0 + STEP).energy - compute(1.0 - STEP).energy) / (2.0 * STEP)
    force = compute(1.0).forces[1, 2]
    assert abs(force) > 10.0
    assert force == pytest.approx(numeric, abs=FORCE_TOLERANCE)


def test_ammonia_has_the_energy_and_forces_of_the_example_archive():
    entry = read_entry(ROOT / "example" / "8150601" / "spice-des-monomers" / "1")
    numbers = numpy.array([atom.GetAtomicNum() for atom in from_mapped_smiles(entry.smiles).GetAtoms()])
    energy, forces = DensityFunctional()(numbers, entry.coords[0], 0)
    assert energy == pytest.approx(entry.energy[0] + entry.energy_offset, abs=ARCHIVE_TOLERANCE)
    numpy.testing.assert_allclose(forces, entry.forces[0], atol=ARCHIVE_TOLERANCE)


def test_an_odd_electron_is_refused():
    with pytest.raises(CalculationError, match="9 electrons"):
        DensityFunctional()(FLUORIDE, numpy.eye(3)[:2], 1)
