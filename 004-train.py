r"""Fit the force field: one pass over the data, then every epoch is free.

Reads   outputs/data-clustered/<source>/ and outputs/openff-2.1.0.pt
Writes  outputs/statistics/          what the pass found out, reused as long as data and parameters stay
        outputs/runs/<run>/          config.json, splits.json, TensorBoard events, checkpoints/, force-field.pt and
                                     .offxml, optimum.offxml, best.offxml (the epoch of Adam with the least
                                     validation loss), parameters.csv, types.csv (types that were split),
                                     summary.json; a run is called after its start
                                     and what sets it apart from the first one there

One machine, all processors:         python 004-train.py
Several nodes, the same on each:     torchrun --nnodes 2 --nproc-per-node 16 --rdzv-backend c10d \
                                         --rdzv-endpoint HOST:PORT 004-train.py
Go on with an interrupted run:       python 004-train.py --resume outputs/runs/<run>
Give a run of Adam more epochs:      python 004-train.py --resume outputs/runs/<run> --n-epochs 5000
Settings of configs/004-train/:      python 004-train.py --preset exact
Watch it:                            tensorboard --logdir outputs/runs

The pass takes 0.02 to 0.12 ms a conformer and processor, small molecules to large; an epoch takes about a millisecond
and the exact solve less than a second, whatever the size of the data. Edit the hyperparameters below and run again,
or give them as options (--help): only changes of the data, the parameters and the settings under "the pass" need a new
pass.
"""

import collections.abc
import dataclasses
import math
import pathlib
import time
import typing

import numpy

from common.analysis.tensorboard import log_results
from common.data.dataset import compute_data_fingerprint
from common.data.splits import SPLITS, SplitSettings, check_fractions
from common.data.weighting import ConformerSelection
from common.files.plain import write_json, write_table
from common.fitting.adam import begin, run_epochs
from common.fitting.exact_fit import fit_exact, fit_valence, search_all
from common.fitting.methods import Fit, run_adam, run_exact, run_lbfgs
from common.fitting.model_card import describe_data, write_model_card
from common.fitting.objective import Objective, build_objective
from common.fitting.outputs import compute_losses, save_force_field, save_unconstrained, summarise
from common.fitting.parameter_table import write_parameter_table
from common.fitting.priors import build_prior, is_of_children
from common.fitting.source_weights import SourceWeights, get_part_weights
from common.fitting.uncertainty import compute_uncertainty
from common.forcefields.parameter_file import load_force_field, load_parameters, read_content_hash
from common.forcefields.tensors import ParameterizedMolecules, TensorForceField
from common.forcefields.trainable import Column, Trainable, build_trainable, check_columns
from common.model_selection.physical_checks import check_values
from common.model_selection.prior_choice import Criterion, PriorChoice, choose_prior
from common.model_selection.source_evidence import weigh_sources
from common.model_selection.split_checks import check_splits
from common.model_selection.split_repeats import describe_repeats, summarise_repeats
from common.processes.devices import check_device
from common.processes.memory import format_peak_memory
from common.processes.stage import remember_run, run_stage
from common.processes.threads import count_available_cpus
from common.processes.torchrun import is_under_torchrun
from common.reporting.console import suggest_command
from common.runs.checkpoints import Checkpoint, load_checkpoint
from common.runs.folder import SUMMARY, create_run_folder, read_config, write_config
from common.runs.names import name_run, read_first_settings
from common.runs.options import read_settings
from common.runs.settings import (
    AtLeastOne,
    Contents,
    Duration,
    Fraction,
    Group,
    Machine,
    NonNegative,
    Positive,
    Share,
    StageSettings,
    check_contents,
    fingerprint_settings,
    select_groups,
    to_plain,
)
from common.smirnoff.offxml import read_ids
from common.sufficient_statistics.accumulation import compute_statistics
from common.sufficient_statistics.settings import PassMachine, PassSettings
from common.sufficient_statistics.statistics import Statistics, list_folds, merge_validation
from common.sufficient_statistics.visited_values import measure_visited
from common.type_discovery.finer_types import (
    FinerTypes,
    SearchSettings,
    extend_values,
    find_finer_types,
    find_parent_rows,
)
from common.type_discovery.leaf_statistics import LossSettings

