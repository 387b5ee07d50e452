"""New molecules from a network: many at once, each at its own number of atoms, the finished ones replaced at once.

In every round each molecule draws a focus among its available atoms (the origin, before the first atom), the network
says which type comes next, and either the focus is given up ("stop") or an atom of that type is placed, see
:mod:`common.generation.placement`. A molecule is finished when no atom is available.

Every random number is a function of the seed, the number of the molecule, its round and its purpose alone: a molecule
does not depend on which others are under way, but for the rounding of matrix products.
"""

import dataclasses
import typing
from collections.abc import Iterable, Iterator

import numba
import numpy
import torch

from common.data.molecule_database import LEAST_DISTANCE
from common.generation.placement import N_UNIFORM, Grid, GridSettings, build_grid, draw_position, make_rotation
from common.generators.conditions import Targets
from common.generators.network import GeneratorNetwork, NetworkSettings
from common.generators.partial import PartialMolecules, aggregate
from common.neural.schnet import SchNetTrunk

N_TABLE = 4001
"""Distances, from 0 to the cutoff, at which filters are tabulated for linear interpolation."""

N_RANDOM = 2 + N_UNIFORM
"""Random numbers in a round: focus, type, and those of a placement."""


@dataclasses.dataclass(frozen=True)
class SamplingSettings:
    """How molecules are generated.

    Attributes:
        max_atoms: a molecule that would have more is given up.
        batch_size: molecules under way at once.
        grid: where atoms may be placed, and with what temperature.
        type_temperature: below 1 the likely types become likelier.
        seed: of everything that is drawn.
    """

    max_atoms: int = 35
    batch_size: int = 64
    grid: GridSettings = dataclasses.field(default_factory=GridSettings)
    type_temperature: float = 1.0
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Start:
    """Atoms that are there from the beginning.

    Attributes:
        numbers: atomic numbers, ``shape=(n_atoms,)``.
        coords: [Angstrom] relative to the origin, ``shape=(n_atoms, 3)``.
        available: atoms beside which others may come, ``shape=(n_available,)``.
    """

    numbers: numpy.ndarray
    coords: numpy.ndarray
    available: numpy.ndarray


class Request(typing.NamedTuple):
    """A molecule that is asked for.

    Attributes:
        number: its own, from which its random numbers come.
        targets: what to aim at.
    """

    number: int
    targets: Targets


class Generated(typing.NamedTuple):
    """A molecule that is done.

    Attributes:
        number: of the request.
        numbers: atomic numbers, ``shape=(n_atoms,)``.
        coords: [Angstrom] ``shape=(n_atoms, 3)``, the origin at zero.
        finished: False where it was given up: it grew too large, or two atoms came to one place.
    """

    number: int
    numbers: numpy.ndarray
    coords: numpy.ndarray
    finished: bool


class TabulatedFilters:
    """The filters of a trunk, by linear interpolation between tabulated distances."""

    def __init__(self, trunk: SchNetTrunk):
        """Fills the table."""
        self.trunk = trunk
        self.step = trunk.settings.cutoff / (N_TABLE - 1)
        with torch.no_grad():
            distances = torch.linspace(0.0, trunk.settings.cutoff, N_TABLE, device=next(trunk.parameters()).device)
            self.tables = trunk.compute_filters(distances)

    def __call__(self, distances: torch.Tensor) -> list[torch.Tensor]:
        """As the trunk's own ``compute_filters``, to some 1e-5."""
        place = (distances / self.step).clamp(max=N_TABLE - 1.001)
        low = place.long()
        weight = (place - low)[:, None]
        return [torch.lerp(table.index_select(0, low), table.index_select(0, low + 1), weight) for table in self.tables]


