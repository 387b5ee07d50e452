"""The plan of a pass over the data: which rows there are, in which split, what they cost, and how they are shared out.

Data and parameters are checked against each other here, before any work is done.
"""

import dataclasses
import heapq
import itertools
import pathlib
import typing

import numpy
import torch

from common.data.dataset import list_sources
from common.data.index import Row, index_dataset
from common.data.splits import NO_FOLD, SplitRow, SplitSettings, assign_folds, assign_rows, split_molecules
from common.data.weighting import ConformerSelection
from common.files.artifacts import ArtifactError
from common.forcefields.stacking import count_atoms
from common.forcefields.tensors import ParameterizedMolecules
from common.forcefields.terms import VALENCE_TYPES
from common.molecules.mapped_smiles import compute_connectivity_key
from common.processes.slices import cut_into_slices
from common.sufficient_statistics.interactions import find_vdw_pairs
from common.sufficient_statistics.linearization import FEATURES_PER_ROW, Linearization
from common.sufficient_statistics.settings import PassMachine, PassSettings

N_SHARDS = 64
"""Into about how many pieces of equal work the pass is cut, whatever the number of ranks."""

SECONDS_PER_INTERACTION, SECONDS_PER_PRODUCT = 1e-8, 1e-10
"""Of a conformer: what a term or pair takes, and an atom for each pair of features."""

ROW_SECONDS = 6e-5
"""What a row takes, however few conformers it has."""

MIN_SHARD_SECONDS = 0.25
"""Smaller pieces would cost more to handle than to compute."""


