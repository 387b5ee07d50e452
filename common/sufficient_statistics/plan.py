"""The plan of a pass over the data: which rows there are, in which split, what they cost, and how they are shared out.

Data and parameters are checked against each other here, before any work is done.
"""

import dataclasses
import heapq
import itertools
import pathlib

import numpy
import pyarrow.compute
import torch

from common.data.dataset import list_sources, open_dataset, read_provenance
from common.data.splits import split_molecules
from common.files.artifacts import ArtifactError
from common.forcefields.tensors import ParameterizedMolecules, TensorTopology
from common.forcefields.terms import VALENCE_TYPES
from common.processes.slices import cut_into_slices
from common.sufficient_statistics.interactions import find_vdw_pairs
from common.sufficient_statistics.linearization import Linearization
from common.sufficient_statistics.settings import PassSettings

N_SHARDS = 64
"""Into about how many pieces of equal work the pass is cut, whatever the number of ranks."""

MIN_SHARD_SECONDS = 0.25
"""Smaller pieces would cost more to handle than to compute."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of one data set: what it belongs to and what it costs."""

    source: str
    row: int
    smiles: str
    n_confs: int
    split: str
    cost: float  # [second]


@dataclasses.dataclass(frozen=True)
class Plan:
    """Everything the ranks need to know of the pass.

    Attributes:
        data, parameters, work: paths of the data sets, the ``.pt`` file and the folder of finished shards.
        shards: rows of one source and split each, in the order of the rows; of about equal cost.
        vdw_pairs: see ``Linearization``.
        columns: the used columns of φ.
    """

    data: pathlib.Path
    parameters: pathlib.Path
    work: pathlib.Path
    settings: PassSettings
    shards: list[list[Row]]
    vdw_pairs: torch.Tensor
    columns: torch.Tensor

    def get_shard_path(self, i: int) -> pathlib.Path:
        return self.work / f"{i:05d}.pt"

    def get_group(self, i: int) -> tuple[str, str]:
        return self.shards[i][0].source, self.shards[i][0].split


def plan_pass(
    data: pathlib.Path,
    parameters: pathlib.Path,
    path: pathlib.Path,
    molecules: ParameterizedMolecules,
    settings: PassSettings,
) -> Plan:
    """Plans the pass.

    Args:
        data: folder of data sets, one for each source.
        parameters: the ``.pt`` file, and
        molecules: what it holds.
        path: of the statistics; the folder of finished shards lies beside it.
        settings: what of the data counts.

    Raises:
        FileNotFoundError, ValueError: data or parameters are missing, damaged or do not belong together.
    """
    index = {source: index_rows(data / source, molecules, parameters) for source in list_sources(data)}
    smiles = sorted({one for rows in index.values() for one, _ in rows})
    features = {one: _list_parameters(molecules.topologies[one]) for one in smiles} if settings.keep_exercised else None
    fractions = settings.validation_fraction, settings.test_fraction
    splits = split_molecules(smiles, *fractions, settings.split_seed, features)
    costs = {one: _estimate_cost(molecules.topologies[one]) for one in smiles}
    rows = [
        Row(source, i, one, n_confs, splits[one], 2e-4 + n_confs * costs[one])
        for source, pairs in index.items()
        for i, (one, n_confs) in enumerate(pairs)
    ]
    used = [molecules.topologies[one] for one in smiles]
    pairs = find_vdw_pairs(used, molecules.force_field) if settings.with_vdw else torch.zeros((0, 2), dtype=torch.int64)
    linearization = Linearization(molecules.force_field, pairs)
    work = path.with_suffix(".shards")
    return Plan(data, parameters, work, settings, _cut_shards(rows), pairs, _find_columns(used, linearization))