OUTPUTS = pathlib.Path("outputs")


@dataclasses.dataclass(frozen=True)
class Settings(StageSettings):
    """The hyperparameters of the fit; each may be given as an option, too (--help)."""

    # --- what is trained ---------------------------------------------------------------------------------------------
    # By type the trained columns. scale: the optimiser sees value * scale; lower, upper: limits; prior: width of the
    # Gaussian prior (how far a value may well lie from its start). Units: kcal/mol, Angstrom, radian. Take a # away to
    # train more.
    trained: dict[str, dict[str, Column]] = dataclasses.field(
        default_factory=lambda: {
            "Bonds": {
                "k": Column(scale=1 / 100, lower=0.0, prior=100.0),
                "length": Column(lower=0.0, upper=5.0, prior=0.05),
            },
            "Angles": {
                "k": Column(scale=1 / 100, lower=0.0, prior=50.0),
                "angle": Column(lower=0.0, upper=math.pi, prior=0.1),
            },
            "ProperTorsions": {"k": Column(prior=1.0)},
            # "ImproperTorsions": {"k": Column(prior=2.0)},
            # "vdW": {
            #     "epsilon": Column(scale=10.0, lower=0.0, prior=0.05),
            #     "sigma": Column(lower=0.5, upper=6.0, prior=0.1),
            # },
        }
    )
    include: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)  # by type, the only SMIRKS to train
    exclude: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)  # by type, SMIRKS that stay

    # Types may be split where the molecules left out gain by it; each split is a SMIRKS more in the result.
    discover_types: NonNegative[int] = 0  # at most so many splits, by cross-validation; 0: the types stay as they are

    # --- how ---------------------------------------------------------------------------------------------------------
    method: typing.Literal["adam", "lbfgs", "exact"] = "adam"  # "exact": the global optimum, by a solve
    n_epochs: Duration[AtLeastOne[int]] = 1000  # full-batch steps of Adam; most iterations of L-BFGS
    learning_rate: Share[Positive[float]] = 0.01  # of Adam with amsgrad, in units of the scaled values
    force_weight: NonNegative[float] = 1.0  # [Angstrom²] of the mean squared force error against the energy's
    source_weights: dict[str, NonNegative[float]] = dataclasses.field(default_factory=dict)  # by source; others: 1
    source_evidence: bool = False  # weigh energies and forces of each source by the inverse of its residual variance
    # of the priors: a number for all [kcal²/mol²]; "cross-validation" or "evidence": one for each kind of parameter,
    # chosen by the data, and validation molecules train as well; "validation": the best on these, for all.
    # None: "cross-validation" with "exact", else 0
    prior_strength: NonNegative[float] | Criterion | None = None
    prior_centre: Contents[pathlib.Path | None] = None  # .pt whose force field the priors draw to; None: the start
    checkpoint_interval: Machine[AtLeastOne[int]] = 100  # [epochs] between saved force fields

    # --- the pass: a change here needs a new one ---------------------------------------------------------------------
    validation_fraction: Fraction[float] = 0.1  # of the molecules
    test_fraction: Fraction[float] = 0.1  # of the molecules
    split_seed: NonNegative[int] = 0  # another seed, another split
    split_seeds: Machine[tuple[int, ...]] = ()  # fit again on these splits, types as they are: spread of test errors
    n_folds: NonNegative[int] = 5  # of cross-validation, by molecule; 0: none
    stratify: bool = False  # each source, or set of sources that share molecules, gives its share to each split
    keep_exercised: bool = True  # no molecule validates or tests that is the only one with some parameter
    energy_ceiling: Positive[float] | None = None  # [kcal/mol] above the lowest of an entry (espaloma: 62.75)
    boltzmann_temperature: Positive[float] | None = None  # [K] weights conformers by exp(-ΔE/RT); None: all alike

    # --- where and with what -----------------------------------------------------------------------------------------
    data: Contents[pathlib.Path] = OUTPUTS / "data-clustered"  # folder of data sets
    parameters: Contents[pathlib.Path] = OUTPUTS / "openff-2.1.0.pt"  # what 002 wrote
    output: Machine[pathlib.Path] = OUTPUTS / "runs"  # folder of runs
    statistics: Machine[pathlib.Path | None] = None  # folder of statistics; None: "statistics" beside the runs
    n_processes: Machine[AtLeastOne[int] | None] = None  # ranks of the pass; None: as many as there is work for
    device: Machine[str] = "cpu"  # "cuda" where there is a GPU; use one process for each
    resume: Machine[pathlib.Path | None] = None  # go on with this run; its settings hold, but more epochs may be given

    def check(self) -> None:
        check_columns(self.trained)
        for names in (self.include, self.exclude):
            check_columns(dict.fromkeys(names, ()), may_be_empty=True)
        check_fractions(self.validation_fraction, self.test_fraction)
        if self.criterion == "validation" and self.validation_fraction == 0.0:
            raise ValueError("prior_strength = 'validation' needs validation data: raise validation_fraction")
        if self.criterion in ("cross-validation", "evidence") and self.n_folds < 2:
            raise ValueError(f"prior_strength = {self.criterion!r} needs folds: raise n_folds, or give a number")
        if self.discover_types and self.n_folds < 2:
            raise ValueError("discover_types needs folds: raise n_folds")
        if (self.discover_types or self.split_seeds) and is_under_torchrun():
            raise ValueError("discover_types and split_seeds work on one machine: start this stage without torchrun")
        if self.split_seeds and self.test_fraction == 0.0:
            raise ValueError("split_seeds compares errors of test molecules: raise test_fraction")
        if self.source_evidence and self.source_weights:
            raise ValueError("source_evidence and source_weights exclude each other: give one of them")
        check_device(self.device)

    @property
    def criterion(self) -> Criterion | None:
        """What the strengths of the priors are chosen by; None where a number is given."""
        if self.prior_strength is None:
            columns = [column for type_, of in self.trained.items() if type_ != "vdW" for column in of.values()]
            has_widths = any(column.prior is not None for column in columns)
            return "cross-validation" if self.method == "exact" and has_widths else None
        return None if isinstance(self.prior_strength, float) else self.prior_strength

    @property
    def pass_settings(self) -> PassSettings:
        """What the statistics depend on."""
        return PassSettings(
            ConformerSelection(self.energy_ceiling, self.boltzmann_temperature),
            SplitSettings(
                self.validation_fraction,
                self.test_fraction,
                self.split_seed,
                self.keep_exercised,
                self.n_folds,
                self.stratify,
            ),
            with_vdw="vdW" in self.trained,
        )


