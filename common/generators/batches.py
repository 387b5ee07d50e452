"""From molecules to what the network is trained on: steps of their trajectories, as arrays, molecules side by side.

All molecules of a data set lie in flat arrays. A batch is drawn and laid out by numba, in some ten microseconds a
molecule, so that no worker processes and no cached neighbour lists are needed.
"""

import dataclasses
import typing
from collections.abc import Sequence

import numba
import numpy
import torch

from common.generators.network import NetworkSettings
from common.generators.partial import PartialMolecules
from common.generators.trajectories import draw_placements, find_neighbors, label_fragments, sort_atoms


class Geometry(typing.NamedTuple):
    """What is read of a molecule: atomic numbers ``(n_atoms,)`` and coordinates [Angstrom] ``(n_atoms, 3)``."""

    numbers: numpy.ndarray
    coords: numpy.ndarray


@dataclasses.dataclass(frozen=True)
class MoleculeTable:
    """Molecules in flat arrays, their atoms sorted by the distance to the centre of mass, which is the zero point.

    Attributes:
        atom_starts: the first atom of each molecule, and their number, ``shape=(n_molecules + 1,)``.
        classes: type of each atom, a place in the network's ``types``, ``shape=(n_atoms,)``.
        coords: [Angstrom] ``shape=(n_atoms, 3)`` float64.
        neighbor_starts: the first of each atom's neighbours, and their number, ``shape=(n_atoms + 1,)``.
        neighbors: atoms of the same molecule, counted from its first, ascending, ``shape=(n_neighbors,)``.
    """

    atom_starts: numpy.ndarray
    classes: numpy.ndarray
    coords: numpy.ndarray
    neighbor_starts: numpy.ndarray
    neighbors: numpy.ndarray

    def __len__(self) -> int:
        return len(self.atom_starts) - 1

    @property
    def n_atoms(self) -> numpy.ndarray:
        """Of each molecule."""
        return numpy.diff(self.atom_starts)


def build_table(molecules: Sequence[Geometry], settings: NetworkSettings) -> MoleculeTable:
    """Sorts atoms and finds neighbours.

    Raises:
        ValueError: an element is none of the types, or a molecule is not connected; the message says which.
    """
    classes, coords, neighbor_counts, neighbors = [], [], [], []
    for index, (numbers, own) in enumerate(molecules):
        order, sorted_coords = sort_atoms(numbers, own)
        numbers = numbers[order]
        unknown = sorted(set(numbers.tolist()) - set(settings.types))
        if unknown:
            raise ValueError(f"molecule {index}: elements {unknown} are not among the types {list(settings.types)}")
        near = find_neighbors(numbers, sorted_coords, settings.placement_cutoff, settings.radius_factor)
        if label_fragments(near).any():
            raise ValueError(f"molecule {index}: not connected within {settings.placement_cutoff:g} Å")
        classes.append(numpy.array([settings.types.index(number) for number in numbers], dtype=numpy.int64))
        coords.append(sorted_coords)
        neighbor_counts.append(near.sum(axis=1))
        neighbors.append(numpy.nonzero(near)[1])
    return MoleculeTable(
        numpy.cumsum([0, *map(len, classes)]),
        numpy.concatenate(classes),
        numpy.concatenate(coords),
        numpy.concatenate([[0], numpy.cumsum(numpy.concatenate(neighbor_counts))]),
        numpy.concatenate(neighbors),
    )


class Steps(typing.NamedTuple):
    """Steps that are drawn of molecules' trajectories, ``shape=(n_steps,)`` each but ``placed_at``.

    Attributes:
        molecules: rows of the table.
        numbers: which step of the molecule's trajectory.
        focus: the atom beside which the next comes, counted in its molecule; -1 for the origin.
        atom: that one; -1 for none.
        placed_starts: where the molecule's atoms begin in ``placed_at``.
        placed_at: the step at which each atom is placed, ``shape=(n_atoms_of_all_molecules_drawn,)``.
    """

    molecules: numpy.ndarray
    numbers: numpy.ndarray
    focus: numpy.ndarray
    atom: numpy.ndarray
    placed_starts: numpy.ndarray
    placed_at: numpy.ndarray

    def __len__(self) -> int:
        return len(self.molecules)

    def select(self, which: numpy.ndarray | slice) -> "Steps":
        """Some of the steps, in ascending order."""
        molecules, numbers, focus, atom, placed_starts = (array[which] for array in self[:-1])
        return Steps(molecules, numbers, focus, atom, placed_starts, self.placed_at)


