"""Units that files state or users name -> those of the project."""

import dataclasses

from common.units import BOHR_TO_ANGSTROM, EV_TO_KCAL_PER_MOL, HARTREE_TO_KCAL_PER_MOL, KILOJOULE_PER_KILOCALORIE

ENERGIES = {
    "hartree": HARTREE_TO_KCAL_PER_MOL,
    "ev": EV_TO_KCAL_PER_MOL,
    "kcal/mol": 1.0,
    "kj/mol": 1.0 / KILOJOULE_PER_KILOCALORIE,
}
"""[kcal/mol]"""

LENGTHS = {"angstrom": 1.0, "bohr": BOHR_TO_ANGSTROM, "nm": 10.0}
"""[Angstrom]"""

_ALIASES = {
    "eh": "hartree",
    "ha": "hartree",
    "hartrees": "hartree",
    "a": "angstrom",
    "å": "angstrom",
    "ang": "angstrom",
    "angstroms": "angstrom",
    "a0": "bohr",
    "bohrs": "bohr",
    "nanometer": "nm",
    "kcal": "kcal/mol",
    "kj": "kj/mol",
    "kilocalorie/mole": "kcal/mol",
    "kilocalorie_per_mole": "kcal/mol",
    "kilojoule/mole": "kj/mol",
    "kilojoule_per_mole": "kj/mol",
}


@dataclasses.dataclass(frozen=True)
class Units:
    """What one unit of a file is in those of the project.

    Attributes:
        energy: [kcal/mol]
        length: [Angstrom]
        force: [kcal/mol/Angstrom]
    """

    energy: float
    length: float
    force: float


def parse_units(energy: str, length: str, force: str | None = None) -> Units:
    """Units by their names; without a unit of force it is energy over length.

    Args:
        energy: hartree, eV, kcal/mol or kJ/mol.
        length: angstrom, bohr or nm.
        force: energy and length with a slash between them, e.g. "eV/angstrom" or "hartree/bohr".

    Raises:
        ValueError: a name is not known.
    """
    energy_factor, length_factor = _find(energy, ENERGIES, "energy"), _find(length, LENGTHS, "length")
    if force is None:
        return Units(energy_factor, length_factor, energy_factor / length_factor)
    above, slash, below = force.rpartition("/")
    if not slash:
        raise ValueError(f"{force!r}: no unit of force; expected energy and length, e.g. 'hartree/bohr'")
    force_factor = _find(above, ENERGIES, "energy") / _find(below, LENGTHS, "length")
    return Units(energy_factor, length_factor, force_factor)


def _find(name: str, factors: dict[str, float], what: str) -> float:
    plain = name.strip().lower()
    plain = _ALIASES.get(plain, plain)
    if plain not in factors:
        raise ValueError(f"{name!r}: no unit of {what} that is known; there are {', '.join(factors)}")
    return factors[plain]