def name_contents(settings: Settings) -> dict[str, str]:
    """What names the contents of the files that count."""
    centre = settings.prior_centre
    return {
        "data": compute_data_fingerprint(settings.data),
        "parameters": read_content_hash(settings.parameters),
        "prior_centre": "" if centre is None else read_content_hash(centre),
    }


def build_objectives(
    settings: Settings,
    statistics: Statistics,
    molecules: ParameterizedMolecules,
    trainable: Trainable,
    weights: SourceWeights,
    parents: collections.abc.Mapping[tuple[str, str], str] | None = None,
) -> dict[str, Objective]:
    """The loss on each split that has entries, with the prior, of strength 0, on the training split.

    Args:
        settings, statistics, molecules, trainable: of the fit.
        weights: of the sources.
        parents: by section and SMIRKS of types that were split off others, the SMIRKS of these.
    """
    objectives = {
        split: objective
        for split in SPLITS
        if (objective := build_objective(statistics, split, settings.force_weight, weights)) is not None
    }
    if "train" not in objectives:
        raise ValueError("no training data is left: check source_weights and the split fractions")
    centre = molecules.force_field if settings.prior_centre is None else load_force_field(settings.prior_centre)
    centre = extend_values(molecules.force_field, centre) if parents else centre
    rows = find_parent_rows(molecules.force_field, parents or {})
    prior = build_prior(trainable, settings.trained, statistics.linearization, statistics.features, centre, rows)
    return objectives | {"train": dataclasses.replace(objectives["train"], prior=prior)}


