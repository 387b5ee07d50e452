"""Chemical formulas: how many atoms of each element."""

import re
from collections.abc import Mapping

from rdkit import Chem

_TABLE = Chem.GetPeriodicTable()

N_ELEMENTS = 118

NUMBERS = {_TABLE.GetElementSymbol(number): number for number in range(1, N_ELEMENTS + 1)}
"""Atomic numbers by symbol."""

_PART = re.compile(r"([A-Z][a-z]?)([1-9][0-9]*)?")


def parse_formula(formula: str) -> dict[int, int]:
    """How many atoms of each element a formula names, e.g. ``C2H6O`` -> ``{6: 2, 1: 6, 8: 1}``.

    An element may come up more than once, as in ``CH3CH3``; there are no brackets and no charges.

    Raises:
        ValueError: it is empty, or some of it is no symbol of an element with a count of one or more.
    """
    counts: dict[int, int] = {}
    position = 0
    while position < len(formula) or not counts:
        part = _PART.match(formula, position)
        if part is None or part[1] not in NUMBERS:
            rest = formula[position:]
            what = f"{rest!r} in it is no element with a count" if rest else "it is empty"
            raise ValueError(f"the formula {formula!r} cannot be read: {what}; expected something like C2H6O")
        number = NUMBERS[part[1]]
        counts[number] = counts.get(number, 0) + int(part[2] or 1)
        position = part.end()
    return counts


def format_formula(counts: Mapping[int, int]) -> str:
    """The formula in Hill's order: carbon, hydrogen, then by symbol; without carbon, all by symbol."""
    symbols = {_TABLE.GetElementSymbol(number): count for number, count in counts.items() if count}
    first = [symbol for symbol in ("C", "H") if symbol in symbols and "C" in symbols]
    order = [*first, *sorted(symbol for symbol in symbols if symbol not in first)]
    return "".join(symbol + (str(symbols[symbol]) if symbols[symbol] > 1 else "") for symbol in order)
