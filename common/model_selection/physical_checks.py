"""Whether fitted values can be true of molecules: said before anybody simulates with them."""

import collections.abc
import math

from common.forcefields.tensors import TensorForceField
from common.forcefields.trainable import Trainable
from common.sufficient_statistics.linearization import MINIMUM_COLUMNS
from common.sufficient_statistics.visited_values import VisitedValues

LENGTHS = (0.5, 3.0)
"""[Angstrom] between which bonds are."""

NEAR_STRAIGHT = math.radians(5.0)
"""An angle so near to 0, or to 180 degrees where no molecule is nearly linear there, is none."""

MARGINS = {"Bonds": 0.1, "Angles": math.radians(10.0)}
"""How far a minimum may lie outside of what the data visit [Angstrom, radian]."""

WEAK = {"Bonds": 10.0, "Angles": 1.0}
"""Force constants below are none [kcal/mol/Angstrom², kcal/mol/rad²]."""

N_NAMED = 3
"""Values that are named of each kind; the others are counted."""


def check_values(
    trainable: Trainable,
    force_field: TensorForceField,
    ids: collections.abc.Mapping[tuple[str, str], str],
    visited: collections.abc.Mapping[str, VisitedValues],
) -> list[str]:
    """A line for each kind of value that is not physical; none where all is well.

    Args:
        trainable: which values were trained.
        force_field: with the fitted values.
        ids: of parameters, by section and SMIRKS.
        visited: by type, what the data visit; parameters that no molecule has are not looked at.
    """
    found: dict[str, list[str]] = {}

    def note(what: str, type_: str, row: int, name: str, value: str) -> None:
        key = force_field.potentials_by_type[type_].parameter_keys[row]
        found.setdefault(what, []).append(f"{ids.get((type_, key.id)) or key.id} {name} {value}")

    values = trainable.to_values(force_field)
    at_limit = ((values <= trainable.lower) | (values >= trainable.upper)).tolist()
    for (type_, row, name), is_at_limit in zip(trainable.names, at_limit, strict=True):
        seen = visited.get(type_)
        if seen is None or math.isnan(seen.mean[row]):
            continue
        value = float(force_field.potentials_by_type[type_].column(name)[row])
        text = _format(type_, name, value)
        if is_at_limit:
            note("stand at a limit", type_, row, name, text)
        if name == "k" and value < WEAK[type_]:
            note("are force constants near 0", type_, row, name, text)
        if name != MINIMUM_COLUMNS[type_]:
            continue
        if not _is_possible(type_, value, float(seen.highest[row])):
            note("are no lengths or angles of molecules", type_, row, name, text)
        low, high = seen.lowest[row] - MARGINS[type_], seen.highest[row] + MARGINS[type_]
        if not low <= value <= high:
            ends = [_format(type_, name, float(end[row])) for end in (seen.lowest, seen.highest)]
            note("are minima far from what the data visit", type_, row, name, f"{text}, data {' to '.join(ends)}")
    return [_describe(what, names) for what, names in found.items()]


def _is_possible(type_: str, value: float, highest: float) -> bool:
    if type_ == "Bonds":
        return LENGTHS[0] <= value <= LENGTHS[1]
    is_linear = highest > math.pi - 2.0 * NEAR_STRAIGHT
    return value >= NEAR_STRAIGHT and (value <= math.pi - NEAR_STRAIGHT or is_linear)


def _format(type_: str, name: str, value: float) -> str:
    if name == MINIMUM_COLUMNS[type_]:
        return f"{value:.2f} Å" if type_ == "Bonds" else f"{math.degrees(value):.0f}°"
    return f"{value:.3g}"


def _describe(what: str, names: list[str]) -> str:
    others = f" and {len(names) - N_NAMED} more" if len(names) > N_NAMED else ""
    return f"{len(names)} fitted values {what}: {'; '.join(names[:N_NAMED])}{others}"
