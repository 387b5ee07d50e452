"""The one pass over the data that makes the statistics of a fit: spread over ranks, kept by fingerprint.

The fingerprint covers the contents of the data, the parameters and the settings, so that a second run with other
hyperparameters needs no second pass; an interrupted pass goes on from its finished shards.
"""

import collections.abc
import contextlib
import dataclasses
import os
import pathlib
import shutil
import time
import typing

import datasets
import numpy
import torch

from common.data.dataset import list_sources, open_dataset, read_entries
from common.data.splits import NO_FOLD, SPLITS, SplitRow
from common.data.weighting import weigh_conformers
from common.files.atomic import replace_atomically
from common.files.fingerprints import compute_content_hash, compute_fingerprint
from common.files.locks import wait_for_lock
from common.files.tensor_file import read_tensors, read_tensors_if_whole, write_tensors
from common.forcefields.parameter_file import load_parameters
from common.forcefields.stacking import get_connectivity_keys
from common.forcefields.tensors import ParameterizedMolecules
from common.molecules.mapped_smiles import compute_connectivity_key, remember_connectivity_keys
from common.processes.memory import measure_peak_memory
from common.processes.progress import make_bar
from common.processes.ranks import Ranks, join_torchrun, run_ranks
from common.processes.threads import count_available_cpus
from common.processes.torchrun import is_under_torchrun
from common.sufficient_statistics.entry_grams import GramSums, WeightedEntry
from common.sufficient_statistics.gram import compute_entry_grams
from common.sufficient_statistics.interactions import build_interactions
from common.sufficient_statistics.linearization import Linearization
from common.sufficient_statistics.plan import Plan, assign_shards, plan_pass
from common.sufficient_statistics.settings import PassMachine, PassSettings
from common.sufficient_statistics.statistics import (
    FoldStatistics,
    GroupStatistics,
    Statistics,
    load_statistics,
    save_statistics,
)

FORMAT = 9
"""Version of the pass and its file; part of the fingerprint, so that results of other versions are never used."""

MATRICES = ("energy", "forces", "energy_noise", "forces_noise")
"""The matrices of ``GroupStatistics``."""

FOLD_MATRICES = ("energy", "forces")
"""The matrices of ``FoldStatistics``."""

MIN_PARALLEL_SECONDS = 10.0
"""Less work than this is done in one process, unless told otherwise: to start others takes longer."""

KEPT_BYTES = 50_000_000
"""Of finished shards that a rank need not read again."""


def compute_statistics(
    data: str | os.PathLike,
    parameters: str | os.PathLike,
    cache: str | os.PathLike,
    settings: PassSettings,
    machine: PassMachine | None = None,
    molecules: ParameterizedMolecules | None = None,
) -> Statistics | None:
    """The statistics of a data folder: from the cache if they are there, else by one pass over the data.

    Args:
        data: folder of data sets, one for each source.
        parameters: the ``.pt`` file of stage 002.
        cache: folder of statistics; one file for each fingerprint.
        settings: what they depend on.
        machine: with what the pass is made; by default what suits this machine.
        molecules: what that file holds, as :func:`common.forcefields.parameter_file.load_parameters` gave it, where it
            has been read already.

    Returns:
        The statistics; under torchrun on rank 0 alone, None on the others.

    Raises:
        FileNotFoundError, ValueError: data or parameters are missing, damaged or do not belong together.
        RuntimeError: a rank died.
    """
    data, parameters, cache = pathlib.Path(data), pathlib.Path(parameters), pathlib.Path(cache)
    machine = machine or PassMachine()
    molecules = molecules or load_parameters(parameters)
    remember_connectivity_keys(get_connectivity_keys(molecules.topologies))
    path = cache / f"{_compute_fingerprint(data, molecules, settings)}.pt"
    if is_under_torchrun():
        with join_torchrun() as ranks:
            is_first = ranks.rank == 0
            found = load_statistics(path, molecules.force_field, True) if is_first else None
            with _take_turns(path) if is_first and found is None else contextlib.nullcontext():
                found = found or (load_statistics(path, molecules.force_field, True) if is_first else None)
                if ranks.sum_in_place(torch.tensor(int(found is not None))).item() == 0:
                    _run_rank(ranks, plan_pass(data, parameters, path, molecules, settings, machine), molecules, path)
                ranks.wait()
        return (found or load_statistics(path, molecules.force_field, False)) if is_first else None
    found = load_statistics(path, molecules.force_field, True)
    if found is None:
        with _take_turns(path):
            found = load_statistics(path, molecules.force_field, True) or _run_here(
                plan_pass(data, parameters, path, molecules, settings, machine), molecules, path
            )
    return found


