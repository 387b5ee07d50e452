"""The one pass over the data that makes the statistics of a fit: planned, spread over ranks, kept by fingerprint.

The fingerprint covers the contents of the data, the parameters and the settings, so that a second run with other
hyperparameters needs no second pass; an interrupted pass goes on from its finished shards.
"""

import dataclasses
import heapq
import os
import pathlib
import shutil
import sys
import time
import typing

import numpy
import pyarrow.compute
import torch
import tqdm

from common.dataset import (
    Entry,
    compute_content_hash,
    list_sources,
    open_dataset,
    read_entries,
    read_provenance,
)
from common.files import replace_atomically
from common.gram import CHUNK_BYTES, WeightedEntry, compute_entry_grams
from common.interactions import build_interactions, find_vdw_pairs
from common.linearization import Linearization
from common.molecule import compute_connectivity_key
from common.parallel import Ranks, is_under_torchrun, join_torchrun, run_ranks
from common.shards import compute_fingerprint
from common.splits import SPLITS, split_molecules
from common.statistics import GroupStatistics, Statistics, load_statistics, load_tensors, save_statistics
from common.tensors import VALENCE_TYPES, ParameterizedMolecules, TensorTopology, load_parameters, write_tensors
from common.units import GAS_CONSTANT
from common.workers import count_available_cpus, measure_peak_memory

FORMAT = 5
"""Version of the pass and its file; part of the fingerprint, so that results of other versions are never used."""

MATRICES = ("energy", "forces", "energy_noise", "forces_noise")
"""The matrices of ``GroupStatistics``."""

N_SHARDS = 64
"""Into about how many pieces of equal work the pass is cut, whatever the number of ranks."""

MIN_SHARD_SECONDS = 0.25
"""Smaller pieces would cost more to handle than to compute."""

MIN_PARALLEL_SECONDS = 10.0
"""Less work than this is done in one process, unless told otherwise: to start others takes longer."""


@dataclasses.dataclass(frozen=True)
class PassSettings:
    """What the statistics depend on, besides data and parameters.

    Attributes:
        validation_fraction, test_fraction, split_seed: see ``common.splits.split_molecules``.
        keep_exercised: whether every valence parameter keeps at least one training molecule where it has any.
        with_vdw: whether φ holds the Lennard-Jones pairs, so that vdW may be trained.
        energy_ceiling: [kcal/mol] conformers so much above the lowest of their entry are left out; None for all.
        boltzmann_temperature: [K] weights conformers by exp(-ΔE/RT) within their entry; None for equal weights.
        chunk_bytes: size of the feature matrices handled at once.
        device: where the pass is computed, e.g. "cpu" or "cuda".
    """

    validation_fraction: float = 0.1
    test_fraction: float = 0.1
    split_seed: int = 0
    keep_exercised: bool = True
    with_vdw: bool = False
    energy_ceiling: float | None = None
    boltzmann_temperature: float | None = None
    chunk_bytes: int = CHUNK_BYTES
    device: str = "cpu"


@dataclasses.dataclass(frozen=True)
class _Row:
    """One row of one data set: what it belongs to and what it costs."""

    source: str
    row: int
    smiles: str
    n_confs: int
    split: str
    cost: float  # [second]


@dataclasses.dataclass(frozen=True)
class _Plan:
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
    shards: list[list[_Row]]
    vdw_pairs: torch.Tensor
    columns: torch.Tensor

    def get_shard_path(self, i: int) -> pathlib.Path:
        return self.work / f"{i:05d}.pt"

    def get_group(self, i: int) -> tuple[str, str]:
        return self.shards[i][0].source, self.shards[i][0].split


def compute_statistics(
    data: str | os.PathLike,
    parameters: str | os.PathLike,
    cache: str | os.PathLike,
    settings: PassSettings,
    n_processes: int | None = None,
) -> Statistics | None:
    """The statistics of a data folder: from the cache if they are there, else by one pass over the data.

    Args:
        data: folder of data sets, one for each source.
        parameters: the ``.pt`` file of stage 002.
        cache: folder of statistics; one file for each fingerprint.
        settings: what they depend on.
        n_processes: ranks to spawn, by default one for each available processor, or a single one where there is little
            to do; under torchrun its ranks are used instead.

    Returns:
        The statistics; under torchrun on rank 0 alone, None on the others.

    Raises:
        FileNotFoundError, ValueError: data or parameters are missing, damaged or do not belong together.
        RuntimeError: a rank died.
    """
    data, parameters, cache = pathlib.Path(data), pathlib.Path(parameters), pathlib.Path(cache)
    molecules = load_parameters(parameters)
    path = cache / f"{compute_pass_fingerprint(data, parameters, settings)}.pt"
    if is_under_torchrun():
        with join_torchrun() as ranks:
            found = load_statistics(path, molecules.force_field, True) if ranks.rank == 0 else None
            if ranks.sum_in_place(torch.tensor(int(found is not None))).item() == 0:
                _run_rank(ranks, _plan_pass(data, parameters, path, molecules, settings), molecules, path)
            ranks.wait()
        return (found or load_statistics(path, molecules.force_field, False)) if ranks.rank == 0 else None
    found = load_statistics(path, molecules.force_field, True)
    if found is None:
        plan = _plan_pass(data, parameters, path, molecules, settings)
        if n_processes is None:
            seconds = sum(row.cost for shard in plan.shards for row in shard)
            n_processes = count_available_cpus() if seconds > MIN_PARALLEL_SECONDS else 1
        run_ranks(_run_rank, (plan, molecules if n_processes == 1 else None, path), n_processes)
        found = load_statistics(path, molecules.force_field, False)
    return found


