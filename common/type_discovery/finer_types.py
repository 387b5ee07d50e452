"""From a fit that is set up to a force field with finer types: the search, and its result kept by fingerprint."""

import collections.abc
import dataclasses
import json
import os
import pathlib
import typing

import numpy

from common.data.splits import assign_folds
from common.files.fingerprints import compute_fingerprint
from common.files.plain import write_json
from common.fitting.objective import Objective
from common.fitting.quadratic_program import RIDGE, build_valence_problem
from common.forcefields.parameter_file import save_parameters
from common.forcefields.tensors import ParameterizedMolecules, ValenceParameterMap
from common.forcefields.trainable import Trainable, TrainedColumns
from common.sufficient_statistics.statistics import Statistics
from common.type_discovery.discovery import Start, discover, list_types, name_types
from common.type_discovery.leaf_statistics import LossSettings, compute_leaf_statistics
from common.type_discovery.leaves import find_leaves
from common.type_discovery.refinement import Split, describe_splits, find_parents, refine

FORMAT = 2
"""Version of the search and its files; part of the fingerprint."""


@dataclasses.dataclass(frozen=True)
class SearchSettings:
    """What the result depends on besides data and fit.

    Attributes:
        max_splits: at most so many.
        n_folds, split_seed: of cross-validation, as the pass dealt the molecules out.
        min_molecules: that must have the child, and the parent without it.
    """

    max_splits: int
    n_folds: int
    split_seed: int
    min_molecules: int = 3


@dataclasses.dataclass(frozen=True)
class FinerTypes:
    """What the search found.

    Attributes:
        path: the parameters file with the finer types; that of the start where nothing was split.
        splits: in the order in which they were accepted.
        strength: of the prior that holds a child to its parent [kcal²/mol²].
        losses: mean loss on molecules left out after 0, 1, 2, ... splits, as far as the search went, by strength.
        loss_train: with all molecules and priors, before the first split.
        examples: for each split a molecule and the atoms, counted from 0, that have the child.
    """

    path: pathlib.Path
    splits: tuple[Split, ...]
    strength: float
    losses: dict[str, list[float]]
    loss_train: float
    examples: tuple[tuple[str, tuple[int, ...]], ...]

    @property
    def parents(self) -> dict[tuple[str, str], str]:
        """By section and SMIRKS of a child the SMIRKS of its parent."""
        return find_parents(self.splits)

    def to_plain(self) -> dict[str, typing.Any]:
        """For JSON."""
        return {
            "parameters": str(self.path.resolve()),
            "strength": self.strength,
            "losses_left_out": self.losses,
            "loss_train": self.loss_train,
            "splits": [
                {**dataclasses.asdict(split), "molecule": smiles, "atoms": list(atoms)}
                for split, (smiles, atoms) in zip(self.splits, self.examples, strict=True)
            ],
        }


def find_finer_types(
    data: str | os.PathLike,
    cache: pathlib.Path,
    molecules: ParameterizedMolecules,
    statistics: Statistics,
    objective: Objective,
    trainable: Trainable,
    trained: TrainedColumns,
    loss: LossSettings,
    settings: SearchSettings,
    n_workers: int = 1,
) -> FinerTypes:
    """Splits types for as long as the molecules left out gain by it; reads the result where it was found before.

    Args:
        data: folder of data sets.
        cache: folder of the results.
        molecules: what the fit starts from, read from a file.
        statistics: of the fit; the molecules that train are split for.
        objective: the training loss, with the priors that hold what is trained.
        trainable, trained: what is trained.
        loss: as the objective was built with.
        settings: of the search.
        n_workers: processes of the pass over the data and of the search.

    Raises:
        ValueError: the data are not those of the statistics.
    """
    strengths = {".".join(kind): value for kind, value in objective.prior_strengths.items()}
    names = [FORMAT, statistics.fingerprint, strengths, dataclasses.asdict(settings), trainable.names]
    widths = {type_: {name: column.prior for name, column in of.items()} for type_, of in trained.items()}
    weights = {source: list(one) if isinstance(one, tuple) else one for source, one in loss.source_weights.items()}
    fingerprint = compute_fingerprint([*names, widths, loss.force_weight, weights, sorted(statistics.splits.items())])
    record, path = (cache / f"types-{fingerprint}.{suffix}" for suffix in ("json", "pt"))
    if not record.is_file():
        found = _search(data, path, molecules, statistics, objective, trainable, trained, loss, settings, n_workers)
        write_json(record, found.to_plain())
    plain = json.loads(record.read_text())
    records = [dict(one) for one in plain["splits"]]
    examples = tuple((one.pop("molecule"), tuple(one.pop("atoms"))) for one in records)
    assert molecules.origin is not None
    return FinerTypes(
        path=path if records else molecules.origin.path,
        splits=tuple(Split(**one) for one in records),
        strength=plain["strength"],
        losses=plain["losses_left_out"],
        loss_train=plain["loss_train"],
        examples=examples,
    )


