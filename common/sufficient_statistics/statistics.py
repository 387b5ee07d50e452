"""The sufficient statistics of a fit: all that the loss needs to know of the data, as an artifact.

The Gram matrices of the entries (common/sufficient_statistics/gram.py) add up to one pair for each source and split.
The pass that makes them is in common/sufficient_statistics/accumulation.py, the loss that is read off them in
common/fitting/objective.py.
"""

import dataclasses
import os
import pathlib

import torch

from common.files.atomic import replace_atomically
from common.files.fingerprints import compute_content_hash
from common.files.tensor_file import read_tensors, write_tensors
from common.forcefields.tensors import TensorForceField
from common.sufficient_statistics.linearization import Linearization


@dataclasses.dataclass(frozen=True)
class GroupStatistics:
    """The sums over the entries of one source and split.

    Attributes:
        n_entries, n_molecules, n_conformers: how many; molecules are counted by connectivity.
        n_energies, n_forces: how many of the entries have each.
        energy, forces: sums of the entries' Gram matrices over the used features and the residual,
            ``shape=(n_used + 1, n_used + 1)``.
        energy_noise, forces_noise: the same sums with the weight of every residual squared: the covariance of the
            slope of the loss where residuals have independent errors of unit variance.
        sum_squared_weights: Σ_i Σ_c w_c² over the entries with energies; the number of entries over that of conformers
            in each, where conformers have equal weights.
    """

    n_entries: int
    n_molecules: int
    n_conformers: int
    n_energies: int
    n_forces: int
    energy: torch.Tensor
    forces: torch.Tensor
    energy_noise: torch.Tensor
    forces_noise: torch.Tensor
    sum_squared_weights: float


@dataclasses.dataclass(frozen=True)
class FoldStatistics:
    """The sums over the entries of one source and fold, whether they train or validate.

    Attributes:
        n_energies, n_forces: how many of them have each.
        energy, forces: see ``GroupStatistics``.
    """

    n_energies: int
    n_forces: int
    energy: torch.Tensor
    forces: torch.Tensor


@dataclasses.dataclass(frozen=True)
class Statistics:
    """All groups, and the features that the data exercise.

    Attributes:
        linearization: the layout of φ and its reference values.
        features: those that are used, ``shape=(n_used,)`` int64, ascending.
        groups: by (source, split).
        folds: by (source, fold); none where nothing was dealt out.
        exercise: by split and type, for each row of parameters the number of molecules and of their conformers that
            feel it, ``shape=(n_rows, 2)`` int64; of training and validation.
        splits: the split of each mapped SMILES in the data.
        n_molecules: by split; molecules are counted by connectivity, over all sources.
        fingerprint: of the data, parameters and settings.
        n_ranks, seconds: how many processes made the pass, and how long it took.
        peak_memory: [MB] the largest of any rank.
        is_reused: whether they were read from the cache.
    """

    linearization: Linearization
    features: torch.Tensor
    groups: dict[tuple[str, str], GroupStatistics]
    folds: dict[tuple[str, int], FoldStatistics]
    exercise: dict[str, dict[str, torch.Tensor]]
    splits: dict[str, str]
    n_molecules: dict[str, int]
    fingerprint: str
    n_ranks: int
    seconds: float
    peak_memory: float
    is_reused: bool


def list_folds(statistics: Statistics) -> list[int]:
    """The folds that have entries."""
    return sorted({number for (_, number), fold in statistics.folds.items() if fold.n_energies + fold.n_forces})


def merge_validation(statistics: Statistics) -> Statistics:
    """The statistics with the validation molecules among those that train: where nothing needs them for itself."""
    groups = {name: group for name, group in statistics.groups.items() if name[1] == "test"}
    for source in sorted({source for source, _ in statistics.groups}):
        parts = [
            statistics.groups[source, split]
            for split in ("train", "validation")
            if (source, split) in statistics.groups
        ]
        if parts:
            sums = {
                field.name: sum((getattr(part, field.name) for part in parts[1:]), getattr(parts[0], field.name))
                for field in dataclasses.fields(GroupStatistics)
            }
            groups[source, "train"] = GroupStatistics(**sums)
    train, validation = (statistics.exercise.get(split, {}) for split in ("train", "validation"))
    n_molecules = dict(statistics.n_molecules)
    n_molecules["train"] += n_molecules["validation"]
    return dataclasses.replace(
        statistics,
        groups=groups,
        exercise={"train": {type_: counts + validation.get(type_, 0) for type_, counts in train.items()}},
        splits={smiles: "test" if split == "test" else "train" for smiles, split in statistics.splits.items()},
        n_molecules=n_molecules | {"validation": 0},
    )


def save_statistics(path: str | os.PathLike, statistics: Statistics) -> None:
    """Writes ``path`` and, last, its checksum beside it; without that the file does not count."""
    path = pathlib.Path(path)
    plain = {
        "vdw_pairs": statistics.linearization.vdw_pairs,
        "features": statistics.features,
        "groups": [[*name, dataclasses.asdict(group)] for name, group in statistics.groups.items()],
        "folds": [[*name, dataclasses.asdict(fold)] for name, fold in statistics.folds.items()],
        "exercise": statistics.exercise,
        "splits": statistics.splits,
        "n_molecules": statistics.n_molecules,
        "n_ranks": statistics.n_ranks,
        "seconds": statistics.seconds,
        "peak_memory": statistics.peak_memory,
    }
    with replace_atomically(path) as beside:
        write_tensors(plain, beside)
        digest = compute_content_hash([beside])
    with replace_atomically(_get_checksum_path(path)) as beside:
        beside.write_text(digest + "\n")


def load_statistics(path: str | os.PathLike, force_field: TensorForceField, is_reused: bool) -> Statistics | None:
    """Reads what :func:`save_statistics` wrote; None where there is nothing, or anything but what was written.

    Args:
        path: named by the fingerprint.
        force_field: the reference, which the fingerprint covers.
        is_reused: what to say of the origin.
    """
    path = pathlib.Path(path)
    checksum = _get_checksum_path(path)
    if not (path.is_file() and checksum.is_file() and compute_content_hash([path]) == checksum.read_text().strip()):
        return None
    plain = read_tensors(path)
    return Statistics(
        linearization=Linearization(force_field, plain.pop("vdw_pairs")),
        groups={(source, split): GroupStatistics(**group) for source, split, group in plain.pop("groups")},
        folds={(source, fold): FoldStatistics(**sums) for source, fold, sums in plain.pop("folds")},
        fingerprint=path.stem,
        is_reused=is_reused,
        **plain,
    )


def _get_checksum_path(path: pathlib.Path) -> pathlib.Path:
    return path.with_suffix(".sha256")