class Sampler:
    """Generates molecules with one network."""

    def __init__(self, network: GeneratorNetwork, settings: SamplingSettings, start: Start | None = None):
        """Tabulates filters, builds the grid.

        Args:
            network: on a processor; its weights stay as they are.
            settings: how.
            start: atoms that every molecule has from the beginning.

        Raises:
            ValueError: the grid has no points, or the start has an element that is none of the types or too many atoms.
        """
        self.network = network.eval()
        self.settings = settings
        self.filters = TabulatedFilters(network.trunk)
        self.grid: Grid = build_grid(settings.grid, network.settings.placement_cutoff)
        self.start = start
        if start is not None:
            _check_start(start, network.settings, settings.max_atoms)

    def generate(self, requests: Iterable[Request]) -> Iterator[Generated]:
        """The molecules asked for, in the order in which they are done."""
        waiting = iter(requests)
        slots = _Slots(self.settings, self.network.settings, self.start)
        while True:
            for slot in slots.find_empty():
                request = next(waiting, None)
                if request is None:
                    break
                slots.fill(slot, request)
            active = slots.find_active()
            if not len(active):
                return
            with torch.no_grad():
                self._take_round(slots, active)
            yield from slots.take_done(active)

    def _take_round(self, slots: "_Slots", active: numpy.ndarray) -> None:
        network, types = self.network, self.network.settings.types
        uniform = draw_uniform(self.settings.seed, slots.number[active], slots.round[active], N_RANDOM)
        slots.round[active] += 1
        which = (uniform[:, 0] * slots.n_available[active]).astype(numpy.int64)
        focus = numpy.where(slots.n_placed[active] > 0, slots.available[active, which], -1)
        partial, predicting, steps = lay_out_whole(
            *(slots.classes[active], slots.coords[active], slots.n_placed[active], focus), network.settings
        )
        features = network.trunk(
            network.kinds(partial.kinds),
            self.filters(partial.distances),
            lambda own, sent: aggregate(own, sent, partial),
        ).index_select(0, predicting)
        conditions = self._embed_conditions(slots, active)
        log_types = network.predict_types(features, network.type_head.compute_bias(conditions), steps, len(active))
        classes = self._draw_types(log_types, slots.n_placed[active] == 0, uniform[:, 1])
        stops = classes == len(types)
        slots.stop(active[stops], which[stops])
        too_many = ~stops & (slots.n_placed[active] >= self.settings.max_atoms)
        slots.give_up(active[too_many])
        placing = numpy.flatnonzero(~stops & ~too_many)
        if len(placing):
            self._place(
                slots, active, placing, focus, classes, features, conditions, partial, predicting, steps, uniform
            )

    def _embed_conditions(self, slots: "_Slots", active: numpy.ndarray) -> torch.Tensor:
        network = self.network
        if network.conditioning is None:
            return torch.zeros(len(active), 0)
        dtype = next(network.parameters()).dtype
        values = {name: torch.from_numpy(own[active]).to(dtype) for name, own in slots.values.items()}
        given = {name: torch.from_numpy(own[active]) for name, own in slots.given.items()}
        missing = torch.zeros(len(active), len(network.settings.types), dtype=dtype)
        for condition in network.settings.conditions:
            if condition.stepwise:
                missing = (values[condition.name] - torch.from_numpy(slots.count_types(active)).to(dtype)).clamp(
                    min=0.0
                )
        return network.embed_conditions(values, given, torch.arange(len(active)), missing)[0]

    def _draw_types(self, log_types: torch.Tensor, is_first: numpy.ndarray, uniform: numpy.ndarray) -> numpy.ndarray:
        logits = log_types.double().numpy() / self.settings.type_temperature
        logits[is_first, -1] = -numpy.inf  # a molecule has one atom at least
        weights = numpy.exp(logits - logits.max(axis=1, keepdims=True))
        cumulative = numpy.cumsum(weights, axis=1)
        return (uniform[:, None] * cumulative[:, -1:] >= cumulative).sum(axis=1).clip(max=logits.shape[1] - 1)

    def _place(
        self,
        slots: "_Slots",
        active: numpy.ndarray,
        placing: numpy.ndarray,
        focus: numpy.ndarray,
        classes: numpy.ndarray,
        features: torch.Tensor,
        conditions: torch.Tensor,
        partial: PartialMolecules,
        predicting: torch.Tensor,
        steps: torch.Tensor,
        uniform: numpy.ndarray,
    ) -> None:
        network = self.network
        is_placing = numpy.zeros(len(active), dtype=bool)
        is_placing[placing] = True
        own = torch.from_numpy(numpy.flatnonzero(is_placing[steps.numpy()]))
        own_steps = steps[own]
        bias = network.distance_head.compute_bias(conditions).index_select(0, own_steps)
        log_distances = network.predict_distances(
            features.index_select(0, own), bias, torch.from_numpy(classes)[own_steps]
        ).numpy()
        nodes = _locate(slots.coords[active], focus, partial, predicting[own].numpy(), own_steps.numpy())
        ends = numpy.searchsorted(own_steps.numpy(), placing, side="right")
        width = network.settings.bin_width
        for step, first, last in zip(placing.tolist(), [0, *ends[:-1].tolist()], ends.tolist(), strict=True):
            slot, here = active[step], slice(first, last)
            if focus[step] < 0:
                position = draw_first_position(log_distances[here], width, uniform[step, 2:])
            else:
                centre = slots.coords[slot, focus[step]]
                position = centre + draw_position(
                    self.grid, nodes[here] - centre, log_distances[here], width, uniform[step, 2:]
                )
            slots.place(slot, classes[step], position)


