"""The numbers of a SMIRNOFF section: what each attribute means, its unit and its default."""

import collections.abc
import math
import re

from common.forcefields.terms import PARAMETER_UNITS
from common.smirnoff.quantities import parse_quantity

RMIN_HALF_TO_SIGMA = 2.0 / 2 ** (1 / 6)
"""sigma = 2 rmin_half / 2^(1/6): the minimum of the 12-6 potential lies at 2^(1/6) sigma."""

_POTENTIALS = {
    "Bonds": ("harmonic", "(k/2)*(r-length)^2"),
    "Angles": ("harmonic",),
    "ProperTorsions": ("k*(1+cos(periodicity*theta-phase))",),
    "ImproperTorsions": ("k*(1+cos(periodicity*theta-phase))",),
    "vdW": ("Lennard-Jones-12-6",),
}
"""The energy functions that are supported; the specification's default, for a missing attribute, is among them."""

SETTINGS = {
    "vdW": {
        "scale_12": ("scale12", "", 0.0),
        "scale_13": ("scale13", "", 0.0),
        "scale_14": ("scale14", "", 0.5),
        "scale_15": ("scale15", "", 1.0),
        "cutoff": ("cutoff", "angstrom", 9.0),
        "switch_width": ("switch_width", "angstrom", 1.0),
    },
    "Electrostatics": {
        "scale_12": ("scale12", "", 0.0),
        "scale_13": ("scale13", "", 0.0),
        "scale_14": ("scale14", "", 0.833333),
        "scale_15": ("scale15", "", 1.0),
        "cutoff": ("cutoff", "angstrom", 9.0),
    },
}
"""The attributes of a TensorPotential in smee's order: name in the file, unit, default of the specification."""

_FIXED_SETTINGS = {"scale_12": 0.0, "scale_13": 0.0, "scale_15": 1.0}
_INDEXED = re.compile(r"(k|phase|periodicity|idivf|charge|charge_increment)([1-9]\d*)")
_BOND_ORDER = re.compile(r"(k\d*|length)_bondorder\d*")

AUTO_IDIVF = {"ProperTorsions": 1.0, "ImproperTorsions": 3.0}
"""What ``default_idivf="auto"`` comes to in openff-interchange 0.4: a proper torsion is not divided, an improper is
divided by its three paths."""


class Reader:
    """Looks up attributes and says which one is missing or wrong."""

    def __init__(self, attributes: dict[str, str]):
        self.attributes = attributes

    def __contains__(self, name: str) -> bool:
        return name in self.attributes

    def read(self, name: str, unit: str) -> float:
        """The value of an attribute in the unit used inside ("" for a plain number).

        Raises:
            ValueError: it is missing, cannot be read, or has another dimension.
        """
        if name not in self.attributes:
            raise ValueError(f"attribute {name!r} is missing")
        text = self.attributes[name]
        try:
            return parse_quantity(text, unit)
        except ValueError as error:
            raise ValueError(f"attribute {name}={text!r}: {error}") from error

    def count_indexed(
        self, required: collections.abc.Sequence[str], optional: collections.abc.Sequence[str] = ()
    ) -> int:
        """How many terms ``required[0] + "1"``, ``"2"``, ... has.

        Raises:
            ValueError: a term is left out, or the attributes have different numbers of terms.
        """
        indices: dict[str, set[int]] = {name: set() for name in (*required, *optional)}
        for name in self.attributes:
            match = _INDEXED.fullmatch(name)
            if match and match[1] in indices:
                indices[match[1]].add(int(match[2]))
        n_terms = len(indices[required[0]])
        for name, found in indices.items():
            if not found and name in optional:
                continue
            missing = set(range(1, max(n_terms, 1) + 1)) - found
            if missing:
                raise ValueError(f"attribute {name + str(min(missing))!r} is missing")
            if len(found) > n_terms:
                raise ValueError(f"attribute {name + str(max(found))!r} has no {required[0] + str(max(found))!r}")
        return n_terms


def read_attributes(section: str, attributes: dict[str, str]) -> dict[str, float]:
    """The numbers of a whole section, and a check of its switches.

    Raises:
        ValueError: a switch asks for something that is not supported, or a number cannot be read.
    """
    if section in _POTENTIALS:
        potential = attributes.get("potential", _POTENTIALS[section][0])
        if potential not in _POTENTIALS[section]:
            raise ValueError(f"potential={potential!r} is not supported, only {' or '.join(_POTENTIALS[section])}")
    rules = attributes.get("combining_rules", "Lorentz-Berthelot")
    if section == "vdW" and rules.lower() != "lorentz-berthelot":
        raise ValueError(f"combining_rules={rules!r} is not supported, only 'Lorentz-Berthelot'")
    reader = Reader(attributes)
    settings = {}
    for name, (attribute, unit, default) in SETTINGS.get(section, {}).items():
        settings[name] = reader.read(attribute, unit) if attribute in reader else default
        if settings[name] != _FIXED_SETTINGS.get(name, settings[name]):
            raise ValueError(f"{attribute}={attributes[attribute]!r} is not supported, only {_FIXED_SETTINGS[name]}")
    return settings


