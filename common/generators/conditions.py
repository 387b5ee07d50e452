"""What a generator can be told to aim at: properties, vectors of numbers, compositions."""

import dataclasses
import math
import re
import typing
from collections.abc import Mapping, Sequence

import numpy

from common.molecules.formulas import format_formula, parse_formula

Kind = typing.Literal["scalar", "vector", "composition"]

COMPUTED = ("n_atoms", "n_heavy_atoms")
"""Properties that every molecule has without being told."""


@dataclasses.dataclass(frozen=True)
class Condition:
    """One thing to aim at.

    Attributes:
        name: by which targets name it.
        kind: a number, a vector of numbers, or how many atoms of each element there are.
        quantity: property of the molecules in the database; one of ``COMPUTED`` counts atoms; "" for a composition.
        relative: take the property by atom, relative to what a linear fit to the composition says of it.
        stepwise: of a composition, tell the network what is still missing, step by step, and not only the whole.
        low: of a number, the centre of the first Gaussian in which it is expanded.
        high: the last centre is here or just beyond.
        spacing: between the centres.
        n_inputs: the length of a vector.
        n_features: of the embedding.
        n_layers: of the network that embeds it.
        n_hidden: of its hidden layers, for a vector; None for half as many after each.
        n_type_features: of a composition, for each element.
        max_atoms: of a composition, where the centres for the number of atoms end.
        atom_spacing: between them.
    """

    name: str
    kind: Kind = "scalar"
    quantity: str = ""
    relative: bool = False
    stepwise: bool = False
    low: float = 0.0
    high: float = 1.0
    spacing: float = 0.25
    n_inputs: int = 0
    n_features: int = 64
    n_layers: int = 3
    n_hidden: int | None = None
    n_type_features: int = 16
    max_atoms: float = 35.0
    atom_spacing: float = 8.75

    @property
    def n_values(self) -> int:
        """How many numbers say it; for a composition that depends on the elements."""
        return self.n_inputs if self.kind == "vector" else 1

    @property
    def n_gaussians(self) -> int:
        return count_gaussians(self.low, self.high, self.spacing)


def count_gaussians(low: float, high: float, spacing: float) -> int:
    """How many centres, a spacing apart, reach from ``low`` to ``high`` or just beyond."""
    return math.ceil((high - low) / spacing - 1e-9) + 1


@dataclasses.dataclass(frozen=True)
class CompositionFit:
    """The linear fit of a property by atom to the composition.

    Attributes:
        weights: by type, ``shape=(n_types,)`` float64.
        constant: added to it.
    """

    weights: tuple[float, ...]
    constant: float

    def compute_relative(self, values: numpy.ndarray, compositions: numpy.ndarray) -> numpy.ndarray:
        """How far a property by atom is from what the composition says.

        Args:
            values: of whole molecules, ``shape=(n_molecules,)``.
            compositions: numbers of atoms by type, ``shape=(n_molecules, n_types)``.

        Returns:
            in the unit of the values, by atom, ``shape=(n_molecules,)`` float64.
        """
        n_atoms = compositions.sum(axis=1)
        expected = (compositions / n_atoms[:, None]) @ numpy.array(self.weights) + self.constant
        return values / n_atoms - expected


def fit_to_composition(values: numpy.ndarray, compositions: numpy.ndarray) -> CompositionFit:
    """Least squares in float64; where the compositions leave directions open, the shortest solution.

    Arguments as :meth:`CompositionFit.compute_relative`.
    """
    n_atoms = compositions.sum(axis=1, dtype=numpy.float64)
    inputs = numpy.column_stack([compositions / n_atoms[:, None], numpy.ones(len(values))])
    by_atom = numpy.asarray(values, dtype=numpy.float64) / n_atoms
    centre = by_atom.mean()  # totals of thousands of eV: the fit is to what is left
    solution = numpy.linalg.lstsq(inputs, by_atom - centre, rcond=None)[0]
    return CompositionFit(tuple(solution[:-1].tolist()), float(solution[-1] + centre))


def count_types(numbers: Sequence[numpy.ndarray], types: Sequence[int]) -> numpy.ndarray:
    """Numbers of atoms by type, ``shape=(n_molecules, n_types)`` int64.

    Args:
        numbers: atomic numbers of each molecule.
        types: atomic numbers, in the order of the result.
    """
    counts = numpy.zeros((len(numbers), len(types)), dtype=numpy.int64)
    for row, own in zip(counts, numbers, strict=True):
        row[:] = [numpy.count_nonzero(own == number) for number in types]
    return counts