def find_criterion(settings: Settings, statistics: Statistics) -> Criterion | None:
    """What the strengths of the priors are chosen by; by default nothing, where there are no two molecules."""
    if settings.prior_strength is None and settings.criterion is not None and len(list_folds(statistics)) < 2:
        print("note: nothing can be left out of so few molecules, no prior is used; see --prior-strength")
        return None
    return settings.criterion


def set_prior(
    settings: Settings,
    criterion: Criterion | None,
    statistics: Statistics,
    objectives: dict[str, Objective],
    trainable: Trainable,
    weights: SourceWeights,
) -> PriorChoice | None:
    """Gives the training loss the strengths that are asked for, or those that the data choose: how they were chosen."""
    train = objectives["train"]
    if criterion is None:
        objectives["train"] = train.with_strengths(float(settings.prior_strength or 0.0))
        return None
    choice = choose_prior(criterion, statistics, objectives, trainable, settings.trained, weights)
    objectives["train"] = train.with_strengths(choice.best.strengths)
    return choice


def print_choice(choice: PriorChoice, seconds: float) -> None:
    """How the strengths of the priors were chosen."""
    print(
        f"priors by {choice.criterion}: {len(choice.trials)} choices in {seconds:.1f} s, "
        f"{choice.best_shared.value:.6g} with one strength for all, {choice.best.value:.6g} with the best for each:"
    )
    for kind, strength in choice.best.strengths.items():
        is_open = kind in choice.open_ends
        print(f"  {' '.join(kind):20} {strength:8.1e}{'  at the end of the grid' if is_open else ''}")


def find_source_weights(
    settings: Settings,
    criterion: Criterion | None,
    statistics: Statistics,
    molecules: ParameterizedMolecules,
    trainable: Trainable,
) -> SourceWeights:
    """The weights that are asked for, or those that the residuals of the fit itself say."""
    if not settings.source_evidence:
        return settings.source_weights

    def build(weights: SourceWeights) -> Objective:
        objectives = build_objectives(settings, statistics, molecules, trainable, weights)
        set_prior(settings, criterion, statistics, objectives, trainable, weights)
        return objectives["train"]

    found = weigh_sources(statistics, build, trainable, settings.trained)
    for source, weight in found.items():
        print(f"source {source}: its energies weigh {weight.energy:.3g}, its forces {weight.forces:.3g}")
    return found


def find_types(
    settings: Settings,
    cache: pathlib.Path,
    molecules: ParameterizedMolecules,
    statistics: Statistics,
    objectives: dict[str, Objective],
    trainable: Trainable,
    weights: SourceWeights,
) -> FinerTypes:
    """The types that are worth splitting; where the fit has no priors, with those that cross-validation chooses."""
    start = time.perf_counter()
    train = objectives["train"]
    if not train.has_prior:
        choice = choose_prior("cross-validation", statistics, objectives, trainable, settings.trained, weights)
        train = train.with_strengths(choice.best.strengths)
    loss = LossSettings(settings.force_weight, weights, settings.pass_settings.conformers)
    found = find_finer_types(
        settings.data,
        cache,
        molecules,
        statistics,
        train,
        trainable,
        settings.trained,
        loss,
        SearchSettings(settings.discover_types, settings.n_folds, settings.split_seed),
        settings.n_processes or count_available_cpus(),
    )
    losses = found.losses[f"{found.strength:g}"]
    print(
        f"types: {len(found.splits)} splits in {time.perf_counter() - start:.1f} s, loss on molecules left out "
        f"{losses[0]:.6g} -> {losses[len(found.splits)]:.6g}"
    )
    return found