def _read_default_idivf(section: str, attributes: dict[str, str]) -> float:
    if attributes.get("default_idivf", "auto") == "auto":
        return AUTO_IDIVF[section]
    value = _read_divisor(Reader(attributes), "default_idivf")
    if section == "ProperTorsions" and value != AUTO_IDIVF[section]:
        raise ValueError(
            f"default_idivf={attributes['default_idivf']!r} is not supported: openff-interchange passes over it where "
            "the specification divides by it; give every term its idivf instead"
        )
    return value


def _read_divisor(reader: Reader, name: str) -> float:
    value = reader.read(name, "")
    if value == 0.0:
        raise ValueError(f"attribute {name!r} is 0, which nothing can be divided by")
    return value


def read_values(
    section: str, reader: Reader, section_attributes: dict[str, str], n_tags: int
) -> tuple[tuple[float, ...], ...]:
    """The values of one parameter: a row for each term (each tag, for charges).

    Args:
        section: name of the section.
        reader: the attributes of the parameter.
        section_attributes: the attributes of its section.
        n_tags: how many atoms its SMIRKS tags.

    Returns:
        Rows in the columns and units of ``common.forcefields.terms.PARAMETER_UNITS``; none for constraints, which are
        for dynamics and never applied in a fit.

    Raises:
        ValueError: an attribute is missing, wrong or not supported.
    """
    for name in reader.attributes:
        if section in ("Bonds", "ProperTorsions") and _BOND_ORDER.fullmatch(name):
            raise ValueError(f"attribute {name!r}: parameters interpolated by fractional bond orders are not supported")
    if section in ("Bonds", "Angles"):
        return (tuple(reader.read(name, unit) for name, unit in PARAMETER_UNITS[section].items()),)
    if section in ("ProperTorsions", "ImproperTorsions"):
        return _read_torsion(section, reader, section_attributes)
    if section == "vdW":
        return (_read_lennard_jones(reader),)
    if section == "LibraryCharges":
        return _read_library_charge(reader, n_tags)
    if section == "ChargeIncrementModel":
        return _read_charge_increment(reader, n_tags)
    return ()


def _read_torsion(section: str, reader: Reader, section_attributes: dict[str, str]) -> tuple[tuple[float, ...], ...]:
    n_terms = reader.count_indexed(("k", "periodicity", "phase"), optional=("idivf",))
    units = PARAMETER_UNITS[section]
    rows = []
    for term in range(1, n_terms + 1):
        periodicity = reader.read(f"periodicity{term}", "")
        if periodicity < 0 or periodicity != math.floor(periodicity):
            raise ValueError(f"attribute 'periodicity{term}' is {periodicity}, expected 1, 2, 3, ...")
        idivf = f"idivf{term}"
        divisor = _read_divisor(reader, idivf) if idivf in reader else _read_default_idivf(section, section_attributes)
        k, phase = (reader.read(f"{name}{term}", units[name]) for name in ("k", "phase"))
        rows.append((k, periodicity, phase, divisor))
    return tuple(rows)


def _read_lennard_jones(reader: Reader) -> tuple[float, float]:
    units = PARAMETER_UNITS["vdW"]
    if ("sigma" in reader) == ("rmin_half" in reader):
        raise ValueError("expected one of the attributes 'sigma' and 'rmin_half', and not both")
    epsilon = reader.read("epsilon", units["epsilon"])
    if "sigma" in reader:
        return epsilon, reader.read("sigma", units["sigma"])
    return epsilon, reader.read("rmin_half", units["sigma"]) * RMIN_HALF_TO_SIGMA


def _read_library_charge(reader: Reader, n_tags: int) -> tuple[tuple[float, ...], ...]:
    n_charges = reader.count_indexed(("charge",))
    if n_charges != n_tags:
        raise ValueError(f"{n_charges} charges for {n_tags} tagged atoms")
    return tuple((reader.read(f"charge{i + 1}", PARAMETER_UNITS["Electrostatics"]["charge"]),) for i in range(n_tags))


def _read_charge_increment(reader: Reader, n_tags: int) -> tuple[tuple[float, ...], ...]:
    """One increment for each tag; where the last is left out, it balances the others."""
    n_increments = reader.count_indexed(("charge_increment",))
    if n_tags - n_increments not in (0, 1):
        raise ValueError(f"{n_increments} charge increments for {n_tags} tagged atoms, expected as many or one fewer")
    unit = PARAMETER_UNITS["Electrostatics"]["charge"]
    increments = [reader.read(f"charge_increment{i + 1}", unit) for i in range(n_increments)]
    if n_increments < n_tags:
        increments.append(-sum(increments))
    return tuple((increment,) for increment in increments)