def draw_steps(table: MoleculeTable, molecules: numpy.ndarray, n_drawn: int, random: numpy.random.Generator) -> Steps:
    """A trajectory of each molecule, and of its steps some, drawn without replacement, in order.

    Args:
        table: the molecules.
        molecules: rows of it, ``shape=(n_molecules,)``.
        n_drawn: how many steps of each; all where it has fewer, or where this is 0.
        random: draws both.
    """
    n_atoms = table.n_atoms[molecules]
    limit = numpy.where(n_drawn == 0, 2 * n_atoms, numpy.minimum(n_drawn, 2 * n_atoms))
    starts = numpy.cumsum([0, *n_atoms])
    numbers = random.random((2, 2 * starts[-1]))
    steps = numpy.empty((5, limit.sum()), dtype=numpy.int64)
    placed_at = numpy.empty(starts[-1], dtype=numpy.int64)
    _draw(
        *(table.atom_starts, table.neighbor_starts, table.neighbors),
        *(molecules.astype(numpy.int64), limit, starts, numbers, steps, placed_at),
    )
    return Steps(steps[0], steps[1], steps[2], steps[3], steps[4], placed_at)


@numba.njit(cache=True)
def _draw(
    atom_starts, neighbor_starts, neighbors, molecules, limit, starts, numbers, steps, placed_at
):  # pragma: no cover
    n_done = 0
    for k in range(len(molecules)):
        molecule, first = molecules[k], atom_starts[molecules[k]]
        n_steps = 2 * (atom_starts[molecule + 1] - first)
        own = numbers[:, 2 * starts[k] : 2 * starts[k + 1]]
        focus, atom = numpy.empty(n_steps, numpy.int64), numpy.empty(n_steps, numpy.int64)
        draw_placements(
            neighbor_starts[first : first + n_steps // 2 + 1], neighbors, own[0], focus, atom, placed_at[starts[k] :]
        )
        chosen = numpy.sort(numpy.argsort(own[1])[: limit[k]])
        for step in chosen:
            steps[0, n_done], steps[1, n_done] = molecule, step
            steps[2, n_done], steps[3, n_done] = focus[step], atom[step]
            steps[4, n_done] = starts[k]
            n_done += 1


class TrainingBatch(typing.NamedTuple):
    """Steps with their answers.

    Attributes:
        partial: the partial molecules.
        predicting: rows of the nodes and tokens that predict, ``shape=(n_predicting,)``.
        predicting_steps: the step of each, ``shape=(n_predicting,)``.
        next_classes: the right type in each step, or "stop", ``shape=(n_steps,)``.
        measuring: of those that predict, the ones that have a next atom to predict the distance of, ``shape=(n,)``.
        distances: [Angstrom] from them to the next atom, ``shape=(n,)``.
        missing: how many atoms of each type are still to come, ``shape=(n_steps, n_types)``.
    """

    partial: PartialMolecules
    predicting: torch.Tensor
    predicting_steps: torch.Tensor
    next_classes: torch.Tensor
    measuring: torch.Tensor
    distances: torch.Tensor
    missing: torch.Tensor

    def to(self, device: torch.device) -> "TrainingBatch":
        """The same on another device."""
        return TrainingBatch._make([self.partial.to(device), *(tensor.to(device) for tensor in self[1:])])


def lay_out(table: MoleculeTable, steps: Steps, settings: NetworkSettings) -> TrainingBatch:
    """The arrays of some steps; floating-point numbers of torch's default type."""
    molecules, of_step = numpy.unique(steps.molecules, return_inverse=True)
    n_nodes = table.n_atoms[molecules] + 1
    pair_starts = numpy.cumsum([1, *(n_nodes * (n_nodes - 1) // 2)])
    distances = numpy.zeros(pair_starts[-1])
    _measure(table.atom_starts, table.coords, molecules, pair_starts, distances)
    counts = _count_rows(steps, table)
    starts = numpy.cumsum([0, *counts])
    n_rows, n_steps = int(starts[-1]), len(steps)
    nodes, kinds = (numpy.empty(n, dtype=numpy.int64) for n in (n_rows, n_rows + n_steps))
    kinds[n_rows:] = len(settings.types) + 1
    focus_rows, next_classes = (numpy.empty(n_steps, dtype=numpy.int64) for _ in range(2))
    missing = numpy.zeros((n_steps, len(settings.types)), dtype=numpy.int64)
    predicting, predicting_steps, measuring = (numpy.empty(n_rows + n_steps, dtype=numpy.int64) for _ in range(3))
    next_distances = numpy.empty(n_rows + n_steps)
    n_predicting, n_measuring = _fill(
        *(table.atom_starts, table.classes, steps.molecules, steps.numbers, steps.focus, steps.atom),
        *(steps.placed_starts, steps.placed_at, of_step, pair_starts, distances, starts),
        *(float(settings.prediction_cutoff), len(settings.types)),
        *(nodes, kinds, focus_rows, next_classes, missing, predicting, predicting_steps, measuring, next_distances),
    )
    dtype = torch.get_default_dtype()
    structure = (kinds, nodes, starts, focus_rows, of_step, pair_starts[:-1])
    return TrainingBatch(
        PartialMolecules._make([*map(torch.from_numpy, structure), torch.from_numpy(distances).to(dtype)]),
        torch.from_numpy(predicting[:n_predicting]),
        torch.from_numpy(predicting_steps[:n_predicting]),
        torch.from_numpy(next_classes),
        torch.from_numpy(measuring[:n_measuring]),
        torch.from_numpy(next_distances[:n_measuring]).to(dtype),
        torch.from_numpy(missing).to(dtype),
    )


def count_pairs(table: MoleculeTable, steps: Steps) -> numpy.ndarray:
    """Pairs of rows that each step has, its molecule's own pairs shared out among its steps, ``shape=(n_steps,)``.

    What a step costs in time and memory grows with it.
    """
    n_nodes = table.n_atoms[steps.molecules] + 1
    _, of_step, n_steps = numpy.unique(steps.molecules, return_inverse=True, return_counts=True)
    return _count_rows(steps, table) ** 2 + n_nodes * (n_nodes - 1) // 2 / n_steps[of_step]


def _count_rows(steps: Steps, table: MoleculeTable) -> numpy.ndarray:
    counts = numpy.empty(len(steps), dtype=numpy.int64)
    _count(table.atom_starts, steps.molecules, steps.numbers, steps.placed_starts, steps.placed_at, counts)
    return counts


@numba.njit(cache=True)
def _count(atom_starts, molecules, numbers, placed_starts, placed_at, counts):  # pragma: no cover
    """Rows of each step: the origin and the atoms placed before it."""
    for s in range(len(molecules)):
        counts[s] = 1
        for i in range(atom_starts[molecules[s] + 1] - atom_starts[molecules[s]]):
            counts[s] += placed_at[placed_starts[s] + i] < numbers[s]


@numba.njit(cache=True)
def _measure(atom_starts, coords, molecules, pair_starts, distances):  # pragma: no cover
    for k in range(len(molecules)):
        first = atom_starts[molecules[k]]
        pair = pair_starts[k]
        for j in range(1, atom_starts[molecules[k] + 1] - first + 1):
            x, y, z = coords[first + j - 1]
            distances[pair] = numpy.sqrt(x * x + y * y + z * z)
            pair += 1
            for i in range(1, j):
                dx, dy, dz = coords[first + i - 1]
                dx, dy, dz = dx - x, dy - y, dz - z
                distances[pair] = numpy.sqrt(dx * dx + dy * dy + dz * dz)
                pair += 1


@numba.njit(cache=True)
def _look_up(distances, start, i, j):  # pragma: no cover
    if i == j:
        return 0.0
    low, high = min(i, j), max(i, j)
    return distances[start + high * (high - 1) // 2 + low]


@numba.njit(cache=True)
def _fill(
    atom_starts, classes, molecules, numbers, focus, atom, placed_starts, placed_at, of_step, pair_starts, distances,
    starts, prediction_cutoff, n_types, nodes, kinds, focus_rows, next_classes, missing, predicting, predicting_steps,
    measuring, next_distances,
):  # fmt: skip  # pragma: no cover
    n_rows, n_predicting, n_measuring = len(nodes), 0, 0
    for s in range(len(molecules)):
        first, pair_start = atom_starts[molecules[s]], pair_starts[of_step[s]]
        row, centre, following = starts[s], focus[s] + 1, atom[s] + 1
        next_classes[s] = n_types if following == 0 else classes[first + atom[s]]
        for i in range(atom_starts[molecules[s] + 1] - first + 1):
            if i > 0 and placed_at[placed_starts[s] + i - 1] >= numbers[s]:
                missing[s, classes[first + i - 1]] += 1
                continue
            nodes[row] = i
            kinds[row] = n_types if i == 0 else classes[first + i - 1]
            if i == centre:
                focus_rows[s] = row
            if i == 0 or _look_up(distances, pair_start, i, centre) <= prediction_cutoff:
                if following > 0:
                    measuring[n_measuring] = n_predicting
                    next_distances[n_measuring] = _look_up(distances, pair_start, i, following)
                    n_measuring += 1
                predicting[n_predicting], predicting_steps[n_predicting] = row, s
                n_predicting += 1
            row += 1
        if following > 0:
            measuring[n_measuring] = n_predicting
            next_distances[n_measuring] = _look_up(distances, pair_start, centre, following)
            n_measuring += 1
        predicting[n_predicting], predicting_steps[n_predicting] = n_rows + s, s
        n_predicting += 1
    return n_predicting, n_measuring