def take_types(
    settings: Settings,
    cache: pathlib.Path,
    types: FinerTypes,
    splits: dict[str, str],
    objectives: dict[str, Objective],
    weights: SourceWeights,
) -> tuple[ParameterizedMolecules, Statistics, Trainable, dict[str, Objective]]:
    """The fit set up anew with the finer types; no molecule changes sides, and children are held to their parents."""
    molecules = load_parameters(types.path)
    pass_settings = dataclasses.replace(settings.pass_settings, assigned=splits)
    machine = PassMachine(settings.n_processes, settings.device)
    statistics = compute_statistics(settings.data, types.path, cache, pass_settings, machine)
    assert statistics is not None  # there are no other ranks
    if "validation" not in objectives:
        statistics = merge_validation(statistics)
    include = {
        type_: (*smirks, *(child for (own, child) in types.parents if own == type_))
        for type_, smirks in settings.include.items()
    }
    trainable = build_trainable(molecules.force_field, settings.trained, include, settings.exclude)
    strengths = dict(objectives["train"].prior_strengths)
    objectives = build_objectives(settings, statistics, molecules, trainable, weights, types.parents)
    prior = objectives["train"].prior
    assert prior is not None
    children = {kind: types.strength for kind in prior.kinds if is_of_children(kind)}
    objectives["train"] = objectives["train"].with_strengths(strengths | children)
    return molecules, statistics, trainable, objectives


def run_method(fit: Fit, settings: Settings, checkpoint: Checkpoint | None) -> TensorForceField:
    """The fitted force field."""
    if settings.method == "adam":
        return run_adam(fit, settings.learning_rate, settings.n_epochs, settings.checkpoint_interval, checkpoint)
    return run_exact(fit) if settings.method == "exact" else run_lbfgs(fit, settings.n_epochs)


def repeat_splits(settings: Settings, cache: pathlib.Path, molecules: ParameterizedMolecules) -> dict[str, typing.Any]:
    """The same fit on other splits, with the types as they are: a pass and a fit for each."""
    trainable = build_trainable(molecules.force_field, settings.trained, settings.include, settings.exclude)
    start = trainable.to_force_field(trainable.to_values(molecules.force_field))
    before, after = {}, {}
    for seed in settings.split_seeds:
        again = dataclasses.replace(settings, split_seed=seed)
        machine = PassMachine(settings.n_processes, settings.device)
        statistics = compute_statistics(settings.data, settings.parameters, cache, again.pass_settings, machine)
        assert statistics is not None  # there are no other ranks
        criterion = find_criterion(again, statistics)
        if criterion in ("cross-validation", "evidence"):
            statistics = merge_validation(statistics)
        weights = find_source_weights(again, criterion, statistics, molecules, trainable)
        objectives = build_objectives(again, statistics, molecules, trainable, weights)
        set_prior(again, criterion, statistics, objectives, trainable, weights)
        final = fit_again(again, objectives["train"], trainable, start)
        before[seed], after[seed] = (compute_losses(objectives, one) for one in (start, final))
    return summarise_repeats(before, after)


def fit_again(
    settings: Settings, objective: Objective, trainable: Trainable, start: TensorForceField
) -> TensorForceField:
    """A fit that leaves no files."""
    if settings.method == "exact":
        return fit_exact(objective, trainable, settings.trained, start).force_field
    if settings.method == "lbfgs":
        return trainable.to_force_field(search_all(objective, trainable, start, settings.n_epochs).values)
    beginning = begin(trainable.to_values(start))
    ends = run_epochs({"train": objective}, trainable, settings.learning_rate, [settings.n_epochs], beginning)
    return trainable.to_force_field(next(ends).values)