def _check_start(start: Start, network: NetworkSettings, max_atoms: int) -> None:
    unknown = sorted(set(start.numbers.tolist()) - set(network.types))
    if unknown:
        raise ValueError(
            f"the substructure has elements {unknown}, which are not among the types {list(network.types)}"
        )
    if not len(start.available):
        raise ValueError("the substructure has no atom beside which another may come")
    if len(start.numbers) > max_atoms:
        raise ValueError(f"the substructure has {len(start.numbers)} atoms, more than the {max_atoms} allowed")


def draw_uniform(seed: int, numbers: numpy.ndarray, rounds: numpy.ndarray, n: int) -> numpy.ndarray:
    """Random numbers that depend on nothing but these integers.

    The mixing function is that of SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, OOPSLA 2014), applied to one after
    the other.

    Args:
        seed: any.
        numbers, rounds: ``shape=(n_molecules,)``, not negative.
        n: how many for each.

    Returns:
        at least 0, less than 1, ``shape=(n_molecules, n)``.
    """
    state = numpy.full(len(numbers), seed % 2**64, dtype=numpy.uint64)
    for part in (numbers, rounds):
        state = _mix(state) + part.astype(numpy.uint64)
    purposes = numpy.arange(1, n + 1, dtype=numpy.uint64)
    mixed = _mix(_mix(state)[:, None] + purposes * numpy.uint64(0x9E3779B97F4A7C15))
    return (mixed >> numpy.uint64(11)).astype(numpy.float64) * 2.0**-53