def _search(
    data: str | os.PathLike,
    path: pathlib.Path,
    molecules: ParameterizedMolecules,
    statistics: Statistics,
    objective: Objective,
    trainable: Trainable,
    trained: TrainedColumns,
    loss: LossSettings,
    settings: SearchSettings,
    n_workers: int,
) -> FinerTypes:
    smiles = sorted(one for one, split in statistics.splits.items() if split == "train")
    folds = assign_folds(smiles, settings.n_folds, settings.split_seed)
    leaves = find_leaves(molecules, smiles)
    leaf_statistics = compute_leaf_statistics(data, leaves.molecules, folds, settings.n_folds, loss, n_workers)
    start = build_start(objective, trainable, trained)
    found = discover(
        leaves, leaf_statistics, start, settings.max_splits, min_molecules=settings.min_molecules, n_workers=n_workers
    )
    names = name_types(leaves, list_types(leaves, leaf_statistics, start, settings.min_molecules))
    splits = tuple(describe_splits(found.steps, leaves, names))
    finer = refine(molecules, splits)
    if splits:
        save_parameters(path, finer)
    return FinerTypes(
        path=path,
        splits=splits,
        strength=found.strength,
        losses={f"{strength:g}": losses.tolist() for strength, losses in found.losses.items()},
        loss_train=float(found.losses_train[0]),
        examples=tuple(_find_example(finer, split, smiles) for split in splits),
    )


def build_start(objective: Objective, trainable: Trainable, trained: TrainedColumns) -> Start:
    """The fit that the search starts from: what varies, and the priors on it.

    Args:
        objective: the training loss, with priors.
        trainable, trained: what is trained.
    """
    problem = build_valence_problem(trainable, trained, objective.linearization, objective.features)
    form = objective.with_strengths(0.0).combine_forms()
    prior = objective.combine_forms().matrix.numpy() - form.matrix.numpy()
    curvature = form.curvature.diagonal().numpy()
    chosen = numpy.array([i for i in problem.variables if curvature[i] > 0.0 or prior[i, i] > 0.0], dtype=numpy.int64)
    prior = prior[numpy.ix_([*chosen, -1], [*chosen, -1])]
    prior[numpy.arange(len(chosen)), numpy.arange(len(chosen))] += RIDGE * curvature[chosen]
    widths = {
        type_: {name: column.prior for name, column in columns.items() if column.prior is not None}
        for type_, columns in trained.items()
    }
    return Start(prior, objective.features.numpy()[chosen], widths)


def _find_example(
    finer: ParameterizedMolecules, split: Split, smiles: collections.abc.Iterable[str]
) -> tuple[str, tuple[int, ...]]:
    """The smallest training molecule that has the child of a split, and the atoms."""
    keys = finer.force_field.potentials_by_type[split.type].parameter_keys
    rows = {row for row, key in enumerate(keys) if key.id == split.child}
    for one in sorted(smiles, key=lambda one: (finer.topologies[one].n_atoms, one)):
        map_ = finer.topologies[one].parameters.get(split.type)
        if isinstance(map_, ValenceParameterMap):
            pairs = zip(map_.particle_idxs.tolist(), map_.parameter_idxs.tolist(), strict=True)
            found = next((particles for particles, row in pairs if row in rows), None)
            if found is not None:
                return one, tuple(found)
    return "", ()  # all that it had went to children of its own
