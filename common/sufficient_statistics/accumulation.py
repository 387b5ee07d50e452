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

import numpy
import torch

from common.data.dataset import list_sources, open_dataset, read_entries
from common.data.splits import NO_FOLD, SPLITS, SplitRow
from common.data.weighting import weigh_conformers
from common.files.atomic import replace_atomically
from common.files.fingerprints import compute_content_hash, compute_fingerprint
from common.files.locks import wait_for_lock
from common.files.tensor_file import read_tensors, read_tensors_if_whole, write_tensors
from common.forcefields.parameter_file import load_parameters, read_content_hash
from common.forcefields.tensors import ParameterizedMolecules
from common.molecules.mapped_smiles import compute_connectivity_key
from common.processes.memory import measure_peak_memory
from common.processes.progress import make_bar
from common.processes.ranks import Ranks, join_torchrun, run_ranks
from common.processes.threads import count_available_cpus
from common.processes.torchrun import is_under_torchrun
from common.sufficient_statistics.gram import WeightedEntry, compute_entry_grams
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

FORMAT = 8
"""Version of the pass and its file; part of the fingerprint, so that results of other versions are never used."""

MATRICES = ("energy", "forces", "energy_noise", "forces_noise")
"""The matrices of ``GroupStatistics``."""

FOLD_MATRICES = ("energy", "forces")
"""The matrices of ``FoldStatistics``."""

MIN_PARALLEL_SECONDS = 10.0
"""Less work than this is done in one process, unless told otherwise: to start others takes longer."""


def compute_statistics(
    data: str | os.PathLike,
    parameters: str | os.PathLike,
    cache: str | os.PathLike,
    settings: PassSettings,
    machine: PassMachine | None = None,
) -> Statistics | None:
    """The statistics of a data folder: from the cache if they are there, else by one pass over the data.

    Args:
        data: folder of data sets, one for each source.
        parameters: the ``.pt`` file of stage 002.
        cache: folder of statistics; one file for each fingerprint.
        settings: what they depend on.
        machine: with what the pass is made; by default what suits this machine.

    Returns:
        The statistics; under torchrun on rank 0 alone, None on the others.

    Raises:
        FileNotFoundError, ValueError: data or parameters are missing, damaged or do not belong together.
        RuntimeError: a rank died.
    """
    data, parameters, cache = pathlib.Path(data), pathlib.Path(parameters), pathlib.Path(cache)
    machine = machine or PassMachine()
    molecules = load_parameters(parameters)
    path = cache / f"{compute_pass_fingerprint(data, parameters, settings)}.pt"
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
    run_ranks(_run_rank, (plan, molecules if n_processes == 1 else None, path), n_processes)
    return load_statistics(path, molecules.force_field, False)


def compute_pass_fingerprint(data: pathlib.Path, parameters: pathlib.Path, settings: PassSettings) -> str:
    """Names everything that the statistics depend on, by content."""
    sources = {source: compute_content_hash(sorted((data / source).glob("*.arrow"))) for source in list_sources(data)}
    return compute_fingerprint([FORMAT, sources, read_content_hash(parameters), dataclasses.asdict(settings)])


