"""What was fitted, and what the fit made of the errors, in words."""

import collections.abc
import typing

from common.analysis.records import Comparison, GroupErrors, MadeWorse, MoleculeErrors, RelativeChange
from common.forcefields.evaluation import Difference
from common.reporting.numbers import ENERGY_UNIT, FORCE_UNIT, format_number, format_percentage

_SPLIT_PHRASES = {
    "test": "that the fit has not seen",
    "validation": "of the validation split, which no step was fitted to",
    "train": "that it was fitted to (there are no others)",
    "new": "that the run did not know",
    "all": "of the data",
}

DIFFERENCE_TOLERANCE = 1e-9
"""Relative: rounding stays far below."""


def describe_difference(difference: Difference) -> list[str]:
    """What a reader must know where energies and forces are not those of the plain functions; mostly nothing."""
    if difference.relative <= DIFFERENCE_TOLERANCE:
        return []
    return [
        f"computed a second time, by the plain functions, energies differ by up to {difference.energy:.1e} "
        f"{ENERGY_UNIT} and forces by up to {difference.forces:.1e} {FORCE_UNIT}: believe no error here, report this"
    ]


def write_verdict(group: GroupErrors, comparison: Comparison | None, candidate: str) -> str:
    """What a fit made of the errors, with the uncertainty of each change; without a fit, what the errors are.

    Args:
        group: of the split, all sources together.
        comparison: of the candidates before and after, or None.
        candidate: of whom to speak without a comparison.
    """
    n = group.n_molecules
    molecules = f"{n} molecule{'s' if n != 1 else ''} {_SPLIT_PHRASES[group.split]}"
    if comparison is None:
        own = group.candidates[candidate]
        parts = [
            f"{what} of {format_number(value)} {unit}"
            for what, value, unit in (
                ("a force error", own.force_rmse, FORCE_UNIT),
                ("an energy error", own.energy_rmse, ENERGY_UNIT),
            )
            if value is not None
        ]
        return f"On {molecules}, {candidate} has {' and '.join(parts)}."
    before, after = group.candidates[comparison.before], group.candidates[comparison.after]
    known = [
        (_describe_change(what, old, new, unit, change), change)
        for what, old, new, unit, change in (
            ("force error", before.force_rmse, after.force_rmse, FORCE_UNIT, comparison.forces),
            ("energy error", before.energy_rmse, after.energy_rmse, ENERGY_UNIT, comparison.energy),
        )
        if old is not None and new is not None
    ]
    sentence = f"On {molecules}, {', and '.join(text for text, _ in known)}."
    if comparison.after != "fitted":  # one of several runs
        sentence = f"{comparison.after}: {sentence}"
    if all(change.interval is None for _, change in known):
        sentence += " These are too few molecules to say how uncertain that is."
    return sentence


WORSE = 0.05
"""By this part at least an error has to rise for a molecule to count as made worse."""


def find_made_worse(
    molecules: collections.abc.Iterable[MoleculeErrors], split: str, before: str, after: str
) -> list[MadeWorse]:
    """The molecules of a split ("all" for any) that a fit has made worse, by how many times, the worst first."""
    found = []
    for record in molecules:
        for quantity, errors in (("force", record.force_rmse), ("energy", record.energy_rmse)):
            old, new = errors[before], errors[after]
            if split in (record.split, "all") and old is not None and new is not None and new > (1.0 + WORSE) * old:
                found.append(MadeWorse(record.molecule, quantity, old, new))
    return sorted(found, key=lambda one: (-one.after / max(one.before, 1e-12), one.molecule, one.quantity))


def describe_made_worse(made_worse: collections.abc.Sequence[MadeWorse], n_molecules: int) -> str:
    """How many molecules a fit has made worse, and the worst of them; "" for none."""
    parts = []
    for quantity, unit in (("force", FORCE_UNIT), ("energy", ENERGY_UNIT)):
        own = [one for one in made_worse if one.quantity == quantity]
        if own:
            change = f"{format_number(own[0].before)} to {format_number(own[0].after)} {unit}"
            parts.append(f"{len(own)} in {quantity} (most of all {own[0].molecule}, {change})")
    if not parts:
        return ""
    return f" Of these {n_molecules} molecules the fit makes some worse: {', and '.join(parts)}."


def _describe_change(what: str, before: float, after: float, unit: str, change: RelativeChange) -> str:
    if change.change is None:
        return f"the {what} is {format_number(after)} {unit}, {format_number(before)} before"
    verb = "falls" if after < before else "rises" if after > before else "stays"
    text = f"the {what} {verb} from {format_number(before)} to {format_number(after)} {unit} "
    if change.interval is None:
        return text + f"({format_percentage(change.change)})"
    low, high = change.interval
    text += f"({format_percentage(change.change)}; 95\N{NARROW NO-BREAK SPACE}% interval {format_percentage(low)} to "
    text += format_percentage(high) + ")"
    return text + (", a change that may be chance" if low < 0.0 < high else "")


def describe_columns(columns: collections.abc.Mapping[str, collections.abc.Mapping[str, typing.Any]]) -> str:
    """How the columns of a type are trained, e.g. "k ≥ 0, scale 0.01, prior 100; length 0 to 5, prior 0.05"."""
    return "; ".join(
        ", ".join([f"{name}{_describe_limits(one)}", *_describe_widths(one)]) for name, one in columns.items()
    )


def _describe_limits(column: collections.abc.Mapping[str, typing.Any]) -> str:
    lower, upper = column.get("lower"), column.get("upper")
    if lower is None or upper is None:
        return "" if lower is upper else f" ≥ {lower:.4g}" if upper is None else f" ≤ {upper:.4g}"
    return f" {lower:.4g} to {upper:.4g}"


def _describe_widths(column: collections.abc.Mapping[str, typing.Any]) -> list[str]:
    widths = (("scale", column.get("scale", 1.0), 1.0), ("prior", column.get("prior"), None))
    return [f"{name} {value:g}" for name, value, default in widths if value != default]
