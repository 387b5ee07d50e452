"""A fit that is set up, set up anew with finer types."""

import collections.abc
import dataclasses
import pathlib

from common.fitting.priors import is_of_children
from common.forcefields.parameter_file import load_parameters
from common.forcefields.trainable import build_trainable
from common.model_selection.prior_choice import choose_prior
from common.model_selection.setup import SetUp, build_objectives
from common.sufficient_statistics.accumulation import compute_statistics
from common.sufficient_statistics.settings import PassMachine, PassSettings
from common.sufficient_statistics.statistics import merge_validation
from common.type_discovery.finer_types import FinerTypes, SearchSettings, find_finer_types
from common.type_discovery.leaf_statistics import LossSettings


def find_types(
    setup: SetUp, data: pathlib.Path, cache: pathlib.Path, settings: PassSettings, max_splits: int, n_workers: int
) -> FinerTypes:
    """The types that are worth splitting; where the fit has no priors, with those that cross-validation chooses.

    Args:
        setup: the fit without splits.
        data: folder of data sets.
        cache: folder of statistics and of what searches found.
        settings: of the pass that the statistics come from.
        max_splits: at most so many.
        n_workers: processes.
    """
    plan, train = setup.plan, setup.objectives["train"]
    if not train.has_prior:
        choice = choose_prior(
            "cross-validation", setup.statistics, setup.objectives, setup.trainable, plan.trained, setup.weights
        )
        train = train.with_strengths(choice.best.strengths)
    return find_finer_types(
        data,
        cache,
        setup.molecules,
        setup.statistics,
        train,
        setup.trainable,
        plan.trained,
        LossSettings(plan.force_weight, setup.weights, settings.conformers),
        SearchSettings(max_splits, settings.split.n_folds, settings.split.split_seed),
        n_workers,
    )


def take_types(
    setup: SetUp,
    types: FinerTypes,
    splits: collections.abc.Mapping[str, str],
    data: pathlib.Path,
    cache: pathlib.Path,
    settings: PassSettings,
    machine: PassMachine,
) -> SetUp:
    """The fit set up anew with the finer types; no molecule changes sides, and children are held to their parents.

    Args:
        setup: the fit without splits.
        types: what the search found.
        splits: the split of each mapped SMILES, as the pass had them.
        data, cache: folders of the data and of statistics.
        settings, machine: of the pass.
    """
    plan = setup.plan
    molecules = load_parameters(types.path)
    statistics = compute_statistics(data, types.path, cache, dataclasses.replace(settings, assigned=splits), machine)
    assert statistics is not None  # there are no other ranks
    if "validation" not in setup.objectives:
        statistics = merge_validation(statistics)
    include = {
        type_: (*smirks, *(child for (own, child) in types.parents if own == type_))
        for type_, smirks in plan.include.items()
    }
    trainable = build_trainable(molecules.force_field, plan.trained, include, plan.exclude)
    objectives = build_objectives(plan, statistics, molecules, trainable, setup.weights, types.parents)
    train = objectives["train"]
    assert train.prior is not None
    children = {kind: types.strength for kind in train.prior.kinds if is_of_children(kind)}
    objectives["train"] = train.with_strengths(dict(setup.objectives["train"].prior_strengths) | children)
    return dataclasses.replace(
        setup, molecules=molecules, statistics=statistics, trainable=trainable, objectives=objectives
    )
