"""What stage 005 finds, as records: the console, the report and ``metrics.json`` show these and nothing else.

Units are kcal/mol for energies and kcal/mol/Angstrom for forces; losses have their squares. An interval holds with the
confidence that :class:`IntervalMethod` names; it is None where there are too few molecules.
"""

import collections.abc
import dataclasses
import typing

from common.analysis.parameter_changes import Change
from common.forcefields.evaluation import Difference
from common.relaxation.records import RelaxedBenchmark, RelaxedGroup, RelaxedScan
from common.relaxation.summary import MEASURES, choose_scans, find_relaxed_group

Interval = tuple[float, float]

N_DRAWN_SCANS = 6
"""Relaxed scans that the report shows."""


@dataclasses.dataclass(frozen=True)
class CandidateErrors:
    """The errors of one candidate on a group of entries; None where no entry has the energies or the forces.

    Attributes:
        energy_rmse, force_rmse: root mean squares, conformers and force components pooled.
        energy_rmse_interval, force_rmse_interval: what other molecules might have given.
        energy_mae, force_mae: mean absolute errors, pooled likewise.
        loss_energy, loss_forces: means over entries, the terms of the loss.
        loss_energy_root, loss_forces_root: their roots.
    """

    energy_rmse: float | None
    energy_rmse_interval: Interval | None
    force_rmse: float | None
    force_rmse_interval: Interval | None
    energy_mae: float | None
    force_mae: float | None
    loss_energy: float | None
    loss_forces: float | None
    loss_energy_root: float | None
    loss_forces_root: float | None


@dataclasses.dataclass(frozen=True)
class GroupErrors:
    """A group of entries, by source and split ("all" for any), and the errors of each candidate there.

    ``n_energies`` counts the conformers that have one.
    """

    source: str
    split: str
    n_entries: int
    n_molecules: int
    n_conformers: int
    n_single_conformer_entries: int
    n_energies: int
    n_force_components: int
    candidates: dict[str, CandidateErrors]

    def list_rows(self) -> list[dict[str, typing.Any]]:
        """One row of a table for each candidate, the ends of intervals in two columns."""
        counts = {name: value for name, value in vars(self).items() if name != "candidates"}
        rows = []
        for name, errors in self.candidates.items():
            row = {**counts, "candidate": name}
            for what, value in vars(errors).items():
                if what.endswith("_interval"):
                    row[f"{what}_low"], row[f"{what}_high"] = value or (None, None)
                else:
                    row[what] = value
            rows.append(row)
        return rows


