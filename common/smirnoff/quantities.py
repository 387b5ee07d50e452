"""Quantities as SMIRNOFF files spell them, e.g. "419.98 * angstrom**-2 * mole**-1 * kilocalorie".

SMIRNOFF 0.3 and later write a value and its unit as one expression of products, quotients and powers
(https://openforcefield.github.io/standards/standards/smirnoff/#units). A few lines of descent parsing read it; nothing
in a file is ever evaluated as code. Values come out in the units used inside: Angstrom, kcal/mol, radian, elementary
charge. Each of these has the factor 1, so that a number written in them reads back bit for bit.
"""

import dataclasses
import functools
import math
import re

from common.units import BOHR_TO_ANGSTROM, KILOJOULE_PER_KILOCALORIE

MAX_LENGTH = 200
"""[characters] longest expression that is read; keeps hostile nesting shallow."""

_BASES = ("length", "energy", "amount", "angle", "charge")


@dataclasses.dataclass(frozen=True)
class Quantity:
    """A value in the units used inside, and its exponents of length, energy, amount, angle and charge."""

    value: float
    dimension: tuple[float, ...]

    def __mul__(self, other: "Quantity") -> "Quantity":
        return Quantity(self.value * other.value, _add(self.dimension, other.dimension, 1.0))

    def __truediv__(self, other: "Quantity") -> "Quantity":
        return Quantity(self.value / other.value, _add(self.dimension, other.dimension, -1.0))

    def __pow__(self, exponent: "Quantity") -> "Quantity":
        if any(exponent.dimension):
            raise ValueError("an exponent has a unit")
        power = self.value**exponent.value
        if isinstance(power, complex):
            raise ValueError("a fractional power of a negative number")
        return Quantity(power, tuple(d * exponent.value for d in self.dimension))


def _add(first: tuple[float, ...], second: tuple[float, ...], sign: float) -> tuple[float, ...]:
    return tuple(a + sign * b for a, b in zip(first, second, strict=True))


_PLAIN = (0.0,) * len(_BASES)
_UNIT_FACTORS = {
    "length": {"angstrom": 1.0, "nanometer": 10.0, "picometer": 0.01, "meter": 1e10, "bohr": BOHR_TO_ANGSTROM},
    "energy": {
        "kilocalorie": 1.0,
        "calorie": 1e-3,
        "kilojoule": 1.0 / KILOJOULE_PER_KILOCALORIE,
        "joule": 1e-3 / KILOJOULE_PER_KILOCALORIE,
    },
    "amount": {"mole": 1.0},
    "angle": {"radian": 1.0, "degree": math.pi / 180.0},
    "charge": {"elementary_charge": 1.0},
}
_ALIASES = {
    "Å": "angstrom",
    "nm": "nanometer",
    "nanometre": "nanometer",
    "pm": "picometer",
    "picometre": "picometer",
    "m": "meter",
    "metre": "meter",
    "kcal": "kilocalorie",
    "cal": "calorie",
    "kJ": "kilojoule",
    "J": "joule",
    "mol": "mole",
    "rad": "radian",
    "deg": "degree",
    "e": "elementary_charge",
    "proton_charge": "elementary_charge",
}


@functools.cache
def _find_unit(name: str) -> Quantity:
    """The unit of this name, in singular or plural, or of the form ``kilocalories_per_mole``."""
    if name == "dimensionless":
        return Quantity(1.0, _PLAIN)
    if "_per_" in name:
        first, *others = name.split("_per_")
        return functools.reduce(lambda quotient, other: quotient / _find_unit(other), others, _find_unit(first))
    for candidate in (name, _ALIASES.get(name), name.removesuffix("s"), _ALIASES.get(name.removesuffix("s"))):
        for i, base in enumerate(_BASES):
            if candidate in _UNIT_FACTORS[base]:
                return Quantity(_UNIT_FACTORS[base][candidate], tuple(float(i == j) for j in range(len(_BASES))))
    raise ValueError(f"unknown unit {name!r}")


_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|(?P<name>[^\W\d]\w*)|(?P<sign>\*\*|[*/^()+-]))"
)


class _Parser:
    """Reads ``product := factor (("*" | "/" | nothing) factor)*`` and ``factor := sign* atom ("**" factor)?``."""

    def __init__(self, text: str):
        self.tokens: list[tuple[str, str]] = []
        position = 0
        text = text.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise ValueError(f"unexpected {text[position:].strip()[:10]!r}")
            [(kind, token)] = [(name, part) for name, part in match.groupdict().items() if part is not None]
            self.tokens.append((kind, token))
            position = match.end()
        self.position = 0

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.position] if self.position < len(self.tokens) else ("end", "the end")

    def take(self) -> tuple[str, str]:
        token = self.peek()
        self.position += 1
        return token

    def read_product(self) -> Quantity:
        quantity = self.read_factor()
        while True:
            kind, text = self.peek()
            if text == "*":
                self.take()
                quantity *= self.read_factor()
            elif text == "/":
                self.take()
                quantity /= self.read_factor()
            elif kind in ("number", "name") or text == "(":
                quantity *= self.read_factor()
            else:
                return quantity

    def read_factor(self) -> Quantity:
        kind, text = self.take()
        if text in ("+", "-"):
            factor = self.read_factor()
            return Quantity(-factor.value if text == "-" else factor.value, factor.dimension)
        if kind == "number":
            quantity = Quantity(float(text), _PLAIN)
        elif kind == "name":
            quantity = _find_unit(text)
        elif text == "(":
            quantity = self.read_product()
            if self.take()[1] != ")":
                raise ValueError("a bracket is not closed")
        else:
            raise ValueError(f"{text!r} where a number or unit should stand")
        if self.peek()[1] in ("**", "^"):
            self.take()
            quantity **= self.read_factor()
        return quantity


def parse_expression(text: str) -> Quantity:
    """Reads an expression of numbers and units.

    Raises:
        ValueError: it is none, names an unknown unit, or its value is not finite.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"longer than {MAX_LENGTH} characters")
    parser = _Parser(text)
    try:
        quantity = parser.read_product()
    except (OverflowError, ZeroDivisionError) as error:
        raise ValueError("its value is not finite") from error
    if parser.position < len(parser.tokens):
        raise ValueError(f"unexpected {parser.peek()[1]!r}")
    if not math.isfinite(quantity.value):
        raise ValueError("its value is not finite")
    return quantity


def parse_quantity(text: str, unit: str) -> float:
    """Reads a value with its unit.

    Args:
        text: e.g. "1.0 * nanometer".
        unit: the unit used inside, as ``common.forcefields.terms.PARAMETER_UNITS`` spells it; "" for a plain number.

    Returns:
        The value in ``unit``.

    Raises:
        ValueError: the text cannot be read, or has another dimension.
    """
    quantity = parse_expression(text)
    expected = _find_dimension(unit)
    if quantity.dimension != expected:
        missing = not any(quantity.dimension)
        wanted = f"expected a value in {unit}" if unit else "expected a plain number"
        raise ValueError(f"the unit is missing, {wanted}" if missing else f"the unit does not fit, {wanted}")
    return quantity.value


@functools.cache
def _find_dimension(unit: str) -> tuple[float, ...]:
    return parse_expression(unit).dimension if unit else _PLAIN