def index_rows(
    folder: pathlib.Path, molecules: ParameterizedMolecules, parameters: pathlib.Path
) -> list[tuple[str, int]]:
    """The SMILES and number of conformers of every row of a data set, checked against the parameters.

    Raises:
        ValueError: a molecule has no parameters, or another number of atoms than its coordinates, or stage 003 chose
            the molecules by the parameters of another force field.
    """
    chosen_by = read_provenance(folder).get("input", {}).get("force_field_sha256")
    if chosen_by is not None and chosen_by != molecules.provenance["force_field_sha256"]:
        raise ArtifactError(
            f"{folder} was made with a force field of SHA-256 {chosen_by}, {parameters} holds "
            f"{molecules.provenance['force_field']} of SHA-256 {molecules.provenance['force_field_sha256']}",
            "clustered data",
            detail=" with these parameters",
        )
    table = open_dataset(folder).data.table
    smiles = table.column("smiles").to_pylist()
    n_confs = pyarrow.compute.list_value_length(table.column("energy")).to_pylist()
    n_values = pyarrow.compute.list_value_length(table.column("coords")).to_pylist()
    for row, (one, n, size) in enumerate(zip(smiles, n_confs, n_values, strict=True)):
        if one not in molecules.topologies:
            reason = molecules.failures.get(one, "it is not known there")
            raise ArtifactError(
                f"{folder}, row {row}: {parameters} has no parameters for {one} ({reason}); data and parameters do not "
                "belong together",
                "parameters",
                "clustered data",
            )
        if size != 3 * n * molecules.topologies[one].n_atoms:
            raise ArtifactError(
                f"{folder}, row {row}: {one} has {molecules.topologies[one].n_atoms} atoms and {n} conformers but "
                f"{size} coordinates",
                "raw data",
                "parameters",
                "clustered data",
            )
    return list(zip(smiles, n_confs, strict=True))


def _list_parameters(topology: TensorTopology) -> set[tuple[str, int]]:
    """The valence parameters of a molecule, by type and row."""
    return {
        (type_, row)
        for type_, map_ in topology.parameters.items()
        if type_ in VALENCE_TYPES
        for row in map_.parameter_idxs.unique().tolist()
    }


def _estimate_cost(topology: TensorTopology) -> float:
    """About the seconds that one conformer takes: its interactions, and the product of its features with themselves."""
    valence = [map_ for map_ in topology.parameters.values() if hasattr(map_, "particle_idxs")]
    n_interactions = sum(len(map_.parameter_idxs) for map_ in valence) + topology.n_atoms**2 / 2
    n_columns = sum(2 * len(numpy.unique(map_.parameter_idxs.numpy())) for map_ in valence)
    return 7e-8 * n_interactions + 2e-10 * topology.n_atoms * n_columns**2  # measured on one core


def _cut_shards(rows: list[Row]) -> list[list[Row]]:
    limit = max(sum(row.cost for row in rows) / N_SHARDS, MIN_SHARD_SECONDS)
    ordered = sorted(rows, key=lambda row: (row.source, row.split, row.row))
    groups = [list(group) for _, group in itertools.groupby(ordered, key=lambda row: (row.source, row.split))]
    return [shard for group in groups for shard in cut_into_slices(group, [row.cost for row in group], limit)]


def _find_columns(topologies: list[TensorTopology], linearization: Linearization) -> torch.Tensor:
    """The columns of φ that any of the molecules has."""
    used = set().union(*(_list_parameters(topology) for topology in topologies))
    return torch.tensor(
        [column for column, row in enumerate(linearization.find_rows()) if row[0] == "vdW" or row in used],
        dtype=torch.int64,
    )


def assign_shards(shards: list[list[Row]], n_ranks: int) -> list[list[int]]:
    """Shards for each rank: the costliest first, each to the rank that has least to do."""
    costs = [sum(row.cost for row in shard) for shard in shards]
    assigned: list[list[int]] = [[] for _ in range(n_ranks)]
    loads = [(0.0, rank) for rank in range(n_ranks)]
    for i in sorted(range(len(shards)), key=lambda i: -costs[i]):
        load, rank = heapq.heappop(loads)
        assigned[rank].append(i)
        heapq.heappush(loads, (load + costs[i], rank))
    return [sorted(mine) for mine in assigned]