def _run_rank(ranks: Ranks, plan: Plan, molecules: ParameterizedMolecules | None, path: pathlib.Path) -> None:
    """What one rank does: its share of the shards, the reduction, and on rank 0 the file."""
    start = time.perf_counter()
    molecules = molecules or load_parameters(plan.parameters)
    plan.work.mkdir(parents=True, exist_ok=True)
    mine = assign_shards(plan.costs, ranks.world_size)[ranks.rank]
    missing = [i for i in mine if read_tensors_if_whole(plan.get_shard_path(i)) is None]
    if ranks.rank == 0 and len(missing) < len(mine):
        print(f"pass: {len(mine) - len(missing)} of rank 0's {len(mine)} shards were finished by an earlier run")
    total = sum(row.n_confs for i in missing for row in plan.shards[i])
    description = f"pass over the data (rank 0 of {ranks.world_size})"
    with make_bar(total=total, desc=description, unit="conformer", disable=ranks.rank != 0) as bar:
        for i in missing:
            with replace_atomically(plan.get_shard_path(i)) as beside:
                write_tensors(_compute_shard(plan, plan.shards[i], molecules), beside)
            bar.update(sum(row.n_confs for row in plan.shards[i]))
    groups = {
        name: _reduce(ranks, plan, [i for i in mine if plan.get_group(i) == name], MATRICES)
        for name in sorted({plan.get_group(i) for i in range(len(plan.shards))})
    }
    folds = {
        name: _reduce(ranks, plan, [i for i in mine if plan.get_fold(i) == name], FOLD_MATRICES)
        for name in sorted({plan.get_fold(i) for i in range(len(plan.shards))})
        if name[1] != NO_FOLD
    }
    peak_memory = ranks.find_largest(measure_peak_memory())
    if ranks.rank == 0:
        seconds = time.perf_counter() - start
        costs = {"n_ranks": ranks.world_size, "seconds": seconds, "peak_memory": peak_memory}
        save_statistics(path, _describe_pass(plan, groups, folds, molecules, path.stem, costs))
    ranks.wait()
    for i in mine:
        plan.get_shard_path(i).unlink(missing_ok=True)
    ranks.wait()
    if ranks.rank == 0:
        shutil.rmtree(plan.work, ignore_errors=True)


def _compute_shard(plan: Plan, rows: list[SplitRow], molecules: ParameterizedMolecules) -> dict[str, typing.Any]:
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
        dataset = open_dataset(plan.data / rows[0].source)
        for row, entry in zip(rows, read_entries(dataset, [row.row for row in rows]), strict=True):
            entry, weights = weigh_conformers(entry, plan.conformers)
            n_conformers += entry.n_confs
            n_energies += entry.has_energies
            n_forces += entry.has_forces
            yield WeightedEntry(entry, places[row.smiles], weights)

    sums = {name: torch.zeros((len(touched) + 1,) * 2, dtype=torch.float64, device=device) for name in MATRICES}
    sum_squared_weights = 0.0
    phi = linearization.compute(molecules.force_field)
    for grams in compute_entry_grams(iterate_entries(), interactions, phi, device, plan.machine.chunk_bytes):
        # where this entry's features stand among those that the shard touches; the residual stands last in both
        place = torch.from_numpy(numpy.append(numpy.searchsorted(touched, grams.features), len(touched))).to(device)
        squared_weights = float((grams.source.weights**2).sum())
        sum_squared_weights += squared_weights if grams.source.entry.has_energies else 0.0
        for name, matrix in (
            ("energy", grams.energy),
            ("forces", grams.forces),
            # all conformers of an entry count alike, or nearly so: squaring the weights is scaling the sum
            ("energy_noise", grams.energy * squared_weights),
            ("forces_noise", grams.forces * (squared_weights / (3 * grams.source.entry.n_atoms))),
        ):
            sums[name][place[:, None], place] += matrix
    return {
        "features": torch.from_numpy(touched),
        **{name: matrix.cpu() for name, matrix in sums.items()},
        "counts": torch.tensor([len(rows), n_conformers, n_energies, n_forces]),
        "sum_squared_weights": torch.tensor(sum_squared_weights, dtype=torch.float64),
    }


def _reduce(
    ranks: Ranks, plan: Plan, mine: list[int], matrices: collections.abc.Sequence[str]
) -> dict[str, torch.Tensor]:
    """Adds up some shards of this rank, then over all ranks; only rank 0 keeps the sums."""
    n_used = len(plan.features)
    total = {name: torch.zeros((n_used + 1,) * 2, dtype=torch.float64) for name in matrices}
    total["counts"] = torch.zeros(4, dtype=torch.int64)
    total["sum_squared_weights"] = torch.zeros((), dtype=torch.float64)
    for i in mine:
        shard = read_tensors(plan.get_shard_path(i))
        # and the shard's among all that are used
        place = torch.cat([torch.searchsorted(plan.features, shard["features"]), torch.tensor([n_used])])
        for name in matrices:
            total[name][place[:, None], place] += shard[name]
        for name in ("counts", "sum_squared_weights"):
            total[name] += shard[name]
    summed = {name: ranks.sum_in_place(tensor) for name, tensor in total.items()}
    return summed if ranks.rank == 0 else {}


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