@dataclasses.dataclass(frozen=True)
class RelativeChange:
    """How much an error changed: -0.2 is a fifth less; None where there was none before."""

    change: float | None
    interval: Interval | None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The change of the errors from one candidate to another on a split ("all" for any)."""

    split: str
    before: str
    after: str
    energy: RelativeChange
    forces: RelativeChange


@dataclasses.dataclass(frozen=True)
class MoleculeErrors:
    """The errors of a molecule, all its entries together.

    Attributes:
        molecule: its connectivity key.
        split: which it belongs to.
        sources: the data sets that it occurs in, separated by spaces.
        n_entries, n_conformers: how many of it there are.
        energy_rmse, force_rmse: root mean squares, by candidate; None where it has no energies or no forces.
    """

    molecule: str
    split: str
    sources: str
    n_entries: int
    n_conformers: int
    energy_rmse: dict[str, float | None]
    force_rmse: dict[str, float | None]

    def to_plain(self) -> dict[str, typing.Any]:
        """The record with one plain value for each candidate and error, as tables want it."""
        plain: dict[str, typing.Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in ("energy_rmse", "force_rmse"):
                plain |= {f"{field.name} {candidate}": one for candidate, one in value.items()}
            else:
                plain[field.name] = to_plain(value)
        return plain


@dataclasses.dataclass(frozen=True)
class MadeWorse:
    """A molecule whose error the fit has raised: "force" or "energy", before and after."""

    molecule: str
    quantity: str
    before: float
    after: float


@dataclasses.dataclass(frozen=True)
class Profile:
    """Energies along an entry, each relative to its own mean and then to the lowest quantum energy.

    Attributes:
        axis: what ``x`` is, with its unit.
        x: ``shape=(n_confs,)``, ascending.
        reference: quantum energies [kcal/mol] ``shape=(n_confs,)``; the lowest is 0.
        energies: by candidate [kcal/mol], so that the difference to ``reference`` is the error that is reported.
        standard_errors: by candidate, of these [kcal/mol], where they are known.
        scanned: the atoms of the scanned dihedral, or None.
    """

    axis: str
    x: list[float]
    reference: list[float]
    energies: dict[str, list[float]]
    scanned: tuple[int, ...] | None
    standard_errors: dict[str, list[float]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class WorstMolecule(MoleculeErrors):
    """A molecule with large errors, and its worst entry.

    Attributes:
        worst_in: "energy" or "forces", whichever error is the larger multiple of that of all molecules.
        multiple: that multiple.
        smiles, source, entry: of the entry with the largest energy error.
        profile: of its energies; None where it has too few conformers.
    """

    worst_in: str
    multiple: float
    smiles: str
    source: str
    entry: str
    profile: Profile | None


@dataclasses.dataclass(frozen=True)
class ParameterErrors:
    """The errors of the molecules that use a parameter against those of all others, means over molecules.

    Attributes:
        type, id, smirks: which parameter.
        n_molecules: how many use it.
        energy_rmse, force_rmse: of these.
        energy_rmse_others, force_rmse_others: of the others; None where every molecule uses it, or has no such data.
        force_ratio: ``force_rmse`` over ``force_rmse_others``; None where there is none.
    """

    type: str
    id: str
    smirks: str
    n_molecules: int
    energy_rmse: float | None
    energy_rmse_others: float | None
    force_rmse: float | None
    force_rmse_others: float | None
    force_ratio: float | None


@dataclasses.dataclass(frozen=True)
class IntervalMethod:
    """How intervals were found."""

    confidence: float
    method: str
    n_resamples: int
    seed: int
    min_molecules: int


@dataclasses.dataclass(frozen=True)
class RunDescription:
    """A run: its name here, its folder, what it was asked to do and what it wrote down."""

    name: str
    folder: str
    config: dict[str, typing.Any]
    summary: dict[str, typing.Any]


@dataclasses.dataclass(frozen=True)
class DataDescription:
    """The folder of data sets, and the fingerprint of each."""

    path: str
    fingerprints: dict[str, str]


@dataclasses.dataclass(frozen=True)
class ForceFieldDescription:
    """Where the values of a candidate come from."""

    force_field: str
    force_field_sha256: str
    charge_model: str
    engine: str
    created: str
    is_fitted: bool


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Whether the errors of relative energies are as large as their standard errors say.

    Attributes:
        candidate, split: whose, and of which molecules; those that train are never among them.
        n_energies, n_molecules: how many there are.
        standard_error: root mean square of the standard errors by the parameters' covariance [kcal/mol].
        residual: what the fit leaves of the training energies [kcal/mol], root mean square.
        error: root mean square of the true errors [kcal/mol].
        nominal: shares of errors that certain multiples of the standard error should cover.
        by_parameters: the shares that they cover, by the parameters' uncertainty alone.
        with_residual: the same, the residual of the training energies added to each variance.
    """

    candidate: str
    split: str
    n_energies: int
    n_molecules: int
    standard_error: float
    residual: float
    error: float
    nominal: list[float]
    by_parameters: list[float]
    with_residual: list[float]


