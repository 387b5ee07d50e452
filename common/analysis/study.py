"""What stage 005 looks at: finished runs, force fields and data; and the check of what 004 wrote down."""

import collections.abc
import dataclasses
import json
import os
import pathlib
import typing

import numpy

from common.analysis.error_statistics import ErrorSums
from common.analysis.predictions import Candidate
from common.data.index import index_sources
from common.data.weighting import ConformerSelection
from common.files.artifacts import ArtifactError, MissingArtifactError
from common.forcefields.parameter_file import save_parameters
from common.molecules.mapped_smiles import compute_connectivity_key
from common.runs.folder import CONFIG, COVARIANCE, SUMMARY, resolve_run
from common.runs.names import label_runs
from common.smirnoff.find import find_force_field
from common.smirnoff.offxml import read_force_field
from common.smirnoff.parameterize import parameterize

CHECK_TOLERANCE = 1e-6
"""Relative: the statistics and the direct evaluation differ by rounding alone, which stays far below."""

OPTIMUM = "optimum"
"""The candidate of a run with the least training loss there is. Without priors it fails molecules that it has not seen,
so that it is a floor for the training loss and no force field to use: it is not drawn."""

CHECK_FLOOR = 1e-9
"""[kcal²/mol²] and [kcal²/mol²/Angstrom²]: what a loss of zero may differ by."""


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run of stage 004.

    Attributes:
        folder: where it lies.
        config, summary: what it was asked to do, and how it went.
        splits: the split of each mapped SMILES.
        conformers: which counted, and how much.
    """

    folder: pathlib.Path
    config: dict[str, typing.Any]
    summary: dict[str, typing.Any]
    splits: dict[str, str]
    conformers: ConformerSelection

    @property
    def data(self) -> pathlib.Path:
        """The folder of data sets that it used."""
        return pathlib.Path(self.config["data"])

    @property
    def parameters(self) -> pathlib.Path:
        """The ``.pt`` file that it was fitted from: where types were split, the one that has them."""
        types = self.summary.get("types", {})
        return pathlib.Path(types["parameters"] if types.get("splits") else self.config["parameters"])


@dataclasses.dataclass(frozen=True)
class Study:
    """What is to be analyzed.

    Attributes:
        runs: the runs; the first one says what is test and what is train. May be empty.
        data: folder of data sets.
        conformers: which count, and how much.
        candidates: the force fields to score.
        ends: the candidates that each run began and ended with.
        choose_split: gives the split of a mapped SMILES.
    """

    runs: tuple[Run, ...]
    data: pathlib.Path
    conformers: ConformerSelection
    candidates: tuple[Candidate, ...]
    ends: tuple[tuple[str, str], ...]
    choose_split: collections.abc.Callable[[str], str]

    @property
    def before(self) -> str | None:
        """The candidate that the first run began with; None without a run."""
        return self.ends[0][0] if self.ends else None

    @property
    def after(self) -> str | None:
        """The candidate that the first run ended with; None without a run."""
        return self.ends[0][1] if self.ends else None

    @property
    def run_names(self) -> list[str]:
        """What sets each run apart."""
        return label_runs([run.folder.name for run in self.runs])


def read_run(path: str | os.PathLike) -> Run:
    """Reads a run folder, or the latest finished run in a folder of runs.

    Raises:
        FileNotFoundError: there is no finished run.
        ValueError: a file of the run is damaged.
    """
    folder = resolve_run(path)
    if not (folder / SUMMARY).is_file():
        raise MissingArtifactError(
            f"{folder}: this run has not ended (no summary.json)", "run", detail=f" --resume {folder}, or wait"
        )
    config = _read_json(folder / CONFIG, ("trained", "data", "parameters", "force_weight"))
    summary = _read_json(folder / SUMMARY, ("splits", "loss_initial", "loss_final"))
    splits = _read_json(folder / "splits.json", ())
    names = [field.name for field in dataclasses.fields(ConformerSelection)]
    missing = [name for name in names if name not in config]
    if missing:
        raise ArtifactError(f"{folder / 'config.json'}: made by another version (lacks {missing[0]})", "run")
    return Run(folder, config, summary, splits, ConformerSelection(**{name: config[name] for name in names}))


def read_runs(paths: collections.abc.Sequence[str | os.PathLike]) -> list[Run]:
    """Reads runs, as :func:`read_run`; of several, those that have not ended are passed over, with a line each.

    Raises:
        FileNotFoundError: a folder holds no run, or none of the runs has ended.
        ValueError: a file of a run is damaged.
    """
    folders = [pathlib.Path(path) for path in paths]
    ended = [folder for folder in folders if not _is_under_way(folder)]
    if len(folders) == 1 or not ended:
        return [read_run(folders[0])]
    for folder in folders:
        if folder not in ended:
            print(f"{folder}: passed over, this run has not ended")
    return [read_run(folder) for folder in ended]


def _is_under_way(folder: pathlib.Path) -> bool:
    """True of a run that has begun and has not ended, whether it still works or was stopped."""
    return (folder / CONFIG).is_file() and not (folder / SUMMARY).is_file()


def _read_json(path: pathlib.Path, keys: collections.abc.Iterable[str]) -> dict[str, typing.Any]:
    try:
        contents = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise MissingArtifactError(f"{path}: no such file", "run", detail=" again") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path}: damaged JSON ({error})", "run") from error
    missing = [key for key in keys if key not in contents]
    if missing or not isinstance(contents, dict):
        raise ArtifactError(f"{path}: lacks {', '.join(missing) or 'names'}", "run")
    return contents


def study_runs(
    runs: collections.abc.Sequence[Run], data: pathlib.Path | None, parameters: pathlib.Path | None
) -> Study:
    """One or more runs side by side, on the data of the first; the optimum is a candidate only of a run alone.

    Args:
        runs: at least one.
        data, parameters: instead of the paths that the runs used.

    Raises:
        ValueError: two runs have one name.
    """
    names = [run.folder.name for run in runs]
    if len(set(names)) < len(names):
        raise ValueError(f"two runs are called {max(names, key=names.count)}; name each once, or rename one")
    labels = label_runs(names)
    candidates: list[Candidate] = []
    starts: dict[pathlib.Path, str] = {}
    ends = []
    for run, label in zip(runs, labels, strict=True):
        start, fitted = parameters or run.parameters, run.folder / "force-field.pt"
        if start not in starts:
            starts[start] = "initial" if not starts else f"{label} initial"
            candidates.append(Candidate(starts[start], start, start))
        ends.append((starts[start], label if len(runs) > 1 else "fitted"))
        covariance = run.folder / COVARIANCE
        candidates.append(Candidate(ends[-1][1], fitted, start, covariance if covariance.is_file() else None))
        if len(runs) == 1 and (run.folder / "optimum.pt").is_file():
            candidates.append(Candidate(OPTIMUM, run.folder / "optimum.pt", start))
    return Study(
        runs=tuple(runs),
        data=data or runs[0].data,
        conformers=runs[0].conformers,
        candidates=tuple(candidates),
        ends=tuple(ends),
        choose_split=SplitChooser(runs[0].splits),
    )


def study_parameters(data: pathlib.Path, parameters: pathlib.Path) -> Study:
    """A force field on data, without a run: all entries belong to the split "all"."""
    candidate = Candidate(parameters.stem, parameters, parameters)
    return Study((), data, ConformerSelection(), (candidate,), (), lambda _: "all")


def add_force_fields(study: Study, names: collections.abc.Sequence[str], folder: pathlib.Path, n_workers: int) -> Study:
    """The study with further force fields, applied to the molecules of the data by the built-in engine.

    Args:
        study: what is to be analyzed.
        names: paths of force field files, or names of installed ones.
        folder: where their parameters go, a ``.pt`` file each; it is made if there are any.
        n_workers: number of processes.

    Raises:
        FileNotFoundError, ForceFieldError: a file is missing, or asks for what is not supported.
        ValueError: two force fields have one name.
    """
    candidates = list(study.candidates)
    smiles = list(dict.fromkeys(row.smiles for row in index_sources(study.data))) if names else []
    for name in names:
        force_field = read_force_field(find_force_field(name))
        label = pathlib.PurePath(force_field.name).stem
        if label in [candidate.name for candidate in candidates]:
            raise ValueError(f"two force fields are called {label!r}; rename one of the files, or leave one out")
        print(f"{label}: parameters for {len(smiles)} molecules")
        path = folder / f"{label}.pt"
        save_parameters(path, parameterize(force_field, smiles, n_workers))
        candidates.append(Candidate(label, path, path))
    return dataclasses.replace(study, candidates=tuple(candidates))


class SplitChooser:
    """The split of any mapped SMILES, as a run had it; "new" for molecules that the run has not seen."""

    def __init__(self, splits: collections.abc.Mapping[str, str]):
        self._splits = splits
        self._by_key: dict[str, str] | None = None

    def __call__(self, smiles: str) -> str:
        if smiles in self._splits:
            return self._splits[smiles]
        if self._by_key is None:  # another drawing of a training molecule is not new
            self._by_key = {compute_connectivity_key(one): split for one, split in self._splits.items()}
        return self._by_key.get(compute_connectivity_key(smiles), "new")


def check_run(
    run: Run, ends: tuple[str, str], study: Study, errors: ErrorSums, molecules_are_missing: bool
) -> list[str]:
    """What a reader must know before believing the errors of a run; nothing where all is well.

    Args:
        run: one of the study's.
        ends: the candidates that it began and ended with.
        study: what was analyzed.
        errors: of all entries.
        molecules_are_missing: whether entries were left out, so that losses cannot be compared.
    """
    name = run.folder.name
    splits = dict(zip(errors.smiles.tolist(), errors.splits.tolist(), strict=True))
    leaked = [one for one, split in splits.items() if split == "test" and run.splits.get(one, "test") != "test"]
    if leaked:
        return [
            f"run {name} was fitted to or validated on {len(leaked)} of the molecules that are test here, e.g. "
            f"{leaked[0]}: its test errors are no test"
        ]
    if study.data != run.data or not splits.keys() <= run.splits.keys() or run.conformers != study.conformers:
        return [f"run {name} was fitted to other data or with other settings: its losses could not be checked"]
    if molecules_are_missing:
        return [f"run {name}: its losses could not be checked, since molecules were left out"]
    lines = [f"run {name}: {line}" for line in run.summary.get("warnings", [])] + _name_open_ends(run)
    n_fitted = sum(split == "validation" and run.splits[one] == "train" for one, split in splits.items())
    if n_fitted:
        lines.append(f"run {name} was fitted to the {n_fitted} molecules that validate here, too")
    names = {"initial": ends[0], "final": ends[1], "optimum": OPTIMUM}
    differences = check_losses(run, errors, {label: name for label, name in names.items() if name in errors.names})
    if not differences:
        return lines
    return [
        *lines,
        f"run {name}: energies and forces computed now do not give the losses that the fit wrote down "
        f"({'; '.join(differences)}). Either data or parameters have changed since: fit anew; or fitted values are so "
        "far out of proportion that energies lose their digits: use priors",
    ]


def _name_open_ends(run: Run) -> list[str]:
    """Says which priors the data would have held more firmly, or more loosely, than the grid allows."""
    prior = run.summary.get("prior", {})
    if not prior.get("open_ends"):
        return []
    kinds = ", ".join(f"{kind} ({prior['strengths'][kind]:.0e})" for kind in prior["open_ends"])
    return [f"run {run.folder.name}: the strengths of these priors lie at the end of what was tried: {kinds}"]


def check_losses(run: Run, errors: ErrorSums, names: collections.abc.Mapping[str, str]) -> list[str]:
    """Compares the losses that stage 004 read off its statistics with those of the direct evaluation.

    Args:
        run: what 004 wrote down.
        errors: of all entries of its data.
        names: the candidates that 004 calls "initial", "final" and "optimum".

    Returns:
        A line for each difference; none where all agree.
    """
    weights = run.summary.get("source_weights", run.config.get("source_weights", {}))
    splits = numpy.array([run.splits[str(one)] for one in errors.smiles])
    of_entries = [weights.get(str(source), 1.0) for source in errors.sources]
    weight = numpy.array([one if isinstance(one, list | tuple) else (one, one) for one in of_entries])
    differences = []
    for split, recorded in run.summary["splits"].items():
        chosen = splits == split
        if int(chosen.sum()) != recorded["n_entries"]:
            differences.append(f"{split}: {chosen.sum()} entries now, {recorded['n_entries']} in the fit")
            continue
        for label, candidate in names.items():
            i = errors.names.index(candidate)
            for column, (part, values, counts) in enumerate(
                (
                    ("loss_energy", errors.loss_energy, errors.n_energies),
                    ("loss_forces", errors.loss_forces, errors.n_components),
                )
            ):
                expected, own = recorded.get(f"{part}_{label}"), weight[chosen, column] * (counts[chosen] > 0)
                if expected is None or not own.any():
                    continue
                found = float(numpy.average(values[i, chosen], weights=own))
                if abs(found - expected) > CHECK_TOLERANCE * abs(expected) + CHECK_FLOOR:
                    differences.append(f"{split}: {part} of {candidate} is {found:.8g} now, {expected:.8g} in the fit")
    return differences
