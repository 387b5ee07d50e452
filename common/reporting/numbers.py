"""Numbers, intervals and percentages as text."""

import collections.abc

ENERGY_UNIT = "kcal/mol"
FORCE_UNIT = "kcal/mol/Å"


def format_interval(interval: collections.abc.Sequence[float] | None, digits: int = 3) -> str:
    """Both ends, e.g. "1.20 to 1.35"; nothing where there is no interval."""
    return "" if interval is None else " to ".join(format_number(value, digits) for value in interval)


def format_number(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits, without exponent where that is readable; "–" for None."""
    if value is None:
        return "–"
    magnitude = abs(value)
    if magnitude == 0.0:
        return "0"
    if 1e-4 <= magnitude < 1e5:
        before_point = len(str(int(magnitude))) if magnitude >= 1.0 else 0
        leading_zeros = 0
        while 0.0 < magnitude * 10**leading_zeros < 0.1:
            leading_zeros += 1
        return f"{value:.{max(0, digits - before_point + leading_zeros)}f}"
    return f"{value:.{digits - 1}e}"


def format_percentage(change: float) -> str:
    """A relative change with its sign, e.g. "−12 %"; one decimal below ten."""
    percentage = 100.0 * change
    sign = "−" if percentage < 0.0 else "+"
    digits = 0 if abs(percentage) >= 9.95 else 1
    return f"{sign}{abs(percentage):.{digits}f}\N{NARROW NO-BREAK SPACE}%"