@dataclasses.dataclass(frozen=True)
class Results:
    """All that there is to say first of a study; ``metrics.json`` holds it.

    Attributes:
        verdict: what a reader wants to know, in one sentence or two.
        warnings: what a reader must know before believing the errors.
        candidates: names of the force fields; ``drawn`` are those that are shown in plots.
        before, after: the candidates that the first run began and ended with; None without a run.
        main_candidate: the one whose failures are shown.
        focus: the split whose errors count.
        comparison: of before and after on that split; ``comparisons``: of all that are drawn with the first one.
        made_worse: molecules of that split whose errors the fit has raised, the worst first.
        calibration: of the standard errors of energies on that split; None where they are not known.
        groups: the errors by source and split.
        interval: how intervals were found.
        left_out: by candidate and mapped SMILES, why a molecule was left out for all.
        n_values_trained, n_values_changed: how many values the first run trained, and how many moved.
        changes: by group, the values that moved most.
        undetermined: the trained values that the data do not determine.
        parameter_errors: the parameters whose molecules have the largest errors.
        worst_molecules: those with the largest errors.
        check: how far energies and forces lie from those that the plain functions give.
        runs, data, force_fields: what was analyzed.
        versions: of the programs that did it.
        relaxed: what relaxing scans and minima gave; None where none was asked for or found.
    """

    verdict: str
    warnings: list[str]
    candidates: list[str]
    drawn: list[str]
    before: str | None
    after: str | None
    main_candidate: str
    focus: str
    comparison: Comparison | None
    comparisons: list[Comparison]
    made_worse: list[MadeWorse]
    calibration: Calibration | None
    groups: list[GroupErrors]
    interval: IntervalMethod
    left_out: dict[str, dict[str, str]]
    n_values_trained: int
    n_values_changed: int
    changes: dict[str, list[Change]]
    undetermined: list[Change]
    parameter_errors: list[ParameterErrors]
    worst_molecules: list[WorstMolecule]
    check: Difference
    runs: list[RunDescription]
    data: DataDescription
    force_fields: dict[str, ForceFieldDescription]
    versions: dict[str, str]
    relaxed: RelaxedBenchmark | None = None

    @property
    def headline(self) -> GroupErrors:
        """The errors that count: of the split in focus, all sources together."""
        return find_group(self.groups, self.focus)

    @property
    def total(self) -> GroupErrors:
        """The errors of all entries together."""
        return find_group(self.groups, "all")

    def list_drawn_scans(self) -> list[RelaxedScan]:
        """The relaxed scans that the report shows."""
        if self.relaxed is None:
            return []
        return choose_scans(self.relaxed, self.focus, self.main_candidate, N_DRAWN_SCANS)


@dataclasses.dataclass(frozen=True)
class Tables:
    """All records, of which :class:`Results` has the first: each goes to a CSV file."""

    errors: list[GroupErrors]
    molecules: list[MoleculeErrors]
    parameter_changes: list[Change]
    parameter_errors: list[ParameterErrors]

    def list_rows(self) -> dict[str, list[dict[str, typing.Any]]]:
        """The rows of each table, by its name."""
        return {
            "errors": [row for group in self.errors for row in group.list_rows()],
            "molecules": [record.to_plain() for record in self.molecules],
            "parameter_changes": [change.to_plain() for change in self.parameter_changes],
            "parameter_errors": [dataclasses.asdict(record) for record in self.parameter_errors],
        }


def find_group(groups: collections.abc.Iterable[GroupErrors], split: str) -> GroupErrors:
    """The group of a split, all sources together."""
    return next(group for group in groups if (group.split, group.source) == (split, "all"))


def list_relaxed_groups(results: Results) -> list[RelaxedGroup]:
    """The measures of relaxed scans and minima on the split that counts, or on all where it has none."""
    if results.relaxed is None:
        return []
    found = [find_relaxed_group(results.relaxed, kind, results.focus) for kind in MEASURES]
    return [group for group in found if group is not None]


def to_plain(value: typing.Any) -> typing.Any:
    """Records as what JSON can hold: dicts by the names of the fields, lists, text and numbers."""
    if hasattr(value, "to_plain"):
        return value.to_plain()
    if dataclasses.is_dataclass(value):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, collections.abc.Mapping):
        return {name: to_plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(one) for one in value]
    return value
