r"""Fit the force field: one pass over the data, then every epoch is free.

Reads   outputs/data-clustered/<source>/ and outputs/openff-2.1.0.pt
Writes  outputs/statistics/          what the pass found out, reused as long as data and parameters stay
        outputs/runs/<run>/          config.json, splits.json, TensorBoard events, checkpoints/, force-field.pt and
                                     .offxml, optimum.offxml, best.offxml (the epoch of Adam with the least
                                     validation loss), parameters.csv, covariance.pt (of these),
                                     types.csv (types that were split), summary.json; a run is called after its start
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

import dataclasses
import math
import pathlib
import time
import typing

import numpy

from common.analysis.tensorboard import log_results
from common.data.dataset import compute_data_fingerprint
from common.data.splits import SplitSettings, check_fractions
from common.data.weighting import ConformerSelection
from common.files.plain import write_json, write_table
from common.fitting.exact_fit import fit_valence
from common.fitting.methods import Fit, fit_quietly, run_adam, run_exact, run_lbfgs
from common.fitting.model_card import describe_data, write_model_card
from common.fitting.outputs import compute_losses, save_force_field, save_unconstrained, summarise
from common.fitting.parameter_table import write_parameter_table
from common.fitting.source_weights import SourceWeights, get_part_weights
from common.fitting.uncertainty import compute_uncertainty
from common.forcefields.covariance import save_covariance
from common.forcefields.parameter_file import load_force_field, load_parameters, read_content_hash
from common.forcefields.tensors import ParameterizedMolecules, TensorForceField
from common.forcefields.trainable import Column, check_columns
from common.model_selection.parameter_covariance import estimate_covariance
from common.model_selection.physical_checks import check_values
from common.model_selection.prior_choice import Criterion
from common.model_selection.setup import Plan, SetUp, set_up
from common.model_selection.split_checks import check_splits
from common.model_selection.split_repeats import describe_repeats, repeat_splits
from common.processes.devices import check_device
from common.processes.memory import format_peak_memory
from common.processes.stage import remember_run, run_stage
from common.processes.threads import count_available_cpus
from common.processes.torchrun import is_under_torchrun
from common.reporting.console import suggest_command
from common.runs.checkpoints import Checkpoint, load_checkpoint
from common.runs.folder import COVARIANCE, SUMMARY, create_run_folder, read_config, write_config
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
from common.sufficient_statistics.statistics import Statistics
from common.sufficient_statistics.visited_values import measure_visited
from common.type_discovery.finer_fit import find_types, take_types
from common.type_discovery.finer_types import FinerTypes

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
    def plan(self) -> Plan:
        """What the fit is asked to be."""
        return Plan(
            self.trained,
            self.include,
            self.exclude,
            self.force_weight,
            self.source_weights,
            self.source_evidence,
            self.criterion,
            self.prior_strength if isinstance(self.prior_strength, float) else 0.0,
            may_do_without=self.prior_strength is None,
            centre=None if self.prior_centre is None else load_force_field(self.prior_centre),
        )

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


def name_contents(settings: Settings, molecules: ParameterizedMolecules) -> dict[str, str]:
    """What names the contents of the files that count."""
    centre = settings.prior_centre
    return {
        "data": compute_data_fingerprint(settings.data),
        "parameters": molecules.content_hash,
        "prior_centre": "" if centre is None else read_content_hash(centre),
    }


def print_setup(setup: SetUp, seconds: float) -> None:
    """What the data had a say in: the weights of the sources and the strengths of the priors."""
    if setup.plan.weighs_sources:
        for source in setup.weights:
            weight = get_part_weights(setup.weights, source)
            print(f"source {source}: its energies weigh {weight.energy:.3g}, its forces {weight.forces:.3g}")
    choice = setup.choice
    if choice is None:
        if setup.plan.criterion is not None:
            print("note: nothing can be left out of so few molecules, no prior is used; see --prior-strength")
        return
    print(
        f"priors by {choice.criterion}: {len(choice.trials)} choices in {seconds:.1f} s, "
        f"{choice.best_shared.value:.6g} with one strength for all, {choice.best.value:.6g} with the best for each:"
    )
    for kind, strength in choice.best.strengths.items():
        is_open = kind in choice.open_ends
        print(f"  {' '.join(kind):20} {strength:8.1e}{'  at the end of the grid' if is_open else ''}")


def print_types(types: FinerTypes, seconds: float) -> None:
    """How many types were split, and what the molecules left out say of it."""
    losses = types.losses[f"{types.strength:g}"]
    print(
        f"types: {len(types.splits)} splits in {seconds:.1f} s, loss on molecules left out "
        f"{losses[0]:.6g} -> {losses[len(types.splits)]:.6g}"
    )


def run_method(fit: Fit, settings: Settings, checkpoint: Checkpoint | None) -> TensorForceField:
    """The fitted force field."""
    if settings.method == "adam":
        return run_adam(fit, settings.learning_rate, settings.n_epochs, settings.checkpoint_interval, checkpoint)
    return run_exact(fit) if settings.method == "exact" else run_lbfgs(fit, settings.n_epochs)


def fit_again(settings: Settings, cache: pathlib.Path, machine: PassMachine) -> dict[str, typing.Any]:
    """The test errors of the same fit on other splits: a pass and a fit for each."""
    molecules = load_parameters(settings.parameters)

    def make_pass(seed: int) -> Statistics:
        pass_settings = dataclasses.replace(settings, split_seed=seed).pass_settings
        statistics = compute_statistics(settings.data, settings.parameters, cache, pass_settings, machine, molecules)
        assert statistics is not None  # there are no other ranks
        return statistics

    def fit(setup: SetUp) -> TensorForceField:
        parts = (setup.objectives["train"], setup.trainable, settings.trained, setup.start)
        return fit_quietly(settings.method, *parts, settings.n_epochs, settings.learning_rate)

    return repeat_splits(settings.plan, molecules, settings.split_seeds, make_pass, fit)


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
    contents = name_contents(settings, molecules)
    if settings.resume is not None:
        check_contents(settings, contents, read_config(settings.resume).get("contents", {}), settings.resume)
    machine = PassMachine(settings.n_processes, settings.device)
    pass_settings = settings.pass_settings
    statistics = compute_statistics(settings.data, settings.parameters, cache, pass_settings, machine, molecules)
    if statistics is None:
        return  # under torchrun, rank 0 goes on alone: what is left is a matter of seconds
    splits = statistics.splits
    if statistics.is_reused:
        print(f"statistics: reused {cache / statistics.fingerprint}.pt, no pass over the data")
    else:
        print(
            f"statistics: one pass over the data in {statistics.seconds:.1f} s on {statistics.n_ranks} ranks, "
            f"peak memory {statistics.peak_memory:.0f} MB each"
        )
    start = time.perf_counter()
    setup = set_up(settings.plan, molecules, statistics)
    print_setup(setup, time.perf_counter() - start)
    types = None
    if settings.discover_types:
        start = time.perf_counter()
        n_workers = settings.n_processes or count_available_cpus()
        types = find_types(setup, settings.data, cache, settings.pass_settings, settings.discover_types, n_workers)
        print_types(types, time.perf_counter() - start)
        if types.splits:
            setup = take_types(setup, types, splits, settings.data, cache, settings.pass_settings, machine)
    statistics, molecules, trainable, objectives = setup.statistics, setup.molecules, setup.trainable, setup.objectives
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
    save_covariance(folder / COVARIANCE, estimate_covariance(setup, final))
    lines = [*comments, "the global optimum of the training loss without priors: a floor, not a force field to use"]
    save_force_field(folder / "optimum", floor.force_field, molecules, lines)
    n_open = report_parameters(fit, setup.weights, statistics, final)
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
    if setup.choice is not None:
        summary["prior"] = setup.choice.to_plain()
    if settings.split_seeds:
        summary["split_seeds"] = fit_again(settings, cache, machine)
        print(describe_repeats(summary["split_seeds"]))
    if settings.source_evidence:
        summary["source_weights"] = {one: tuple(get_part_weights(setup.weights, one)) for one in setup.weights}
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