MOLECULES_AT_ONCE = 1_000
"""Of which the topologies are held while their parameters are listed."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """Everything the ranks need to know of the pass.

    Attributes:
        data, parameters, work: paths of the data sets, the ``.pt`` file and the folder of finished shards.
        conformers: which count, and how much.
        machine: with what the pass is made.
        shards: rows of one source, split and fold each, in the order of the rows; of about equal cost.
        costs: [second] of each shard, about.
        vdw_pairs: see ``Linearization``.
        features: those that the data exercise, ``shape=(n_used,)`` int64, ascending.
    """

    data: pathlib.Path
    parameters: pathlib.Path
    work: pathlib.Path
    conformers: ConformerSelection
    machine: PassMachine
    shards: list[list[SplitRow]]
    costs: list[float]
    vdw_pairs: torch.Tensor
    features: torch.Tensor

    def get_shard_path(self, i: int) -> pathlib.Path:
        return self.work / f"{i:05d}.pt"

    def get_group(self, i: int) -> tuple[str, str]:
        return self.shards[i][0].source, self.shards[i][0].split

    def get_fold(self, i: int) -> tuple[str, int]:
        return self.shards[i][0].source, self.shards[i][0].fold


def plan_pass(
    data: pathlib.Path,
    parameters: pathlib.Path,
    path: pathlib.Path,
    molecules: ParameterizedMolecules,
    settings: PassSettings,
    machine: PassMachine,
) -> Plan:
    """Plans the pass.

    Args:
        data: folder of data sets, one for each source.
        parameters: the ``.pt`` file, and
        molecules: what it holds.
        path: of the statistics; the folder of finished shards lies beside it.
        settings: what the statistics depend on.
        machine: with what the pass is made.

    Raises:
        FileNotFoundError, ValueError: data or parameters are missing, damaged or do not belong together.
    """
    index = [row for source in list_sources(data) for row in index_rows(data / source, molecules, parameters)]
    smiles = sorted({row.smiles for row in index})
    used = (molecules.topologies[one] for one in smiles)
    pairs = find_vdw_pairs(used, molecules.force_field) if settings.with_vdw else torch.zeros((0, 2), dtype=torch.int64)
    linearization = Linearization(molecules.force_field, pairs)
    uses = _find_uses(molecules, smiles, linearization)
    parameters_of = dict(zip(smiles, (set(one.tolist()) for one in uses.features), strict=True))
    sources: dict[str, set[str]] = {}
    for row in index:
        sources.setdefault(row.smiles, set()).add(row.source)
    splits = settings.assigned or split_molecules(smiles, settings.split, parameters_of, sources)
    folds = _deal_out([one for one in smiles if splits[one] != "test"], settings.split)
    rows = assign_rows(index, splits.__getitem__, lambda one: folds.get(one, NO_FOLD))
    shards, costs = _cut_shards(rows, dict(zip(smiles, uses.costs.tolist(), strict=True)))
    work = path.with_suffix(".shards")
    features = _find_features(uses, linearization)
    return Plan(data, parameters, work, settings.conformers, machine, shards, costs, pairs, features)


def _deal_out(smiles: list[str], settings: SplitSettings) -> dict[str, int]:
    """The folds of the molecules that do not test; none where there are too few of them."""
    n_folds = min(settings.n_folds, len({compute_connectivity_key(one) for one in smiles}))
    return assign_folds(smiles, n_folds, settings.split_seed) if n_folds >= 2 else {}


def index_rows(folder: pathlib.Path, molecules: ParameterizedMolecules, parameters: pathlib.Path) -> list[Row]:
    """The rows of a data set, checked against the parameters; which force field chose its molecules does not matter.

    Raises:
        ArtifactError: a molecule has no parameters, or another number of atoms than its coordinates.
    """
    rows = index_dataset(folder)
    n_atoms_of = count_atoms(molecules.topologies)
    for row in rows:
        if row.smiles not in n_atoms_of:
            reason = molecules.failures.get(row.smiles, "it is not known there")
            raise ArtifactError(
                f"{folder}, row {row.row}: {parameters} has no parameters for {row.smiles} ({reason}); data and "
                "parameters do not belong together",
                "parameters",
                "clustered data",
            )
        n_atoms = n_atoms_of[row.smiles]
        if not row.fits(n_atoms):
            raise ArtifactError(
                f"{folder}, row {row.row}: {row.smiles} has {n_atoms} atoms and {row.n_confs} conformers but "
                f"{row.n_coords} coordinates",
                "raw data",
                "parameters",
                "clustered data",
            )
    return rows


class _Uses(typing.NamedTuple):
    """What molecules use.

    Attributes:
        features: for each molecule, of each valence parameter that it has the (first) feature, ascending.
        costs: about the seconds that one conformer of each takes, ``shape=(n_molecules,)``.
    """

    features: list[numpy.ndarray]
    costs: numpy.ndarray


def _find_uses(molecules: ParameterizedMolecules, smiles: list[str], linearization: Linearization) -> _Uses:
    owners, features, n_atoms = [numpy.zeros(0, dtype=numpy.int64)], [numpy.zeros(0, dtype=numpy.int64)], []
    for first in range(0, len(smiles), MOLECULES_AT_ONCE):
        topologies = [molecules.topologies[one] for one in smiles[first : first + MOLECULES_AT_ONCE]]
        n_atoms += [one.n_atoms for one in topologies]
        for type_ in VALENCE_TYPES:
            maps = [
                (i, one.parameters[type_].parameter_idxs)
                for i, one in enumerate(topologies, first)
                if type_ in one.parameters
            ]
            rows = torch.cat([torch.zeros(0, dtype=torch.int64), *(rows for _, rows in maps)]).numpy()
            features.append(linearization.starts[type_] + FEATURES_PER_ROW[type_] * rows)
            own = numpy.array([i for i, _ in maps], dtype=numpy.int64)
            owners.append(numpy.repeat(own, [rows.shape[0] for _, rows in maps]))
    n = max(linearization.n_features, 1)
    # molecule and feature as one number, so that each pair is counted once
    pairs = numpy.unique(numpy.concatenate(owners) * n + numpy.concatenate(features))
    ends = numpy.searchsorted(pairs, n * numpy.arange(1, len(smiles)))
    n_valence = numpy.bincount(numpy.concatenate(owners), minlength=len(smiles))
    n_features = 2 * numpy.bincount(pairs // n, minlength=len(smiles))
    atoms = numpy.array(n_atoms)
    # its interactions, and the product of its features with themselves: measured on one core
    costs = SECONDS_PER_INTERACTION * (n_valence + atoms**2 / 2) + SECONDS_PER_PRODUCT * atoms * n_features**2
    return _Uses(numpy.split(pairs % n, ends), costs)


def _cut_shards(rows: list[SplitRow], conformer_costs: dict[str, float]) -> tuple[list[list[SplitRow]], list[float]]:
    """Shards and what each costs [second], from the cost of a conformer by SMILES."""

    def estimate(row: SplitRow) -> float:
        return ROW_SECONDS + row.n_confs * conformer_costs[row.smiles]

    limit = max(sum(map(estimate, rows)) / N_SHARDS, MIN_SHARD_SECONDS)
    ordered = sorted(rows, key=lambda row: (row.source, row.split, row.fold, row.row))
    groups = [list(group) for _, group in itertools.groupby(ordered, key=lambda row: (row.source, row.split, row.fold))]
    shards = [shard for group in groups for shard in cut_into_slices(group, list(map(estimate, group)), limit)]
    return shards, [sum(map(estimate, shard)) for shard in shards]


def _find_features(uses: _Uses, linearization: Linearization) -> torch.Tensor:
    """The features that any of the molecules has."""
    used = set().union(*(one.tolist() for one in uses.features))
    return torch.tensor(
        [
            feature
            for feature, (type_, row) in enumerate(linearization.find_rows())
            if type_ == "vdW" or linearization.get_feature(type_, row) in used
        ],
        dtype=torch.int64,
    )


def assign_shards(costs: list[float], n_ranks: int) -> list[list[int]]:
    """Shards, of such costs, for each rank: the costliest first, each to the rank that has least to do."""
    assigned: list[list[int]] = [[] for _ in range(n_ranks)]
    loads = [(0.0, rank) for rank in range(n_ranks)]
    for i in sorted(range(len(costs)), key=lambda i: -costs[i]):
        load, rank = heapq.heappop(loads)
        assigned[rank].append(i)
        heapq.heappush(loads, (load + costs[i], rank))
    return [sorted(mine) for mine in assigned]
