"""How many splits, and which: the search repeated in folds of molecules, then once on all of them.

The search itself is repeated with each fold left out, so that the molecules left out have had no say in which types
were split; the number of splits, and how firmly children are held to their parents, are those with the least mean loss
on the molecules left out. The searches of all folds go on side by side and end together, when that loss has not fallen
for a while.
"""

import collections.abc
import dataclasses
import functools

import numpy
import scipy.sparse

from common.processes.pool import run_in_processes
from common.sufficient_statistics.linearization import FEATURES_PER_ROW
from common.type_discovery.candidates import TypeOfNow, make_leaf_bits
from common.type_discovery.leaf_statistics import LeafStatistics
from common.type_discovery.leaves import Leaves
from common.type_discovery.search import Problem, Search, Step

COLUMN_NAMES = {"Bonds": ("k", "length"), "Angles": ("k", "angle"), "ProperTorsions": ("k",)}
"""Of the columns of φ that a row of each type has: a and b of a bond stand for k and length."""

STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0)
"""Of the prior that holds a child to its parent, times the widths of the parameters [kcal²/mol²]."""

MIN_MOLECULES = 3
"""A split is of use where so many molecules have the child, and so many the parent without it."""

PATIENCE = 30
"""So many splits in a row that lower the loss on molecules left out no further end a search."""


@dataclasses.dataclass(frozen=True)
class Start:
    """The fit that discovery starts from, in the columns of φ of the force field.

    Attributes:
        prior: in δ and the residual, over ``columns``, ``shape=(n + 1, n + 1)``, its strength included.
        columns: the columns of φ that vary, ``shape=(n,)``, ascending.
        widths: of the Gaussian prior of each trained column, by type and name; columns without are not told apart.
    """

    prior: numpy.ndarray
    columns: numpy.ndarray
    widths: collections.abc.Mapping[str, collections.abc.Mapping[str, float]]


@dataclasses.dataclass(frozen=True)
class Discovery:
    """What came out.

    Attributes:
        steps: the splits that were accepted, in order.
        strength: of the prior that holds a child to its parent.
        losses: by strength the mean loss on molecules left out after 0, 1, 2, ... splits, as far as the search went.
        losses_train: with all molecules, priors included, after 0, 1, 2, ... splits.
    """

    steps: tuple[Step, ...]
    strength: float
    losses: dict[float, numpy.ndarray]
    losses_train: numpy.ndarray


def discover(
    leaves: Leaves,
    statistics: LeafStatistics,
    start: Start,
    max_splits: int,
    strengths: collections.abc.Sequence[float] = STRENGTHS,
    min_molecules: int = MIN_MOLECULES,
    n_workers: int = 1,
) -> Discovery:
    """Chooses splits by cross-validation.

    Args:
        leaves, statistics: of the training molecules, in folds.
        start: the fit without splits.
        max_splits: at most so many.
        strengths: to choose from.
        min_molecules: that must have the child, and the parent without it.
        n_workers: processes, each of which takes a strength at a time.
    """
    follow = functools.partial(_follow, leaves, statistics, start, max_splits, min_molecules)
    n_workers = min(n_workers, len(strengths))
    paths = run_in_processes(follow, strengths, n_workers, [1] * len(strengths), "search", "strength")
    losses = dict(zip(strengths, paths, strict=True))
    strength = min(losses, key=lambda one: losses[one].min())
    n_splits = int(losses[strength].argmin())
    problem = make_problem(leaves, statistics, start, strength, range(statistics.n_folds), None)
    search = Search(problem, list_types(leaves, statistics, start, min_molecules))
    losses_train = [search.loss]
    steps: list[Step] = []
    while len(steps) < n_splits and (step := search.advance()) is not None:
        steps.append(step)
        losses_train.append(search.loss)
    return Discovery(tuple(steps), strength, losses, numpy.array(losses_train))


def _follow(
    leaves: Leaves,
    statistics: LeafStatistics,
    start: Start,
    max_splits: int,
    min_molecules: int,
    strength: float,
) -> numpy.ndarray:
    """The mean loss on molecules left out after 0, 1, 2, ... splits, the search repeated without each fold."""
    folds = range(statistics.n_folds)
    types = list_types(leaves, statistics, start, min_molecules)
    problems = [make_problem(leaves, statistics, start, strength, [i for i in folds if i != k], k) for k in folds]
    searches = [Search(problem, types) for problem in problems]
    held_out = [search.compute_held_out_loss() for search in searches]
    losses = [sum(one or 0.0 for one in held_out)]
    while len(losses) <= max_splits and len(losses) - int(numpy.argmin(losses)) <= PATIENCE:
        steps = [search.advance() for search in searches]
        if all(step is None for step in steps):
            break
        held_out = [one if step is None else step.loss_held_out for step, one in zip(steps, held_out, strict=True)]
        losses.append(sum(one or 0.0 for one in held_out))
    return numpy.array(losses)