def _mix(x: numpy.ndarray) -> numpy.ndarray:
    x = (x + numpy.uint64(0x9E3779B97F4A7C15)).astype(numpy.uint64)
    x = (x ^ (x >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    return x ^ (x >> numpy.uint64(31))


def draw_first_position(log_distances: numpy.ndarray, bin_width: float, uniform: numpy.ndarray) -> numpy.ndarray:
    """Where the first atom goes, relative to the origin: a distance by its probability, in any direction.

    Args:
        log_distances: logarithms of the probabilities of the bins, by node, ``shape=(n_nodes, n_bins)``.
        bin_width: [Angstrom].
        uniform: random numbers, ``shape=(N_UNIFORM,)``.

    Returns:
        [Angstrom] ``shape=(3,)``.
    """
    total = log_distances.astype(numpy.float64).sum(axis=0)
    cumulative = numpy.cumsum(numpy.exp(total - total.max()))
    chosen = numpy.searchsorted(cumulative, uniform[3] * cumulative[-1], side="right")
    return make_rotation(uniform[:3])[:, 0] * (bin_width * min(int(chosen), len(total) - 1))


class _Slots:
    """Molecules under way, and what is aimed at in each."""

    def __init__(self, settings: SamplingSettings, network: NetworkSettings, start: Start | None):
        n_slots, n_atoms = settings.batch_size, settings.max_atoms
        self.types = numpy.array(network.types)
        self.start = start
        self.number = numpy.full(n_slots, -1, dtype=numpy.int64)
        self.round = numpy.zeros(n_slots, dtype=numpy.int64)
        self.n_placed = numpy.zeros(n_slots, dtype=numpy.int64)
        self.n_available = numpy.zeros(n_slots, dtype=numpy.int64)
        self.classes = numpy.zeros((n_slots, n_atoms), dtype=numpy.int64)
        self.coords = numpy.zeros((n_slots, n_atoms, 3))
        self.available = numpy.zeros((n_slots, n_atoms), dtype=numpy.int64)
        self.is_given_up = numpy.zeros(n_slots, dtype=bool)
        sizes = {c.name: len(network.types) if c.kind == "composition" else c.n_values for c in network.conditions}
        self.values = {name: numpy.zeros((n_slots, size)) for name, size in sizes.items()}
        self.given = {name: numpy.zeros(n_slots, dtype=bool) for name in sizes}

    def find_empty(self) -> numpy.ndarray:
        return numpy.flatnonzero(self.number < 0)

    def find_active(self) -> numpy.ndarray:
        return numpy.flatnonzero(self.number >= 0)

    def fill(self, slot: int, request: Request) -> None:
        self.number[slot], self.round[slot], self.is_given_up[slot] = request.number, 0, False
        self.n_placed[slot], self.n_available[slot] = 0, 0
        for name, values in self.values.items():
            self.given[name][slot] = name in request.targets
            if name in request.targets:
                values[slot] = request.targets[name]
        if self.start is not None:
            n_atoms, n_available = len(self.start.numbers), len(self.start.available)
            self.classes[slot, :n_atoms] = (self.start.numbers[:, None] == self.types).argmax(axis=1)
            self.coords[slot, :n_atoms] = self.start.coords
            self.available[slot, :n_available] = self.start.available
            self.n_placed[slot], self.n_available[slot] = n_atoms, n_available

    def stop(self, slots: numpy.ndarray, which: numpy.ndarray) -> None:
        """Gives up the focus: the last available atom takes its place in the list."""
        self.n_available[slots] -= 1
        self.available[slots, which] = self.available[slots, self.n_available[slots]]

    def give_up(self, slots: numpy.ndarray | int) -> None:
        self.n_available[slots] = 0
        self.is_given_up[slots] = True

    def place(self, slot: int, class_: int, position: numpy.ndarray) -> None:
        """Adds an atom; a molecule with two atoms at one place is given up."""
        atom = self.n_placed[slot]
        if (((self.coords[slot, :atom] - position) ** 2).sum(axis=1) < LEAST_DISTANCE**2).any():
            self.give_up(slot)
            return
        self.classes[slot, atom], self.coords[slot, atom] = class_, position
        self.available[slot, self.n_available[slot]] = atom
        self.n_placed[slot] += 1
        self.n_available[slot] += 1

    def count_types(self, slots: numpy.ndarray) -> numpy.ndarray:
        """Atoms that are placed, by type, ``shape=(n_slots, n_types)``."""
        is_placed = numpy.arange(self.classes.shape[1]) < self.n_placed[slots, None]
        same = self.classes[slots][:, :, None] == numpy.arange(len(self.types))
        return (same & is_placed[:, :, None]).sum(axis=1)

    def take_done(self, active: numpy.ndarray) -> Iterator[Generated]:
        """The molecules that are done; their slots are empty then."""
        for slot in active[self.n_available[active] == 0]:
            atoms = slice(self.n_placed[slot])
            numbers, coords = self.types[self.classes[slot, atoms]], self.coords[slot, atoms].copy()
            yield Generated(int(self.number[slot]), numbers, coords, not self.is_given_up[slot])
            self.number[slot] = -1


def lay_out_whole(
    classes: numpy.ndarray,
    coords: numpy.ndarray,
    n_placed: numpy.ndarray,
    focus: numpy.ndarray,
    settings: NetworkSettings,
) -> tuple[PartialMolecules, torch.Tensor, torch.Tensor]:
    """Molecules of which all atoms are placed, one step each.

    Args:
        classes: of the atoms, ``shape=(n_molecules, max_atoms)``.
        coords: [Angstrom] ``shape=(n_molecules, max_atoms, 3)``.
        n_placed: how many of them are there, ``shape=(n_molecules,)``.
        focus: an atom, or -1 for the origin, ``shape=(n_molecules,)``.
        settings: of the network.

    Returns:
        the partial molecules; rows of those that predict; the step of each.
    """
    n_nodes = n_placed + 1
    starts = numpy.cumsum([0, *n_nodes])
    pair_starts = numpy.cumsum([1, *(n_nodes * (n_nodes - 1) // 2)])
    n_rows, n_steps = int(starts[-1]), len(n_placed)
    kinds = numpy.full(n_rows + n_steps, len(settings.types) + 1)
    nodes = numpy.empty(n_rows, dtype=numpy.int64)
    distances = numpy.zeros(pair_starts[-1])
    predicting, steps = (numpy.empty(n_rows + n_steps, dtype=numpy.int64) for _ in range(2))
    n_predicting = _fill_whole(
        *(classes, coords, n_placed, focus, starts, pair_starts, settings.prediction_cutoff, len(settings.types)),
        *(kinds, nodes, distances, predicting, steps),
    )
    structure = (kinds, nodes, starts, starts[:-1] + focus + 1, numpy.arange(n_steps), pair_starts[:-1])
    of_type = torch.from_numpy(distances).to(torch.get_default_dtype())
    partial = PartialMolecules._make([*map(torch.from_numpy, structure), of_type])
    return partial, torch.from_numpy(predicting[:n_predicting]), torch.from_numpy(steps[:n_predicting])


@numba.njit(cache=True)
def _fill_whole(
    classes, coords, n_placed, focus, starts, pair_starts, prediction_cutoff, n_types,
    kinds, nodes, distances, predicting, steps,
):  # fmt: skip  # pragma: no cover
    n_rows, n_predicting = len(nodes), 0
    for s in range(len(n_placed)):
        pair = pair_starts[s]
        centre = numpy.zeros(3) if focus[s] < 0 else coords[s, focus[s]]
        for j in range(n_placed[s] + 1):
            row = starts[s] + j
            nodes[row] = j
            kinds[row] = n_types if j == 0 else classes[s, j - 1]
            here = numpy.zeros(3) if j == 0 else coords[s, j - 1]
            for i in range(j):
                there = numpy.zeros(3) if i == 0 else coords[s, i - 1]
                distances[pair] = numpy.sqrt(((here - there) ** 2).sum())
                pair += 1
            if j == 0 or numpy.sqrt(((here - centre) ** 2).sum()) <= prediction_cutoff:
                predicting[n_predicting], steps[n_predicting] = row, s
                n_predicting += 1
        predicting[n_predicting], steps[n_predicting] = n_rows + s, s
        n_predicting += 1
    return n_predicting


def _locate(
    coords: numpy.ndarray, focus: numpy.ndarray, partial: PartialMolecules, rows: numpy.ndarray, steps: numpy.ndarray
) -> numpy.ndarray:
    """Where the nodes of rows are [Angstrom], tokens at their focus, ``shape=(n_rows, 3)``."""
    is_token = rows >= partial.n_rows
    node = numpy.where(is_token, focus[steps] + 1, partial.nodes.numpy()[numpy.where(is_token, 0, rows)])
    return numpy.where((node == 0)[:, None], 0.0, coords[steps, numpy.maximum(node - 1, 0)])
