"""The result of a fit in one sentence, and the figures around it as text."""

import typing

ENERGY_UNIT = "kcal/mol"
FORCE_UNIT = "kcal/mol/Å"

_SPLIT_PHRASES = {
    "test": "that the fit has not seen",
    "validation": "of the validation split, which no step was fitted to",
    "train": "that it was fitted to (there are no others)",
    "new": "that the run did not know",
    "all": "of the data",
}


def format_interval(interval: typing.Sequence[float] | None, digits: int = 3) -> str:
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


def write_verdict(group: dict[str, typing.Any], comparison: dict[str, typing.Any] | None, candidate: str) -> str:
    """What a fit made of the errors, with the uncertainty of each change; without a fit, what the errors are.

    Args:
        group: the record of the split, all sources together, as ``common.metrics.compute_metrics`` gives it.
        comparison: of the candidates before and after, as ``common.metrics.compare_candidates`` gives it, or None.
        candidate: of whom to speak without a comparison.
    """
    n = group["n_molecules"]
    molecules = f"{n} molecule{'s' if n != 1 else ''} {_SPLIT_PHRASES[group['split']]}"
    if comparison is None:
        own = group["candidates"][candidate]
        return (
            f"On {molecules}, {candidate} has a force error of {format_number(own['force_rmse'])} {FORCE_UNIT} and an "
            f"energy error of {format_number(own['energy_rmse'])} {ENERGY_UNIT}."
        )
    before, after = (group["candidates"][comparison[name]] for name in ("before", "after"))
    parts = [
        _describe_change("force error", before["force_rmse"], after["force_rmse"], FORCE_UNIT, comparison["forces"]),
        _describe_change(
            "energy error", before["energy_rmse"], after["energy_rmse"], ENERGY_UNIT, comparison["energy"]
        ),
    ]
    sentence = f"On {molecules}, {parts[0]}, and {parts[1]}."
    if comparison["after"] != "fitted":  # one of several runs
        sentence = f"{comparison['after']}: {sentence}"
    if comparison["forces"]["interval"] is None:
        sentence += " These are too few molecules to say how uncertain that is."
    return sentence


def _describe_change(what: str, before: float, after: float, unit: str, change: dict[str, typing.Any]) -> str:
    if change["change"] is None:
        return f"the {what} is {format_number(after)} {unit}, {format_number(before)} before"
    verb = "falls" if after < before else "rises" if after > before else "stays"
    text = f"the {what} {verb} from {format_number(before)} to {format_number(after)} {unit} "
    if change["interval"] is None:
        return text + f"({format_percentage(change['change'])})"
    low, high = change["interval"]
    text += (
        f"({format_percentage(change['change'])}; 95\N{NARROW NO-BREAK SPACE}% interval {format_percentage(low)} to "
    )
    text += format_percentage(high) + ")"
    return text + (", a change that may be chance" if low < 0.0 < high else "")