@dataclasses.dataclass(frozen=True)
class ConditionSettings:
    """A condition as it is asked for; what the data have to say of it is filled in by :func:`resolve_condition`.

    Attributes:
        kind: a number, a vector of numbers, or how many atoms of each element there are.
        quantity: property of the molecules in the database; one of ``COMPUTED`` counts atoms. Not for a composition.
        unit: in which it is aimed at; None for that of the database.
        relative: take the property by atom, relative to what a linear fit to the composition says of it.
        stepwise: of a composition, tell the network what is still missing, and not only the whole.
        range: of a number, where the Gaussians lie in which it is expanded; "data" for where the data are.
        spacing: between the Gaussians; None for a quarter of the range.
        n_features: of the embedding.
        n_layers: of the network that embeds it.
        n_hidden: of its hidden layers, for a vector; None for half as many after each.
        n_type_features: of a composition, for each element.
        max_atoms: of a composition, where the Gaussians for the number of atoms end.
        atom_spacing: between them.
    """

    kind: Kind = "scalar"
    quantity: str = ""
    unit: str | None = None
    relative: bool = False
    stepwise: bool = False
    range: tuple[float, float] | typing.Literal["data"] = "data"
    spacing: float | None = None
    n_features: int = 64
    n_layers: int = 3
    n_hidden: int | None = None
    n_type_features: int = 16
    max_atoms: float = 35.0
    atom_spacing: float = 8.75


def check_conditions(conditions: Mapping[str, ConditionSettings]) -> None:
    """Looks over a table of conditions before any work.

    Raises:
        ValueError: one makes no sense; the message names it.
    """
    for name, condition in conditions.items():
        if not name.isidentifier():
            raise ValueError(f"condition {name!r}: a name is one word")
        if (condition.kind == "composition") == bool(condition.quantity):
            what = "a composition has no quantity" if condition.quantity else "says no quantity, a property of the data"
            raise ValueError(f"condition {name}: {what}")
        if condition.range != "data" and not condition.range[0] < condition.range[1]:
            raise ValueError(f"condition {name}: {condition.range[0]:g} to {condition.range[1]:g} is no range")
        if condition.spacing is not None and not condition.spacing > 0.0:
            raise ValueError(f"condition {name}: the spacing must be positive")
        if condition.stepwise and condition.kind != "composition":
            raise ValueError(f"condition {name}: only a composition can be told step by step")
        if min(condition.n_features, condition.n_layers, condition.n_type_features) < 1:
            raise ValueError(f"condition {name}: features and layers must be 1 or more")
        if not (condition.max_atoms > 0.0 and condition.atom_spacing > 0.0):
            raise ValueError(f"condition {name}: max_atoms and atom_spacing must be positive")


def resolve_condition(name: str, settings: ConditionSettings, values: numpy.ndarray) -> Condition:
    """The condition with the range that the data have, where none was given.

    Args:
        name: of the condition.
        settings: as it is asked for.
        values: of the training molecules, ``shape=(n_molecules, n_values)``.

    Raises:
        ValueError: a number was asked for and there are vectors, or the other way round, or all values are the same.
    """
    plain = dataclasses.asdict(settings)
    range_, spacing, _ = plain.pop("range"), plain.pop("spacing"), plain.pop("unit")
    if settings.kind == "composition":
        return Condition(name, **plain)
    if settings.kind == "vector":
        return Condition(name, n_inputs=values.shape[1], **plain)
    if values.shape[1] != 1:
        raise ValueError(f"condition {name}: {settings.quantity} is a vector of {values.shape[1]}; say kind = 'vector'")
    try:
        low, high = find_range(values[:, 0]) if range_ == "data" else range_
    except ValueError as error:
        raise ValueError(f"condition {name}: {error}") from error
    return Condition(name, low=low, high=high, spacing=spacing or 0.25 * (high - low), **plain)


def find_range(values: numpy.ndarray) -> tuple[float, float]:
    """Where the values of a property lie, the outer 0.5 % on either side left aside.

    Args:
        values: of the training molecules, ``shape=(n_molecules,)``.

    Raises:
        ValueError: all values are the same.
    """
    low, high = (float(value) for value in numpy.quantile(values, [0.005, 0.995]))
    if not low < high:
        raise ValueError(f"all values are {low:g}: nothing to aim at")
    return low, high


