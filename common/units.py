"""Conversion constants between atomic units and the units used inside the project.

Inside: Angstrom, kcal/mol, radian, elementary charge, fs, atomic mass unit, K. Everything else is converted at the
border, with the constants below and nowhere else.
"""

HARTREE_TO_KCAL_PER_MOL = 627.5094740631
"""[kcal/mol per hartree], CODATA 2018 hartree energy, thermochemical calorie (4.184 J)."""

EV_TO_KCAL_PER_MOL = 23.06054783061903
"""[kcal/mol per eV], exact by definition of the SI (2019), thermochemical calorie."""

BOHR_TO_ANGSTROM = 0.529177210903
"""[Angstrom per bohr], CODATA 2018."""

HARTREE_PER_BOHR_TO_KCAL_PER_MOL_ANGSTROM = HARTREE_TO_KCAL_PER_MOL / BOHR_TO_ANGSTROM
"""[kcal/mol/Angstrom per hartree/bohr]."""

COULOMB_CONSTANT = 332.0637132991921
"""[kcal/mol Angstrom / e^2], 1 / (4 pi epsilon_0) from the CODATA 2018 values of e, epsilon_0 and the mole."""

KILOJOULE_PER_KILOCALORIE = 4.184
"""The thermochemical calorie, exact by definition."""

GAS_CONSTANT = 1.987204258640832e-3
"""[kcal/mol/K], 8.31446261815324 J/mol/K (exact by definition of the SI) over 4184 J/kcal."""

FORCE_TO_ACCELERATION = 4.184e-4
"""[Angstrom/fs^2 per kcal/mol/Angstrom/amu], 4184 J/kcal; the mole and the atomic mass unit cancel to 1e-9."""
