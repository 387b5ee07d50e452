"""What a generator can be told to aim at: properties, vectors of numbers, compositions."""

import dataclasses
import math
import typing
from collections.abc import Mapping, Sequence

import numpy

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


def check_conditions(conditions: Sequence[Condition]) -> None:
    """Looks over a table of conditions before any work.

    Raises:
        ValueError: two have one name, or one makes no sense; the message names it.
    """
    names = [condition.name for condition in conditions]
    for condition in conditions:
        name = condition.name
        if not name.isidentifier() or names.count(name) > 1:
            raise ValueError(f"condition {name!r}: names are words, each once")
        if condition.kind == "scalar":
            if not condition.quantity:
                raise ValueError(f"condition {name}: says no property of the database")
            finite = all(math.isfinite(value) for value in (condition.low, condition.high, condition.spacing))
            if not (finite and condition.low < condition.high and condition.spacing > 0.0):
                raise ValueError(
                    f"condition {name}: from {condition.low:g} to {condition.high:g} in steps of "
                    f"{condition.spacing:g} is no range"
                )
        elif condition.kind == "vector" and (not condition.quantity or condition.n_inputs < 1):
            raise ValueError(f"condition {name}: a vector needs a property and its length, n_inputs")
        if condition.stepwise and condition.kind != "composition":
            raise ValueError(f"condition {name}: only a composition can be told step by step")
        if min(condition.n_features, condition.n_layers, condition.n_type_features) < 1:
            raise ValueError(f"condition {name}: features and layers must be 1 or more")


def find_range(values: numpy.ndarray, n_gaussians: int = 5) -> tuple[float, float, float]:
    """Where the values of a property lie: low, high and spacing of the centres, the outer 0.5 % left aside.

    Args:
        values: of the training molecules, ``shape=(n_molecules,)``.
        n_gaussians: how many centres.

    Raises:
        ValueError: all values are the same.
    """
    low, high = (float(value) for value in numpy.quantile(values, [0.005, 0.995]))
    if not low < high:
        raise ValueError(f"all values are {low:g}: nothing to aim at")
    return low, high, (high - low) / (n_gaussians - 1)


Targets = Mapping[str, numpy.ndarray]
"""What to aim at: for some conditions, by name, ``shape=(n_values,)`` float64."""
