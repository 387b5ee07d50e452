"""From a database of molecules to what a generator is trained, validated and judged on."""

import dataclasses
import operator
import typing
from collections.abc import Callable, Mapping, Sequence

import numpy
from rdkit import Chem

from common.data.molecule_database import Database, Molecule
from common.generators.batches import Geometry, build_table
from common.generators.conditions import (
    COMPUTED,
    CompositionFit,
    Condition,
    ConditionSettings,
    count_types,
    fit_to_composition,
    parse_composition,
    resolve_condition,
)
from common.generators.network import NetworkSettings
from common.generators.training import TrainingData
from common.molecules.perception import PerceptionError, name_molecule, perceive_bonds

SPLITS = ("train", "validation", "test")

MAX_FITTED = 5000
"""Molecules to which the linear fit to the composition is made."""

OPERATORS: Mapping[str, Callable[[typing.Any, typing.Any], typing.Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclasses.dataclass(frozen=True)
class Filter:
    """Which molecules are kept out of training and validation.

    Attributes:
        quantity: a property of the database, one of ``COMPUTED``, or "composition".
        operator: how it compares with the value.
        value: a number in the unit of the database; of a composition a formula.
    """

    quantity: str
    operator: typing.Literal["==", "!=", "<", "<=", ">", ">="]
    value: float | str


def parse_filters(texts: Sequence[str]) -> list[list[Filter]]:
    """Groups of filters from texts like ``composition == C7O2H10`` or ``gap > 9 and n_atoms < 12``, one group each.

    Raises:
        ValueError: one cannot be read.
    """
    return [[_parse_filter(part, text) for part in text.split(" and ")] for text in texts]


def _parse_filter(part: str, text: str) -> Filter:
    words = part.split()
    if len(words) != 3 or words[1] not in OPERATORS:
        raise ValueError(f"filter {text!r}: expected e.g. 'gap > 9 and n_atoms < 12', with {' '.join(OPERATORS)}")
    operator_ = typing.cast(typing.Any, words[1])
    if words[0] == "composition":
        return Filter(words[0], operator_, words[2])
    try:
        return Filter(words[0], operator_, float(words[2]))
    except ValueError as error:
        raise ValueError(f"filter {text!r}: {words[2]!r} is no number") from error


def get_values(database: Database, quantity: str, unit: str | None = None) -> numpy.ndarray:
    """A property of all molecules, or what can be counted; errors as :meth:`Database.get_values`."""
    if quantity in COMPUTED and quantity not in database.properties:
        least = 1 if quantity == "n_atoms" else 2
        return numpy.array([numpy.count_nonzero(one.numbers >= least) for one in database.molecules], dtype=float)
    return database.get_values(quantity, unit)


def find_held_out(database: Database, groups: Sequence[Sequence[Filter]], types: Sequence[int]) -> numpy.ndarray:
    """Molecules that meet all filters of some group, ``shape=(n_molecules,)`` bool.

    Raises:
        ValueError: there is no such property, or a formula cannot be read; an inequality of compositions.
    """
    held_out = numpy.zeros(len(database.molecules), dtype=bool)
    for group in groups:
        meets = numpy.ones(len(database.molecules), dtype=bool)
        for one in group:
            compare = OPERATORS[one.operator]
            if one.quantity == "composition":
                if one.operator not in ("==", "!="):
                    raise ValueError(f"filter composition {one.operator}: compositions are the same or not")
                counts = count_types([molecule.numbers for molecule in database.molecules], types)
                same = (counts == parse_composition(str(one.value), types)).all(axis=1)
                meets &= same == (one.operator == "==")
            else:
                values = get_values(database, one.quantity)
                if values.ndim != 1 or isinstance(one.value, str):
                    raise ValueError(f"filter {one.quantity} {one.operator} {one.value}: compares single numbers")
                meets &= compare(values, one.value)
        held_out |= meets if group else numpy.zeros_like(meets)
    return held_out


def name_molecules(molecules: Sequence[Molecule]) -> list[str]:
    """What tells molecules apart whatever their geometry: SMILES without stereochemistry, perceived where unknown.

    A molecule that RDKit cannot make out is a molecule of its own.
    """
    names = []
    for i, molecule in enumerate(molecules):
        known = Chem.MolFromSmiles(molecule.smiles) if molecule.smiles else None
        try:
            mol = perceive_bonds(molecule.numbers, molecule.coords) if known is None else known
            names.append(name_molecule(mol, ignore_isomerism=True))
        except PerceptionError:
            names.append(f"molecule {i + 1}")
    return names


def split_molecules(
    names: Sequence[str], held_out: numpy.ndarray, n_train: float, n_validation: float, seed: int
) -> dict[str, numpy.ndarray]:
    """Rows of each split, in ascending order; all geometries of a molecule are in one.

    Args:
        names: of the molecules, as :func:`name_molecules` gives them.
        held_out: those that may only test, ``shape=(n_molecules,)`` bool; their other geometries do so, too.
        n_train: how many train; below 1, which fraction of those that may.
        n_validation: likewise. The others test.
        seed: another one, another split.

    Raises:
        ValueError: there are not so many, or one of the two would be empty.
    """
    forbidden = {name for name, out in zip(names, held_out, strict=True) if out}
    allowed = sorted(set(names) - forbidden)
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        rows.setdefault(name, []).append(row)
    n_allowed = sum(len(rows[name]) for name in allowed)
    wanted = [round(number * n_allowed) if number < 1 else round(number) for number in (n_train, n_validation)]
    if min(wanted) < 1 or sum(wanted) > n_allowed:
        raise ValueError(
            f"{wanted[0]} molecules for training and {wanted[1]} for validation: both must be 1 or more, and there are "
            f"{n_allowed} that may"
        )
    order = numpy.random.default_rng(seed).permutation(allowed).tolist()
    splits: dict[str, list[int]] = {}
    for split, number in zip(SPLITS, wanted, strict=False):
        splits[split] = []
        while len(splits[split]) < number and order:
            splits[split] += rows[order.pop()]
    taken = {row for own in splits.values() for row in own}
    splits["test"] = [row for row in range(len(names)) if row not in taken]
    return {split: numpy.array(sorted(own), dtype=numpy.int64) for split, own in splits.items()}


@dataclasses.dataclass(frozen=True)
class PreparedConditions:
    """Conditions with what the training data say of them.

    Attributes:
        conditions: resolved.
        values: of all molecules, by name, ``shape=(n_molecules, n_values)`` float64.
        units: by name; "" where there is none.
        fits: of those that are relative to the composition.
        ranges: the least and the largest value of scalars in the training data.
    """

    conditions: tuple[Condition, ...]
    values: Mapping[str, numpy.ndarray]
    units: Mapping[str, str]
    fits: Mapping[str, CompositionFit]
    ranges: Mapping[str, tuple[float, float]]


def prepare_conditions(
    database: Database, wanted: Mapping[str, ConditionSettings], types: Sequence[int], train: numpy.ndarray
) -> PreparedConditions:
    """Values of all conditions for all molecules; ranges and fits from those that train.

    Args:
        database: the molecules.
        wanted: the table of conditions.
        types: atomic numbers that the network places.
        train: rows that train.

    Raises:
        ValueError: there is no such property, it is not finite, or it does not fit its kind.
    """
    compositions = count_types([molecule.numbers for molecule in database.molecules], types)
    conditions, values, units, fits, ranges = [], {}, {}, {}, {}
    for name, settings in wanted.items():
        if settings.kind == "composition":
            own = compositions.astype(numpy.float64)
        else:
            own = get_values(database, settings.quantity, settings.unit)
            if settings.relative:
                fitted = train[:MAX_FITTED]
                fits[name] = fit_to_composition(own[fitted], compositions[fitted])
                own = fits[name].compute_relative(own, compositions)
            own = own.reshape(len(own), -1)
            units[name] = settings.unit or database.units.get(settings.quantity, "")
        condition = resolve_condition(name, settings, own[train])
        if condition.kind == "scalar":
            ranges[name] = (float(own[train].min()), float(own[train].max()))
        conditions.append(condition)
        values[name] = own
    return PreparedConditions(tuple(conditions), values, units, fits, ranges)


def select_data(
    database: Database, prepared: PreparedConditions, rows: numpy.ndarray, settings: NetworkSettings
) -> TrainingData:
    """Some molecules, as a network is trained on them; errors as :func:`build_table`."""
    geometries = [Geometry(database.molecules[row].numbers, database.molecules[row].coords) for row in rows]
    return TrainingData(build_table(geometries, settings), {name: own[rows] for name, own in prepared.values.items()})
