"""The energy terms by type: columns, units, functional forms."""

VALENCE_TYPES = ("Bonds", "Angles", "ProperTorsions", "ImproperTorsions")


NONBONDED_TYPES = ("vdW", "Electrostatics")

N_PARTICLES = {"Bonds": 2, "Angles": 3, "ProperTorsions": 4, "ImproperTorsions": 4}
"""How many atoms an interaction of each valence type joins."""

ENERGY_FUNCTIONS = {
    "Bonds": "k/2*(r-length)**2",
    "Angles": "k/2*(theta-angle)**2",
    "ProperTorsions": "k*(1+cos(periodicity*theta-phase))",
    "ImproperTorsions": "k*(1+cos(periodicity*theta-phase))",
    "vdW": "4*epsilon*((sigma/r)**12-(sigma/r)**6)",
    "Electrostatics": "coul",
}
"""The ``fn`` of each type of potential, spelled as smee spells it."""


PARAMETER_UNITS = {
    "Bonds": {"k": "kilocalorie / mole / angstrom ** 2", "length": "angstrom"},
    "Angles": {"k": "kilocalorie / mole / radian ** 2", "angle": "radian"},
    "ProperTorsions": {"k": "kilocalorie / mole", "periodicity": "", "phase": "radian", "idivf": ""},
    "ImproperTorsions": {"k": "kilocalorie / mole", "periodicity": "", "phase": "radian", "idivf": ""},
    "vdW": {"epsilon": "kilocalorie / mole", "sigma": "angstrom"},
    "Electrostatics": {"charge": "elementary_charge"},
}
"""The columns of each type, in order, with their units ("" is dimensionless)."""

TRAINABLE_COLUMNS = {
    "Bonds": ("k", "length"),
    "Angles": ("k", "angle"),
    "ProperTorsions": ("k",),
    "ImproperTorsions": ("k",),
    "vdW": ("epsilon", "sigma"),
}
"""The columns in whose functions the energy is linear: what a fit may train."""