def log_for_tensorboard(
    fit: Fit,
    settings: Settings,
    statistics: Statistics,
    fields: dict[str, TensorForceField],
    summary: dict[str, typing.Any],
) -> None:
    """Hyperparameters, the table of errors and parity plots, beside the curves."""
    names = {"initial": "initial", "final": "fitted", "optimum": "optimum"}
    losses = {names[name]: compute_losses(fit.objectives, force_field) for name, force_field in fields.items()}
    candidates = {
        names[name]: dataclasses.replace(fit.molecules, force_field=fields[name]) for name in ("initial", "final")
    }
    used = to_plain(settings)
    if "prior" in summary:
        used |= {f"prior_strength/{kind}": value for kind, value in summary["prior_strengths"].items()}
    last_epoch = settings.n_epochs if settings.method == "adam" else 1
    log_results(
        fit.folder,
        used,
        statistics.splits,
        losses,
        settings.data,
        candidates,
        settings.pass_settings.conformers,
        last_epoch,
    )


def report_parameters(fit: Fit, weights: SourceWeights, statistics: Statistics, final: TensorForceField) -> int:
    """Writes parameters.csv; says and gives how many values the data do not determine."""
    names = fit.trainable.names
    widths = numpy.array([fit.trained[type_][name].prior or math.nan for type_, _, name in names], dtype=numpy.float64)
    objective = fit.objectives["train"]
    uncertainty = compute_uncertainty(statistics, objective, fit.trainable, final, widths, weights)
    path = fit.folder / "parameters.csv"
    write_parameter_table(path, fit.trainable, final, statistics, fit.molecules, widths, uncertainty)
    n_open = int((~uncertainty.is_determined).sum())
    print(f"{n_open} of {len(names)} trained values are not determined by the data, see {path}")
    return n_open


def open_run(settings: Settings, contents: dict[str, str]) -> tuple[pathlib.Path, Checkpoint | None]:
    """A new run folder, or that of the run to go on with and where it goes on; its config.json says what is asked now.

    Raises:
        FileNotFoundError, ValueError: the run cannot go on; nothing in it has changed then.
    """
    fingerprint = fingerprint_settings(settings, contents)
    folder = settings.resume
    if folder is None:
        named = select_groups(settings, Group.RESULT, Group.CONTENTS, Group.DURATION)
        name = name_run(settings.method, named, read_first_settings(settings.output), ("method", "trained"))
        folder, checkpoint = create_run_folder(settings.output, name), None
    else:
        checkpoint = load_checkpoint(folder, fingerprint)
        for path in (folder / SUMMARY, *folder.glob("events.*.results")):  # it has not ended any more
            path.unlink(missing_ok=True)
    write_config(folder, settings, contents)
    remember_run(folder)
    return folder, checkpoint


def has_ended(settings: Settings) -> bool:
    """Whether the run to go on with has done all its epochs, and ended."""
    if settings.resume is None or not (settings.resume / SUMMARY).is_file():
        return False
    done = read_config(settings.resume).get("n_epochs")
    return settings.method != "adam" or done == settings.n_epochs


