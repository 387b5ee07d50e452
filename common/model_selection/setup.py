"""A fit that is set up: from what is asked for and what the pass found to losses with weights and priors."""

import collections.abc
import dataclasses

from common.fitting.objective import Objective, build_objective
from common.fitting.priors import build_prior
from common.fitting.source_weights import SourceWeights
from common.forcefields.finer_rows import extend_values, find_parent_rows
from common.forcefields.tensors import ParameterizedMolecules, TensorForceField
from common.forcefields.trainable import Trainable, TrainedColumns, build_trainable
from common.model_selection.prior_choice import Criterion, PriorChoice, choose_prior
from common.model_selection.source_evidence import weigh_sources
from common.sufficient_statistics.statistics import Statistics, list_folds, merge_validation


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a fit is asked to be.

    Attributes:
        trained: how each column is trained.
        include, exclude: by type the only SMIRKS to train, and those that stay.
        force_weight: [Angstrom²] of the mean squared force error.
        source_weights: by source; others 1.
        weighs_sources: whether sources are weighted by what the fit leaves of each, instead.
        criterion: what the strengths of the priors are chosen by; None: ``strength``.
        strength: of all priors [kcal²/mol²], without criterion.
        may_do_without: whether there is no prior where so few molecules train that none can be left out.
        centre: whose values the priors draw to; None: the start.
    """

    trained: TrainedColumns
    include: collections.abc.Mapping[str, collections.abc.Sequence[str]] = dataclasses.field(default_factory=dict)
    exclude: collections.abc.Mapping[str, collections.abc.Sequence[str]] = dataclasses.field(default_factory=dict)
    force_weight: float = 1.0
    source_weights: SourceWeights = dataclasses.field(default_factory=dict)
    weighs_sources: bool = False
    criterion: Criterion | None = None
    strength: float = 0.0
    may_do_without: bool = False
    centre: TensorForceField | None = None


@dataclasses.dataclass(frozen=True)
class SetUp:
    """A fit that is set up.

    Attributes:
        plan: what was asked for.
        molecules: what the fit starts from.
        statistics: of the data; validation molecules are among those that train where nothing is validated on them.
        trainable: which values are trained.
        weights: of the sources.
        objectives: the loss on each split that has entries; priors are added to that of "train".
        choice: how the strengths of the priors were chosen; None where they were given.
    """

    plan: Plan
    molecules: ParameterizedMolecules
    statistics: Statistics
    trainable: Trainable
    weights: SourceWeights
    objectives: dict[str, Objective]
    choice: PriorChoice | None

    @property
    def start(self) -> TensorForceField:
        """The starting force field, within the limits."""
        return self.trainable.to_force_field(self.trainable.to_values(self.molecules.force_field))


def set_up(plan: Plan, molecules: ParameterizedMolecules, statistics: Statistics) -> SetUp:
    """Sets a fit up: weighs the sources and chooses the strengths of the priors where that is asked for.

    Args:
        plan: what is asked for.
        molecules: what the fit starts from.
        statistics: of the data, by the pass.

    Raises:
        ValueError: no training data are left, or what the criterion needs is not there.
    """
    criterion = find_criterion(plan, statistics)
    if criterion in ("cross-validation", "evidence"):
        statistics = merge_validation(statistics)  # nothing is validated on them: they may train
    trainable = build_trainable(molecules.force_field, plan.trained, plan.include, plan.exclude)

    def build(weights: SourceWeights) -> tuple[dict[str, Objective], PriorChoice | None]:
        objectives = build_objectives(plan, statistics, molecules, trainable, weights)
        return set_prior(plan, criterion, statistics, objectives, trainable, weights)

    weights = plan.source_weights
    if plan.weighs_sources:
        weights = weigh_sources(statistics, lambda tried: build(tried)[0]["train"], trainable, plan.trained)
    objectives, choice = build(weights)
    return SetUp(plan, molecules, statistics, trainable, weights, objectives, choice)


def find_criterion(plan: Plan, statistics: Statistics) -> Criterion | None:
    """What the strengths of the priors are chosen by; nothing, where there are no two molecules and a fit may go on."""
    if plan.may_do_without and plan.criterion is not None and len(list_folds(statistics)) < 2:
        return None
    return plan.criterion


def build_objectives(
    plan: Plan,
    statistics: Statistics,
    molecules: ParameterizedMolecules,
    trainable: Trainable,
    weights: SourceWeights,
    parents: collections.abc.Mapping[tuple[str, str], str] | None = None,
) -> dict[str, Objective]:
    """The loss on each split that has entries, with the prior, of strength 0, on the training split.

    Args:
        plan, statistics, molecules, trainable: of the fit.
        weights: of the sources.
        parents: by section and SMIRKS of types that were split off others, the SMIRKS of these.

    Raises:
        ValueError: no training data are left.
    """
    objectives = {
        split: objective
        for split in statistics.n_molecules
        if (objective := build_objective(statistics, split, plan.force_weight, weights)) is not None
    }
    if "train" not in objectives:
        raise ValueError("no training data is left: check source_weights and the split fractions")
    centre = molecules.force_field if plan.centre is None else plan.centre
    centre = extend_values(molecules.force_field, centre) if parents else centre
    rows = find_parent_rows(molecules.force_field, parents or {})
    prior = build_prior(trainable, plan.trained, statistics.linearization, statistics.features, centre, rows)
    return objectives | {"train": dataclasses.replace(objectives["train"], prior=prior)}


def set_prior(
    plan: Plan,
    criterion: Criterion | None,
    statistics: Statistics,
    objectives: collections.abc.Mapping[str, Objective],
    trainable: Trainable,
    weights: SourceWeights,
) -> tuple[dict[str, Objective], PriorChoice | None]:
    """The losses with the strengths that are asked for, or those that the data choose, and how they were chosen."""
    train = objectives["train"]
    if criterion is None:
        return {**objectives, "train": train.with_strengths(plan.strength)}, None
    choice = choose_prior(criterion, statistics, objectives, trainable, plan.trained, weights)
    return {**objectives, "train": train.with_strengths(choice.best.strengths)}, choice