@contextlib.contextmanager
def _take_turns(path: pathlib.Path) -> collections.abc.Iterator[None]:
    """Lets one run at a time make these statistics: those that wait find them finished."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wait_for_lock(path.with_name(f".{path.stem}.lock")):
        yield


def _run_here(plan: Plan, molecules: ParameterizedMolecules, path: pathlib.Path) -> Statistics | None:
    """Makes the pass with processes of this machine."""
    n_processes = plan.machine.n_processes
    if n_processes is None:
        n_processes = count_available_cpus() if sum(plan.costs) > MIN_PARALLEL_SECONDS else 1
    if n_processes == 1:
        return _run_rank(Ranks(0, 1), plan, molecules, path)
    run_ranks(_run_rank, (plan, None, path), n_processes)
    return load_statistics(path, molecules.force_field, False)


def _compute_fingerprint(data: pathlib.Path, molecules: ParameterizedMolecules, settings: PassSettings) -> str:
    """Names everything that the statistics depend on, by content."""
    sources = {source: compute_content_hash(sorted((data / source).glob("*.arrow"))) for source in list_sources(data)}
    return compute_fingerprint([FORMAT, sources, molecules.content_hash, dataclasses.asdict(settings)])


def _run_rank(
    ranks: Ranks, plan: Plan, molecules: ParameterizedMolecules | None, path: pathlib.Path
) -> Statistics | None:
    """What one rank does: its share of the shards, the reduction, and on rank 0 the file, whose contents it gives."""
    start = time.perf_counter()
    molecules = molecules or load_parameters(plan.parameters)
    plan.work.mkdir(parents=True, exist_ok=True)
    mine = assign_shards(plan.costs, ranks.world_size)[ranks.rank]
    finished = _FinishedShards(plan)
    opened: dict[str, datasets.Dataset] = {}
    missing = [i for i in mine if not finished.has(i)]
    if ranks.rank == 0 and len(missing) < len(mine):
        print(f"pass: {len(mine) - len(missing)} of rank 0's {len(mine)} shards were finished by an earlier run")
    total = sum(row.n_confs for i in missing for row in plan.shards[i])
    description = f"pass over the data (rank 0 of {ranks.world_size})"
    with make_bar(total=total, desc=description, unit="conformer", disable=ranks.rank != 0) as bar:
        for i in missing:
            source = plan.get_group(i)[0]
            if source not in opened:
                opened[source] = open_dataset(plan.data / source)
            finished.write(i, _compute_shard(plan, plan.shards[i], molecules, opened[source]))
            bar.update(sum(row.n_confs for row in plan.shards[i]))
    groups, folds = _reduce(ranks, plan, finished, mine)
    peak_memory = ranks.find_largest(measure_peak_memory())
    statistics = None
    if ranks.rank == 0:
        seconds = time.perf_counter() - start
        costs = {"n_ranks": ranks.world_size, "seconds": seconds, "peak_memory": peak_memory}
        statistics = _describe_pass(plan, groups, folds, molecules, path.stem, costs)
        save_statistics(path, statistics)
    ranks.wait()
    for i in mine:
        plan.get_shard_path(i).unlink(missing_ok=True)
    ranks.wait()
    if ranks.rank == 0:
        shutil.rmtree(plan.work, ignore_errors=True)
    return statistics


class _FinishedShards:
    """The shards of a rank: as files, so that an interrupted pass goes on from them, and as long as there are few of
    them in memory, too.
    """

    def __init__(self, plan: Plan):
        self._plan = plan
        self._kept: dict[int, dict[str, typing.Any]] = {}
        self._room = KEPT_BYTES

    def has(self, i: int) -> bool:
        """Whether an earlier run has finished it."""
        return read_tensors_if_whole(self._plan.get_shard_path(i)) is not None

    def write(self, i: int, shard: dict[str, typing.Any]) -> None:
        with replace_atomically(self._plan.get_shard_path(i)) as beside:
            write_tensors(shard, beside)
        n_bytes = sum(value.nbytes for value in shard.values())
        if n_bytes <= self._room:
            self._kept[i] = shard
            self._room -= n_bytes

    def read(self, i: int) -> dict[str, typing.Any]:
        """The shard, for the last time."""
        return self._kept.pop(i, None) or read_tensors(self._plan.get_shard_path(i))


def _compute_shard(
    plan: Plan, rows: list[SplitRow], molecules: ParameterizedMolecules, dataset: datasets.Dataset
) -> dict[str, typing.Any]:
    """The sums over the entries of one shard, on the features that they touch."""
    linearization = Linearization(molecules.force_field, plan.vdw_pairs)
    smiles = sorted({row.smiles for row in rows})
    places = {one: i for i, one in enumerate(smiles)}
    device = plan.machine.device
    interactions = build_interactions([molecules.topologies[one] for one in smiles], linearization, device)
    touched = numpy.unique(numpy.concatenate(interactions.features))
    n_conformers, n_energies, n_forces = 0, 0, 0

    def iterate_entries() -> collections.abc.Iterator[WeightedEntry]:
        nonlocal n_conformers, n_energies, n_forces
        for row, entry in zip(rows, read_entries(dataset, [row.row for row in rows]), strict=True):
            entry, weights = weigh_conformers(entry, plan.conformers)
            n_conformers += entry.n_confs
            n_energies += entry.has_energies
            n_forces += entry.has_forces
            yield WeightedEntry(entry, places[row.smiles], weights)

    sums = GramSums(touched, MATRICES, device)
    located = [sums.locate(features) for features in interactions.features]
    sum_squared_weights = 0.0
    phi = linearization.compute(molecules.force_field)
    for grams in compute_entry_grams(iterate_entries(), interactions, phi, device, plan.machine.chunk_bytes):
        squared_weights = float(grams.source.weights @ grams.source.weights)
        sum_squared_weights += squared_weights if grams.source.entry.has_energies else 0.0
        sums.add(
            located[grams.source.molecule_idx],
            {
                "energy": (grams.energy, 1.0),
                "forces": (grams.forces, 1.0),
                # all conformers of an entry count alike, or nearly so: squaring the weights is scaling the sum
                "energy_noise": (grams.energy, squared_weights),
                "forces_noise": (grams.forces, squared_weights / (3 * grams.source.entry.n_atoms)),
            },
        )
    return {
        "features": torch.from_numpy(touched),
        **{name: matrix.cpu() for name, matrix in sums.matrices.items()},
        "counts": torch.tensor([len(rows), n_conformers, n_energies, n_forces]),
        "sum_squared_weights": torch.tensor(sum_squared_weights, dtype=torch.float64),
    }


@dataclasses.dataclass(frozen=True)
class _Totals:
    """Sums over shards."""

    grams: GramSums
    counts: torch.Tensor = dataclasses.field(default_factory=lambda: torch.zeros(4, dtype=torch.int64))
    sum_squared_weights: torch.Tensor = dataclasses.field(default_factory=lambda: torch.zeros((), dtype=torch.float64))

    def add(self, shard: dict[str, typing.Any]) -> None:
        """Adds what :func:`_compute_shard` gave."""
        matrices = {name: (shard[name], 1.0) for name in self.grams.matrices}
        self.grams.add(self.grams.locate(shard["features"].numpy()), matrices)
        self.counts.add_(shard["counts"])
        self.sum_squared_weights.add_(shard["sum_squared_weights"])

    def sum_over(self, ranks: Ranks) -> dict[str, torch.Tensor]:
        """The sums over all ranks, by name; only rank 0 keeps them."""
        tensors = {**self.grams.matrices, "counts": self.counts, "sum_squared_weights": self.sum_squared_weights}
        summed = {name: ranks.sum_in_place(tensor) for name, tensor in tensors.items()}
        return summed if ranks.rank == 0 else {}


def _reduce(
    ranks: Ranks, plan: Plan, finished: _FinishedShards, mine: list[int]
) -> tuple[dict[tuple[str, str], dict[str, torch.Tensor]], dict[tuple[str, int], dict[str, torch.Tensor]]]:
    """Adds up the shards by group and by fold, first of this rank, then over all: each shard is read once.

    One source after the other, so that no rank but the first holds the sums of more than one.
    """
    features = plan.features.numpy()
    groups: dict[tuple[str, str], dict[str, torch.Tensor]] = {}
    folds: dict[tuple[str, int], dict[str, torch.Tensor]] = {}
    for source in sorted({plan.get_group(i)[0] for i in range(len(plan.shards))}):
        its = [i for i in range(len(plan.shards)) if plan.get_group(i)[0] == source]
        of_groups = {name: _Totals(GramSums(features, MATRICES)) for name in sorted({plan.get_group(i) for i in its})}
        of_folds = {
            name: _Totals(GramSums(features, FOLD_MATRICES))
            for name in sorted({plan.get_fold(i) for i in its})
            if name[1] != NO_FOLD
        }
        for i in sorted(set(its) & set(mine)):
            shard = finished.read(i)
            of_groups[plan.get_group(i)].add(shard)
            if plan.get_fold(i) in of_folds:
                of_folds[plan.get_fold(i)].add(shard)
        groups |= {name: totals.sum_over(ranks) for name, totals in of_groups.items()}
        folds |= {name: totals.sum_over(ranks) for name, totals in of_folds.items()}
    return groups, folds


def _describe_pass(
    plan: Plan,
    groups: dict[tuple[str, str], dict[str, torch.Tensor]],
    folds: dict[tuple[str, int], dict[str, torch.Tensor]],
    molecules: ParameterizedMolecules,
    fingerprint: str,
    costs: dict[str, typing.Any],
) -> Statistics:
    rows = [row for shard in plan.shards for row in shard]
    keys_of_splits: dict[str, set[str]] = {split: set() for split in SPLITS}
    keys_of_groups: dict[tuple[str, str], set[str]] = {group: set() for group in groups}
    for row in rows:
        key = compute_connectivity_key(row.smiles)
        keys_of_splits[row.split].add(key)
        keys_of_groups[row.source, row.split].add(key)
    return Statistics(
        linearization=Linearization(molecules.force_field, plan.vdw_pairs),
        features=plan.features,
        groups={
            name: GroupStatistics(
                n_entries=int(sums["counts"][0]),
                n_molecules=len(keys_of_groups[name]),
                n_conformers=int(sums["counts"][1]),
                n_energies=int(sums["counts"][2]),
                n_forces=int(sums["counts"][3]),
                sum_squared_weights=sums["sum_squared_weights"].item(),
                **{matrix: sums[matrix] for matrix in MATRICES},
            )
            for name, sums in groups.items()
        },
        folds={
            name: FoldStatistics(
                int(sums["counts"][2]), int(sums["counts"][3]), **{matrix: sums[matrix] for matrix in FOLD_MATRICES}
            )
            for name, sums in folds.items()
        },
        exercise={
            split: _count_exercise([row for row in rows if row.split == split], molecules)
            for split in ("train", "validation")
        },
        splits={row.smiles: row.split for row in rows},
        n_molecules={split: len(keys_of_splits[split]) for split in SPLITS},
        fingerprint=fingerprint,
        is_reused=False,
        **costs,
    )


def _count_exercise(rows: list[SplitRow], molecules: ParameterizedMolecules) -> dict[str, torch.Tensor]:
    """For each row of parameters, how many different molecules and how many conformers feel it."""
    n_confs: dict[str, int] = {}
    for row in rows:
        n_confs[row.smiles] = n_confs.get(row.smiles, 0) + row.n_confs
    keys: dict[str, int] = {}
    names = numpy.array([keys.setdefault(compute_connectivity_key(one), len(keys)) for one in n_confs], dtype=int)
    weights = numpy.array(list(n_confs.values()), dtype=int)
    potentials = [one for one in molecules.force_field.potentials if one.type != "Electrostatics"]
    felt_by_type: dict[str, list[numpy.ndarray]] = {potential.type: [] for potential in potentials}
    nothing = numpy.zeros(0, dtype=int)
    for smiles in n_confs:
        maps = molecules.topologies[smiles].parameters
        for type_, arrays in felt_by_type.items():
            arrays.append(maps[type_].parameter_idxs.numpy().copy() if type_ in maps else nothing)
    counts = {}
    for potential in potentials:
        n_rows, felt = len(potential.parameter_keys), felt_by_type[potential.type]
        which = numpy.repeat(numpy.arange(len(felt)), [len(one) for one in felt])
        # each molecule and parameter as one number, so that each pair is counted once
        pairs = numpy.unique(which * n_rows + numpy.concatenate([*felt, nothing]))
        which, felt_rows = numpy.divmod(pairs, max(n_rows, 1))
        alike = numpy.unique(names[which] * n_rows + felt_rows) % max(n_rows, 1)
        n_conformers = numpy.zeros(n_rows, dtype=int)
        numpy.add.at(n_conformers, felt_rows, weights[which])
        n_molecules = numpy.bincount(alike, minlength=n_rows)
        counts[potential.type] = torch.from_numpy(numpy.stack((n_molecules, n_conformers), axis=1))
    return counts