def main() -> None:
    settings = read_settings(Settings)
    if has_ended(settings):
        print(f"{settings.resume}: this run has ended; more epochs may be given to a run of Adam with --n-epochs")
        return
    cache = settings.statistics or settings.output.parent / "statistics"
    molecules = load_parameters(settings.parameters)
    contents = name_contents(settings)
    if settings.resume is not None:
        check_contents(settings, contents, read_config(settings.resume).get("contents", {}), settings.resume)
    machine = PassMachine(settings.n_processes, settings.device)
    statistics = compute_statistics(settings.data, settings.parameters, cache, settings.pass_settings, machine)
    if statistics is None:
        return  # under torchrun, rank 0 goes on alone: what is left is a matter of seconds
    splits = statistics.splits
    criterion = find_criterion(settings, statistics)
    if criterion in ("cross-validation", "evidence"):
        statistics = merge_validation(statistics)  # nothing is validated on them: they may train
    if statistics.is_reused:
        print(f"statistics: reused {cache / statistics.fingerprint}.pt, no pass over the data")
    else:
        print(
            f"statistics: one pass over the data in {statistics.seconds:.1f} s on {statistics.n_ranks} ranks, "
            f"peak memory {statistics.peak_memory:.0f} MB each"
        )
    trainable = build_trainable(molecules.force_field, settings.trained, settings.include, settings.exclude)
    weights = find_source_weights(settings, criterion, statistics, molecules, trainable)
    objectives = build_objectives(settings, statistics, molecules, trainable, weights)
    start = time.perf_counter()
    choice = set_prior(settings, criterion, statistics, objectives, trainable, weights)
    if choice is not None:
        print_choice(choice, time.perf_counter() - start)
    types = None
    if settings.discover_types:
        types = find_types(settings, cache, molecules, statistics, objectives, trainable, weights)
        if types.splits:
            parts = take_types(settings, cache, types, splits, objectives, weights)
            molecules, statistics, trainable, objectives = parts
    print(f"training {len(trainable.names)} values; the data exercise {len(statistics.features)} features")

    folder, checkpoint = open_run(settings, contents)
    write_json(folder / "splits.json", statistics.splits)
    comments = [
        f"fitted by 004-train.py, run {folder.name}, method {settings.method}",
        f"from {molecules.provenance['force_field']} (SHA-256 {molecules.provenance['force_field_sha256']})",
        f"to quantum energies and forces in {settings.data}, statistics {statistics.fingerprint}",
    ]
    fit = Fit(
        folder, settings.trained, trainable, objectives, molecules, comments, fingerprint_settings(settings, contents)
    )
    start = time.perf_counter()
    final = run_method(fit, settings, checkpoint)
    seconds = {"seconds_epochs": time.perf_counter() - start}
    start = time.perf_counter()
    floor = fit_valence(objectives["train"].with_strengths(0.0), trainable, fit.trained, final)
    seconds["seconds_optimum"] = time.perf_counter() - start

    save_force_field(folder / "force-field", final, molecules, comments)
    save_unconstrained(folder / "force-field")
    lines = [*comments, "the global optimum of the training loss without priors: a floor, not a force field to use"]
    save_force_field(folder / "optimum", floor.force_field, molecules, lines)
    n_open = report_parameters(fit, weights, statistics, final)
    fields = {"initial": fit.initial, "final": final, "optimum": floor.force_field}
    summary = summarise(statistics, objectives, fields, seconds)
    visited = measure_visited(
        settings.data, molecules, [one for one, split in statistics.splits.items() if split == "train"]
    )
    summary["warnings"] = [
        *check_splits(statistics, objectives, fit.initial),
        *check_values(trainable, final, read_ids(molecules.provenance["offxml"]), visited),
    ]
    for line in summary["warnings"]:
        print(f"note: {line}")
    if choice is not None:
        summary["prior"] = choice.to_plain()
    if settings.split_seeds:
        start_molecules = load_parameters(settings.parameters)
        summary["split_seeds"] = repeat_splits(settings, cache, start_molecules)
        print(describe_repeats(summary["split_seeds"]))
    if settings.source_evidence:
        summary["source_weights"] = {source: tuple(get_part_weights(weights, source)) for source in weights}
    if types is not None:
        summary["types"] = types.to_plain()
        write_table(folder / "types.csv", [dataclasses.asdict(split) for split in types.splits])
    log_for_tensorboard(fit, settings, statistics, fields, summary)
    write_model_card(
        folder / "force-field.md", comments, describe_data(settings.data), summary, n_open, len(trainable.names)
    )
    write_json(folder / SUMMARY, summary)
    print(
        f"loss {summary['loss_initial']:.6g} -> {summary['loss_final']:.6g} in {summary['seconds_epochs']:.1f} s; "
        f"{summary['excess_over_optimum']:.2%} above the optimum {summary['loss_optimum']:.6g}"
    )
    if settings.method == "exact" and not objectives["train"].has_prior:
        print("no prior was used: what the data do not determine may be anything; see --prior-strength")
    print(f"wrote {folder}/force-field.offxml; peak memory {format_peak_memory()}")
    options = {"--output": (folder.parent.parent / "analysis", OUTPUTS / "analysis")}
    print(suggest_command("005-analyze.py", options, folder))


if __name__ == "__main__":
    run_stage(main, uses_ranks=True)
