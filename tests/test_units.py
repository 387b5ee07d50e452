"""Constants against SciPy's CODATA tables."""

import pytest
import scipy.constants

from common import units

CALORIE = 4.184
"""[J], thermochemical."""

PRECISION = 5e-9
"""Relative: SciPy's tables may be of a later adjustment; those of 2018 and 2022 differ by 1e-9 at most here."""


def per_mole(joule: float) -> float:
    """[kcal/mol] of an energy [J] for each particle."""
    return joule * scipy.constants.N_A / CALORIE / 1000.0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (units.HARTREE_TO_KCAL_PER_MOL, per_mole(scipy.constants.value("Hartree energy"))),
        (units.BOHR_TO_ANGSTROM, 1e10 * scipy.constants.value("Bohr radius")),
        (
            units.HARTREE_PER_BOHR_TO_KCAL_PER_MOL_ANGSTROM,
            per_mole(scipy.constants.value("atomic unit of force")) * 1e-10,
        ),
        (
            units.COULOMB_CONSTANT,
            per_mole(scipy.constants.e**2 / (4.0 * scipy.constants.pi * scipy.constants.epsilon_0)) * 1e10,
        ),
        (units.GAS_CONSTANT, scipy.constants.R / CALORIE / 1000.0),
        (units.EV_TO_KCAL_PER_MOL, per_mole(scipy.constants.e)),
        (units.FORCE_TO_ACCELERATION, 4184.0 / scipy.constants.N_A / scipy.constants.atomic_mass * 1e-10),
    ],
)
def test_constants(value, expected):
    assert value == pytest.approx(expected, rel=PRECISION)