def make_problem(
    leaves: Leaves,
    statistics: LeafStatistics,
    start: Start,
    strength: float,
    train: collections.abc.Sequence[int],
    held_out: int | None,
) -> Problem:
    """The problem of a search.

    Args:
        leaves, statistics, start: see :func:`discover`.
        strength: of the prior that holds a child to its parent.
        train: the folds to search with.
        held_out: the fold to measure the loss on.
    """
    return Problem(
        gram=statistics.average(train),
        base=_make_base(leaves, statistics, start),
        prior=start.prior,
        child_prior=_make_child_prior(leaves, statistics, start, strength),
        held_out=None if held_out is None else statistics.get_share(held_out),
    )


def _list_parent_columns(leaves: Leaves, statistics: LeafStatistics) -> numpy.ndarray:
    """For each column at the grain of leaves the column of φ of the force field that was expanded; -1 for none."""
    fine, coarse = statistics.linearization, leaves.parent_linearization
    parents = numpy.full(fine.n_features, -1)
    for type_ in fine.starts:
        if type_ == "vdW":
            continue
        potential = leaves.molecules.force_field.potentials_by_type.get(type_)
        rows = leaves.parent_rows.get(type_)
        for row in range(0 if potential is None else len(potential.parameters)):
            parent = int(rows[row]) if rows is not None else row
            for j in range(FEATURES_PER_ROW[type_]):
                parents[fine.get_feature(type_, row) + j] = coarse.get_feature(type_, parent) + j
    return parents


def _make_base(leaves: Leaves, statistics: LeafStatistics, start: Start) -> scipy.sparse.csr_array:
    """Which leaf columns each varying column of φ sums."""
    parents = _list_parent_columns(leaves, statistics)
    place = {int(column): i for i, column in enumerate(start.columns)}
    pairs = [(place[int(parent)], column) for column, parent in enumerate(parents) if int(parent) in place]
    rows, columns = (numpy.array(one, dtype=numpy.int64) for one in zip(*pairs, strict=True))
    shape = (len(start.columns), statistics.linearization.n_features)
    return scipy.sparse.csr_array((numpy.ones(len(rows)), (rows, columns)), shape=shape)


def _list_trained(type_: str, start: Start) -> list[int]:
    """Which of the columns of a row of this type are trained and have a width."""
    widths = start.widths.get(type_, {})
    return [j for j, name in enumerate(COLUMN_NAMES[type_]) if name in widths]


def _make_child_prior(leaves: Leaves, statistics: LeafStatistics, start: Start, strength: float) -> numpy.ndarray:
    """λ / width² of the deviation of each leaf column; for b = k (q0 - q̄) the width of q0 is taken times k."""
    fine = statistics.linearization
    prior = numpy.zeros(fine.n_features)
    for type_ in COLUMN_NAMES:
        potential = leaves.molecules.force_field.potentials_by_type.get(type_)
        if potential is None:
            continue
        for j in _list_trained(type_, start):
            width = start.widths[type_][COLUMN_NAMES[type_][j]]
            k = potential.column("k").abs().clamp(min=1.0).numpy()
            scale = width * (k if j == 1 else numpy.ones_like(k))
            first = fine.get_feature(type_, 0) + j
            step = FEATURES_PER_ROW[type_]
            prior[first : first + step * len(scale) : step] = strength / scale**2
    return prior


def list_types(leaves: Leaves, statistics: LeafStatistics, start: Start, min_molecules: int) -> list[TypeOfNow]:
    """The types that may be split, all of whose trained columns vary, in the order of the force field's parameters."""
    fine = statistics.linearization
    groups: dict[tuple[str, str], list[int]] = {}
    for number, leaf in enumerate(leaves.leaves):
        groups.setdefault((leaf.type, leaf.smirks), []).append(number)
    has = statistics.molecules.astype(bool)
    varying = set(start.columns.tolist())
    types = []
    for (type_, _), members in sorted(groups.items(), key=lambda item: _get_order(leaves, item)):
        trained = _list_trained(type_, start)
        numbers = numpy.array(members)
        if not trained:
            continue
        n_rows = int(leaves.n_rows[numbers[0]])
        parent_rows = leaves.parent_rows[type_][int(leaves.first_rows[numbers[0]]) :][:n_rows].tolist()
        if not all(
            leaves.parent_linearization.get_feature(type_, row) + j in varying for row in parent_rows for j in trained
        ):
            continue
        columns = numpy.array(
            [
                [fine.get_feature(type_, int(leaves.first_rows[number]) + row) + j for number in numbers]
                for row in range(n_rows)
                for j in trained
            ]
        )
        types.append(
            TypeOfNow(
                leaves=numbers,
                columns=columns,
                bits=make_leaf_bits(leaves, numbers),
                molecules=has[:, columns[0]].toarray().T,
                is_linear=numpy.array([leaves.leaves[number].is_linear for number in numbers]),
                min_molecules=min_molecules,
            )
        )
    return types


def name_types(leaves: Leaves, types: collections.abc.Iterable[TypeOfNow]) -> list[tuple[str, str]]:
    """Section and SMIRKS of the types that :func:`list_types` gives."""
    first = [leaves.leaves[int(type_.leaves[0])] for type_ in types]
    return [(leaf.type, leaf.smirks) for leaf in first]


def _get_order(leaves: Leaves, item: tuple[tuple[str, str], list[int]]) -> tuple[str, int]:
    (type_, _), members = item
    return type_, int(leaves.parent_rows[type_][int(leaves.first_rows[members[0]])])