def compute_pass_fingerprint(data: pathlib.Path, parameters: pathlib.Path, settings: PassSettings) -> str:
    """Names everything that the statistics depend on, by content."""
    sources = {source: compute_content_hash(sorted((data / source).glob("*.arrow"))) for source in list_sources(data)}
    relevant = {k: v for k, v in dataclasses.asdict(settings).items() if k not in ("chunk_bytes", "device")}
    return compute_fingerprint([FORMAT, sources, compute_content_hash([parameters]), relevant])


# --- the plan --------------------------------------------------------------------------------------------------------


def _plan_pass(
    data: pathlib.Path,
    parameters: pathlib.Path,
    path: pathlib.Path,
    molecules: ParameterizedMolecules,
    settings: PassSettings,
) -> _Plan:
    index = {source: index_rows(data / source, molecules, parameters) for source in list_sources(data)}
    smiles = sorted({one for rows in index.values() for one, _ in rows})
    features = {one: _list_parameters(molecules.topologies[one]) for one in smiles} if settings.keep_exercised else None
    fractions = settings.validation_fraction, settings.test_fraction
    splits = split_molecules(smiles, *fractions, settings.split_seed, features)
    costs = {one: _estimate_cost(molecules.topologies[one]) for one in smiles}
    rows = [
        _Row(source, i, one, n_confs, splits[one], 2e-4 + n_confs * costs[one])
        for source, pairs in index.items()
        for i, (one, n_confs) in enumerate(pairs)
    ]
    used = [molecules.topologies[one] for one in smiles]
    pairs = find_vdw_pairs(used, molecules.force_field) if settings.with_vdw else torch.zeros((0, 2), dtype=torch.int64)
    linearization = Linearization(molecules.force_field, pairs)
    work = path.with_suffix(".shards")
    return _Plan(data, parameters, work, settings, _cut_shards(rows), pairs, _find_columns(used, linearization))


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
        raise ValueError(
            f"{folder} was made with a force field of SHA-256 {chosen_by}, {parameters} holds "
            f"{molecules.provenance['force_field']} of SHA-256 {molecules.provenance['force_field_sha256']}; run "
            "003-cluster-and-filter.py again with these parameters"
        )
    table = open_dataset(folder).data.table
    smiles = table.column("smiles").to_pylist()
    n_confs = pyarrow.compute.list_value_length(table.column("energy")).to_pylist()
    n_values = pyarrow.compute.list_value_length(table.column("coords")).to_pylist()
    for row, (one, n, size) in enumerate(zip(smiles, n_confs, n_values, strict=True)):
        if one not in molecules.topologies:
            reason = molecules.failures.get(one, "it is not known there")
            raise ValueError(
                f"{folder}, row {row}: {parameters} has no parameters for {one} ({reason}); data and parameters do not "
                "belong together: run 002-parameterize.py and 003-cluster-and-filter.py again"
            )
        if size != 3 * n * molecules.topologies[one].n_atoms:
            raise ValueError(
                f"{folder}, row {row}: {one} has {molecules.topologies[one].n_atoms} atoms and {n} conformers but "
                f"{size} coordinates; run 001-convert-espaloma-data.py and what follows again"
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


def _cut_shards(rows: list[_Row]) -> list[list[_Row]]:
    limit = max(sum(row.cost for row in rows) / N_SHARDS, MIN_SHARD_SECONDS)
    shards: list[list[_Row]] = []
    for row in sorted(rows, key=lambda row: (row.source, row.split, row.row)):
        last = shards[-1] if shards else None
        is_same_group = last is not None and (last[0].source, last[0].split) == (row.source, row.split)
        if is_same_group and sum(other.cost for other in last) + row.cost <= limit:
            last.append(row)
        else:
            shards.append([row])
    return shards


def _find_columns(topologies: list[TensorTopology], linearization: Linearization) -> torch.Tensor:
    rows_in_use = {
        type_: set(torch.cat([t.parameters[type_].parameter_idxs for t in topologies]).unique().tolist())
        for type_ in linearization.starts
        if type_ != "vdW" and all(type_ in t.parameters for t in topologies)
    }
    return torch.tensor(
        [
            column
            for column, (type_, row) in enumerate(linearization.find_rows())
            if type_ == "vdW" or row in rows_in_use.get(type_, ())
        ],
        dtype=torch.int64,
    )


# --- the pass --------------------------------------------------------------------------------------------------------


def _run_rank(ranks: Ranks, plan: _Plan, molecules: ParameterizedMolecules | None, path: pathlib.Path) -> None:
    """What one rank does: its share of the shards, the reduction, and on rank 0 the file."""
    start = time.perf_counter()
    molecules = molecules or load_parameters(plan.parameters)
    plan.work.mkdir(parents=True, exist_ok=True)
    mine = _assign_shards(plan.shards, ranks.world_size)[ranks.rank]
    missing = [i for i in mine if load_tensors(plan.get_shard_path(i)) is None]
    if ranks.rank == 0 and len(missing) < len(mine):
        print(f"pass: {len(mine) - len(missing)} of rank 0's {len(mine)} shards were finished by an earlier run")
    total = sum(row.n_confs for i in missing for row in plan.shards[i])
    bar = tqdm.tqdm(
        total=total,
        desc=f"pass over the data (rank 0 of {ranks.world_size})",
        unit="conformer",
        disable=ranks.rank != 0,
        mininterval=0.5 if sys.stderr.isatty() else 30.0,
    )
    with bar:
        for i in missing:
            with replace_atomically(plan.get_shard_path(i)) as beside:
                write_tensors(_compute_shard(plan, plan.shards[i], molecules), beside)
            bar.update(sum(row.n_confs for row in plan.shards[i]))
    names = sorted({plan.get_group(i) for i in range(len(plan.shards))})
    groups = {name: _reduce_group(ranks, plan, mine, name) for name in names}
    peak_memory = ranks.find_largest(measure_peak_memory())
    if ranks.rank == 0:
        seconds = time.perf_counter() - start
        costs = {"n_ranks": ranks.world_size, "seconds": seconds, "peak_memory": peak_memory}
        save_statistics(path, _describe_pass(plan, groups, molecules, path.stem, costs))
    ranks.wait()
    for i in mine:
        plan.get_shard_path(i).unlink(missing_ok=True)
    ranks.wait()
    if ranks.rank == 0:
        shutil.rmtree(plan.work, ignore_errors=True)


def _assign_shards(shards: list[list[_Row]], n_ranks: int) -> list[list[int]]:
    """Shards for each rank: the costliest first, each to the rank that has least to do."""
    costs = [sum(row.cost for row in shard) for shard in shards]
    assigned: list[list[int]] = [[] for _ in range(n_ranks)]
    loads = [(0.0, rank) for rank in range(n_ranks)]
    for i in sorted(range(len(shards)), key=lambda i: -costs[i]):
        load, rank = heapq.heappop(loads)
        assigned[rank].append(i)
        heapq.heappush(loads, (load + costs[i], rank))
    return [sorted(mine) for mine in assigned]


def weigh_conformers(entry: Entry, settings: PassSettings) -> tuple[Entry, numpy.ndarray]:
    """The conformers that count, and their weights, which add up to 1."""
    relative = entry.energy - entry.energy.min()
    if settings.energy_ceiling is not None:
        keep = relative <= settings.energy_ceiling
        entry, relative = entry.select(keep), relative[keep]
    if settings.boltzmann_temperature is None:
        weights = numpy.ones_like(relative)
    else:
        weights = numpy.exp(-relative / (GAS_CONSTANT * settings.boltzmann_temperature))
    return entry, weights / weights.sum()


def _compute_shard(plan: _Plan, rows: list[_Row], molecules: ParameterizedMolecules) -> dict[str, typing.Any]:
    """The sums over the entries of one shard, on the columns that they touch."""
    linearization = Linearization(molecules.force_field, plan.vdw_pairs)
    smiles = sorted({row.smiles for row in rows})
    places = {one: i for i, one in enumerate(smiles)}
    device = plan.settings.device
    interactions = build_interactions([molecules.topologies[one] for one in smiles], linearization, device)
    touched = numpy.unique(numpy.concatenate(interactions.columns))
    n_conformers = 0

    def iterate_entries() -> typing.Iterator[WeightedEntry]:
        nonlocal n_conformers
        dataset = open_dataset(plan.data / rows[0].source)
        for row, entry in zip(rows, read_entries(dataset, [row.row for row in rows]), strict=True):
            entry, weights = weigh_conformers(entry, plan.settings)
            n_conformers += entry.n_confs
            yield WeightedEntry(entry, places[row.smiles], weights)

    sums = {name: torch.zeros((len(touched) + 1,) * 2, dtype=torch.float64, device=device) for name in MATRICES}
    sum_squared_weights = 0.0
    phi = linearization.compute(molecules.force_field)
    for grams in compute_entry_grams(iterate_entries(), interactions, phi, device, plan.settings.chunk_bytes):
        place = torch.from_numpy(numpy.append(numpy.searchsorted(touched, grams.columns), len(touched))).to(device)
        squared_weights = float((grams.source.weights**2).sum())
        sum_squared_weights += squared_weights
        for name, matrix in (
            ("energy", grams.energy),
            ("forces", grams.forces),
            # all conformers of an entry count alike, or nearly so: squaring the weights is scaling the sum
            ("energy_noise", grams.energy * squared_weights),
            ("forces_noise", grams.forces * (squared_weights / (3 * grams.source.entry.n_atoms))),
        ):
            sums[name][place[:, None], place] += matrix
    return {
        "columns": torch.from_numpy(touched),
        **{name: matrix.cpu() for name, matrix in sums.items()},
        "counts": torch.tensor([len(rows), n_conformers]),
        "sum_squared_weights": torch.tensor(sum_squared_weights, dtype=torch.float64),
    }


def _reduce_group(ranks: Ranks, plan: _Plan, mine: list[int], group: tuple[str, str]) -> dict[str, torch.Tensor]:
    """Adds up one group over the shards of this rank, then over all ranks."""
    n_used = len(plan.columns)
    total = {name: torch.zeros((n_used + 1,) * 2, dtype=torch.float64) for name in MATRICES}
    total["counts"] = torch.zeros(2, dtype=torch.int64)
    total["sum_squared_weights"] = torch.zeros((), dtype=torch.float64)
    for i in mine:
        if plan.get_group(i) == group:
            shard = load_tensors(plan.get_shard_path(i))
            place = torch.cat([torch.searchsorted(plan.columns, shard["columns"]), torch.tensor([n_used])])
            for name in MATRICES:
                total[name][place[:, None], place] += shard[name]
            for name in ("counts", "sum_squared_weights"):
                total[name] += shard[name]
    return {name: ranks.sum_in_place(tensor) for name, tensor in total.items()}


def _describe_pass(
    plan: _Plan,
    groups: dict[tuple[str, str], dict[str, torch.Tensor]],
    molecules: ParameterizedMolecules,
    fingerprint: str,
    costs: dict[str, typing.Any],
) -> Statistics:
    rows = [row for shard in plan.shards for row in shard]
    keys: dict[str | tuple[str, str], set[str]] = {name: set() for name in (*SPLITS, *groups)}
    for row in rows:
        for name in (row.split, (row.source, row.split)):
            keys[name].add(compute_connectivity_key(row.smiles))
    return Statistics(
        linearization=Linearization(molecules.force_field, plan.vdw_pairs),
        columns=plan.columns,
        groups={
            name: GroupStatistics(
                n_entries=int(sums["counts"][0]),
                n_molecules=len(keys[name]),
                n_conformers=int(sums["counts"][1]),
                sum_squared_weights=sums["sum_squared_weights"].item(),
                **{matrix: sums[matrix] for matrix in MATRICES},
            )
            for name, sums in groups.items()
        },
        exercise=_count_exercise([row for row in rows if row.split == "train"], molecules),
        splits={row.smiles: row.split for row in rows},
        n_molecules={split: len(keys[split]) for split in SPLITS},
        fingerprint=fingerprint,
        is_reused=False,
        **costs,
    )


def _count_exercise(rows: list[_Row], molecules: ParameterizedMolecules) -> dict[str, torch.Tensor]:
    """For each row of parameters, how many different molecules and how many conformers feel it."""
    n_confs: dict[str, int] = {}
    for row in rows:
        n_confs[row.smiles] = n_confs.get(row.smiles, 0) + row.n_confs
    counts = {}
    for potential in molecules.force_field.potentials:
        if potential.type == "Electrostatics":
            continue
        felt_by: list[set[str]] = [set() for _ in potential.parameter_keys]
        counts[potential.type] = torch.zeros((len(potential.parameter_keys), 2), dtype=torch.int64)
        for smiles, n in n_confs.items():
            map_ = molecules.topologies[smiles].parameters.get(potential.type)
            for row in [] if map_ is None else map_.parameter_idxs.unique().tolist():
                felt_by[row].add(compute_connectivity_key(smiles))
                counts[potential.type][row, 1] += n
        counts[potential.type][:, 0] = torch.tensor([len(keys) for keys in felt_by])
    return counts