Targets = Mapping[str, numpy.ndarray]
"""What to aim at: for some conditions, by name, ``shape=(n_values,)`` float64."""


def parse_targets(
    texts: Sequence[str], conditions: Sequence[Condition], types: Sequence[int]
) -> list[dict[str, numpy.ndarray]]:
    """What to aim at, from words like ``gap=4.5``, ``gap=3:9:7``, ``composition=C2H6O``: every combination of them.

    Several values of one are separated by a slash, e.g. ``gap=4/6.5``; evenly spaced numbers may be written as
    first:last:how many. A composition is a formula, a list
    of numbers in the order of the types, or element:number pairs, e.g. ``C2H6O``, ``6,2,0,1,0``, ``C:2,H:6,O:1``. A
    vector is a list of numbers.

    Args:
        texts: the words.
        conditions: those that the network knows.
        types: atomic numbers that it places.

    Returns:
        one mapping for each combination; a single empty one where there are no words.

    Raises:
        ValueError: a condition is unknown or named twice, or a value cannot be read.
    """
    known = {condition.name: condition for condition in conditions}
    choices: dict[str, list[numpy.ndarray]] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or name not in known:
            there = ", ".join(known) or "none"
            raise ValueError(
                f"target {text!r}: expected NAME=VALUE with a condition of this generator; it knows {there}"
            )
        if name in choices:
            raise ValueError(f"target {text!r}: {name} is there already; several values are separated by a slash")
        choices[name] = [one for part in value.split("/") for one in _parse_values(part, known[name], types, text)]
    combinations: list[dict[str, numpy.ndarray]] = [{}]
    for name, values in choices.items():
        combinations = [{**one, name: value} for one in combinations for value in values]
    return combinations


def _parse_values(value: str, condition: Condition, types: Sequence[int], text: str) -> list[numpy.ndarray]:
    if condition.kind == "composition":
        return [parse_composition(value, types)]
    try:
        if condition.kind == "vector":
            vector = numpy.array([float(part) for part in value.split(",")])
            if len(vector) != condition.n_inputs or not numpy.isfinite(vector).all():
                raise ValueError(f"expected {condition.n_inputs} finite numbers")
            return [vector]
        parts = value.split(":")
        if len(parts) == 3:
            numbers = numpy.linspace(float(parts[0]), float(parts[1]), int(parts[2]))
        else:
            numbers = numpy.array([float(value)])
        if not len(numbers) or not numpy.isfinite(numbers).all():
            raise ValueError("expected finite numbers")
    except ValueError as error:
        raise ValueError(f"target {text!r}: cannot be read ({error}); expected e.g. 4.5, or 3:9:7") from error
    return [numbers[i : i + 1] for i in range(len(numbers))]


def parse_composition(text: str, types: Sequence[int]) -> numpy.ndarray:
    """Numbers of atoms by type, ``shape=(n_types,)`` float64; see :func:`parse_targets` for the ways to write them.

    Raises:
        ValueError: it cannot be read as a whole, names an element that is none of the types, or has no atoms.
    """
    if re.fullmatch(r"\d+(,\d+)+", text):
        counts = numpy.array([float(part) for part in text.split(",")])
        if len(counts) != len(types):
            raise ValueError(f"composition {text!r}: {len(counts)} numbers for {len(types)} types")
    else:
        pairs = re.sub(r"([A-Z][a-z]?):(\d+),?", r"\1\2", text) if ":" in text else text
        by_element = parse_formula(pairs)
        symbols = {number: format_formula({number: 1}) for number in (*types, *by_element)}
        strange = [symbols[number] for number in by_element if number not in types]
        if strange:
            known = ", ".join(symbols[number] for number in types)
            raise ValueError(f"composition {text!r}: {', '.join(strange)} is none of the types {known}")
        counts = numpy.array([float(by_element.get(number, 0)) for number in types])
    if not counts.sum():
        raise ValueError(f"composition {text!r}: no atoms")
    return counts


def find_strange_targets(
    targets: Sequence[Targets], ranges: Mapping[str, tuple[float, float]]
) -> list[tuple[str, float, float, float]]:
    """Targets outside of what the training data hold: name, value, and the range of the data."""
    strange = []
    for name, (low, high) in ranges.items():
        values = sorted({float(one[name][0]) for one in targets if name in one})
        strange += [(name, value, low, high) for value in values if not low <= value <= high]
    return strange
