"""Energies and forces of every conformer under several force fields, set against the quantum reference.

Everything is computed anew, conformer by conformer, and not through the statistics of the fit, which this checks; what
force fields have in common is computed once, in compiled loops. Some conformers, at random, are computed a second time
by the plain functions of ``common.forcefields.energy``. The data are streamed in slices over processes; of the forces
only sums and a bounded sample are kept, of the energies all.
"""

import collections.abc
import dataclasses
import functools
import os
import pathlib
import typing
import zlib

import numpy
import torch

from common.data.dataset import Entry, open_dataset, read_entries
from common.data.index import index_sources
from common.data.splits import SplitRow, assign_rows
from common.data.weighting import ConformerSelection, weigh_conformers
from common.files.artifacts import ArtifactError
from common.forcefields.covariance import ParameterCovariance, compute_standard_errors, load_covariance
from common.forcefields.evaluation import Difference, SharedEvaluation, compare_with_plain
from common.forcefields.parameter_file import load_parameters, load_values
from common.forcefields.stacking import get_connectivity_keys
from common.forcefields.tensors import ParameterizedMolecules, TensorTopology
from common.molecules.mapped_smiles import compute_connectivity_key, remember_connectivity_keys
from common.processes.pool import Prepared, run_in_processes
from common.processes.slices import cut_into_slices

MAX_CONFORMERS_PER_SLICE = 2_000
"""What a worker takes at once."""

MAX_CHECKED = 2_000
"""About so many conformers are computed in both ways; all where there are fewer."""

CHECKED_PER_ENTRY = 8
"""Conformers of an entry that are checked together, since setting up its molecule costs most."""

MAX_SAMPLED_COMPONENTS = 200_000
"""Force components kept of each split, for plots; all where there are fewer."""


class Candidate(typing.NamedTuple):
    """A force field to be scored.

    Attributes:
        name: what tables and figures call it.
        values: ``.pt`` file with its values, a fitted force field or the same as
        topologies: the parameters file, which says what each molecule uses.
        covariance: file with the covariance of its values; None where that is not known.
    """

    name: str
    values: pathlib.Path
    topologies: pathlib.Path
    covariance: pathlib.Path | None = None


@dataclasses.dataclass(frozen=True)
class Predictions:
    """The errors of several force fields on many entries, whose conformers lie end to end.

    Attributes:
        names: of the candidates.
        rows: the entries; ``n_confs`` counts the conformers that were evaluated.
        keys: the connectivity key of each entry's molecule.
        n_atoms: of each entry, ``shape=(n_entries,)``.
        weights: of each conformer in the loss, ``shape=(n_confs,)``; they add up to 1 in each entry.
        reference: quantum energies [kcal/mol] ``shape=(n_confs,)``, relative to an unknown zero in each entry; NaN
            where an entry has none.
        energies: [kcal/mol] ``shape=(n_candidates, n_confs)``.
        force_squares: Σ(F - F_ref)² over the components of a conformer [kcal²/mol²/Angstrom²]
            ``shape=(n_candidates, n_confs)``; NaN where an entry has no forces.
        force_magnitudes: Σ|F - F_ref| likewise [kcal/mol/Angstrom].
        standard_errors: of the energies relative to the mean of their entry [kcal/mol] ``shape=(n_candidates,
            n_confs)``; NaN where they are not known, and for molecules that train.
        force_samples: by split, sampled components [kcal/mol/Angstrom] ``shape=(1 + n_candidates, n_samples)``, the
            reference first.
        check: how far the compiled loops and the plain functions lie apart.
    """

    names: tuple[str, ...]
    rows: tuple[SplitRow, ...]
    keys: tuple[str, ...]
    n_atoms: numpy.ndarray
    weights: numpy.ndarray
    reference: numpy.ndarray
    energies: numpy.ndarray
    force_squares: numpy.ndarray
    force_magnitudes: numpy.ndarray
    standard_errors: numpy.ndarray
    force_samples: dict[str, numpy.ndarray]
    check: Difference = dataclasses.field(default_factory=Difference)

    @property
    def n_confs(self) -> numpy.ndarray:
        """The number of conformers of each entry, ``shape=(n_entries,)``."""
        return numpy.array([row.n_confs for row in self.rows], dtype=numpy.int64)

    @property
    def starts(self) -> numpy.ndarray:
        """Where the conformers of each entry begin, ``shape=(n_entries,)``."""
        return numpy.cumsum(self.n_confs) - self.n_confs

    def select(self, names: collections.abc.Sequence[str]) -> "Predictions":
        """The predictions of some of the candidates."""
        places = [self.names.index(name) for name in names]
        per_candidate = ("energies", "force_squares", "force_magnitudes", "standard_errors")
        chosen = {name: getattr(self, name)[places] for name in per_candidate}
        samples = {split: sample[[0, *(1 + i for i in places)]] for split, sample in self.force_samples.items()}
        return dataclasses.replace(self, names=tuple(names), force_samples=samples, **chosen)


class Index(typing.NamedTuple):
    """The entries that every candidate can do, and the molecules that one or more cannot.

    ``left_out`` holds, by candidate and mapped SMILES, the reason.
    """

    rows: list[SplitRow]
    left_out: dict[str, dict[str, str]]


def load_candidates(candidates: collections.abc.Sequence[Candidate]) -> dict[str, ParameterizedMolecules]:
    """The values and topologies of each candidate, every parameters file read once.

    Raises:
        FileNotFoundError, ValueError: a file is missing or damaged, or values and topologies do not belong together.
    """
    loaded = {path: load_parameters(path) for path in sorted({candidate.topologies for candidate in candidates})}
    for one in loaded.values():
        remember_connectivity_keys(get_connectivity_keys(one.topologies))
    return {
        one.name: (
            loaded[one.topologies] if one.values == one.topologies else load_values(one.values, loaded[one.topologies])
        )
        for one in candidates
    }


def index_data(
    data: str | os.PathLike,
    molecules: collections.abc.Mapping[str, ParameterizedMolecules],
    choose_split: collections.abc.Callable[[str], str],
) -> Index:
    """Lists the entries of a folder of data sets; those that one candidate lacks are left out for all, to be fair.

    Args:
        data: folder of data sets.
        molecules: of each candidate.
        choose_split: gives the split of a mapped SMILES.

    Raises:
        FileNotFoundError, ValueError: there are no data, or none that every candidate can do.
    """
    rows = []
    left_out: dict[str, dict[str, str]] = {}
    for row in index_sources(data):
        lacking = [name for name, one in molecules.items() if row.smiles not in one.topologies]
        for name in lacking:
            reason = molecules[name].failures.get(row.smiles, "it is not known there")
            left_out.setdefault(name, {})[row.smiles] = reason
        if not lacking:
            rows.append(row)
    if not rows:
        name, reasons = next(iter(left_out.items()), ("the data", {"-": "they are empty"}))
        smiles, reason = next(iter(reasons.items()))
        raise ValueError(f"{data}: no molecule that every force field can do; {name} lacks e.g. {smiles} ({reason})")
    return Index(assign_rows(rows, choose_split), left_out)


def predict(
    data: str | os.PathLike,
    rows: collections.abc.Sequence[SplitRow],
    candidates: collections.abc.Sequence[Candidate],
    conformers: ConformerSelection,
    n_workers: int,
) -> Predictions:
    """Computes energies and forces of every conformer of some entries under each candidate.

    Args:
        data: folder of data sets.
        rows: which entries.
        candidates: the force fields, all of which can do all entries.
        conformers: which count, and with what weight in the loss.
        n_workers: number of processes.

    Raises:
        FileNotFoundError, ValueError: data or parameters are missing, damaged or do not belong together.
    """
    slices = cut_into_slices(rows, [row.n_confs for row in rows], MAX_CONFORMERS_PER_SLICE)
    n_workers = max(1, min(n_workers, len(slices)))
    prepared = Prepared(_make_evaluator, (pathlib.Path(data), tuple(candidates), conformers, *_choose_fractions(rows)))
    sizes = [sum(row.n_confs for row in mine) for mine in slices]
    parts = run_in_processes(prepared, slices, n_workers, sizes, "evaluate", "conformer")
    return _concatenate(list(parts))


def predict_here(
    data: str | os.PathLike,
    rows: collections.abc.Sequence[SplitRow],
    molecules: collections.abc.Mapping[str, ParameterizedMolecules],
    conformers: ConformerSelection,
) -> Predictions:
    """As :func:`evaluate`, of candidates that are loaded, in this process; for few entries."""
    return _Evaluator(pathlib.Path(data), dict(molecules), {}, conformers, *_choose_fractions(rows))(rows)


def _choose_fractions(rows: collections.abc.Sequence[SplitRow]) -> tuple[dict[str, float], float]:
    """Which fraction of the force components of each split is sampled, and of all conformers checked."""
    totals: dict[str, int] = {}
    for row in rows:
        totals[row.split] = totals.get(row.split, 0) + row.n_coords
    n_confs = sum(row.n_confs for row in rows)
    fractions = {split: min(1.0, MAX_SAMPLED_COMPONENTS / max(total, 1)) for split, total in totals.items()}
    return fractions, min(1.0, MAX_CHECKED / max(n_confs, 1))


def _concatenate(parts: list[Predictions]) -> Predictions:
    splits = sorted({split for part in parts for split in part.force_samples})
    joined = {
        name: numpy.concatenate([getattr(part, name) for part in parts], axis=-1)
        for name in (
            *("n_atoms", "weights", "reference", "energies"),
            *("force_squares", "force_magnitudes", "standard_errors"),
        )
    }
    return Predictions(
        names=parts[0].names,
        rows=tuple(row for part in parts for row in part.rows),
        keys=tuple(key for part in parts for key in part.keys),
        force_samples={
            split: numpy.concatenate([p.force_samples[split] for p in parts if split in p.force_samples], axis=-1)
            for split in splits
        },
        check=functools.reduce(Difference.merge, (part.check for part in parts)),
        **joined,
    )


# --- in the workers --------------------------------------------------------------------------------------------------


def _make_evaluator(
    data: pathlib.Path,
    candidates: tuple[Candidate, ...],
    conformers: ConformerSelection,
    fractions: dict[str, float],
    checked: float,
) -> "_Evaluator":
    known = {one.name: load_covariance(one.covariance) for one in candidates if one.covariance is not None}
    return _Evaluator(data, load_candidates(candidates), known, conformers, fractions, checked)


@dataclasses.dataclass(frozen=True)
class _Evaluator:
    """Evaluates entries under all candidates, those of one source after another."""

    data: pathlib.Path
    molecules: dict[str, ParameterizedMolecules]
    covariances: dict[str, ParameterCovariance]
    conformers: ConformerSelection
    fractions: dict[str, float]
    checked: float

    @functools.cached_property
    def shared(self) -> SharedEvaluation:
        """The force fields of all candidates."""
        return SharedEvaluation([one.force_field for one in self.molecules.values()])

    def __call__(self, rows: collections.abc.Sequence[SplitRow]) -> Predictions:
        results = []
        for source in dict.fromkeys(row.source for row in rows):
            mine = [row for row in rows if row.source == source]
            dataset = open_dataset(self.data / source)
            for row, entry in zip(mine, read_entries(dataset, [row.row for row in mine]), strict=True):
                results.append(self.evaluate_entry(row, entry))
        return _concatenate(results)

    def evaluate_entry(self, row: SplitRow, entry: Entry) -> Predictions:
        entry, weights = weigh_conformers(entry, self.conformers)
        topologies, shared = [one.topologies[row.smiles] for one in self.molecules.values()], self.shared
        try:
            energies, forces = shared.compute(topologies, entry.coords)
        except ValueError as error:
            unfit = [n for n, one in zip(self.molecules, topologies, strict=True) if one.n_atoms != entry.n_atoms]
            raise ArtifactError(
                f"{self.data / row.source}, row {row.row}, {row.smiles}, with {', '.join(unfit)}: {error}; data and "
                "parameters do not belong together",
                "parameters",
                "clustered data",
                "run",
            ) from error
        residuals = (forces - entry.forces).reshape(len(forces), entry.n_confs, -1)
        return Predictions(
            names=tuple(self.molecules),
            rows=(dataclasses.replace(row, n_confs=entry.n_confs, n_coords=entry.coords.size),),
            keys=(compute_connectivity_key(row.smiles),),
            n_atoms=numpy.array([entry.n_atoms]),
            weights=weights,
            reference=entry.energy,
            energies=energies,
            force_squares=(residuals**2).sum(axis=-1),
            force_magnitudes=numpy.abs(residuals).sum(axis=-1),
            standard_errors=self.compute_standard_errors(row, entry),
            force_samples={row.split: _sample_forces(row, entry, forces, self.fractions[row.split])},
            check=self._check(row, topologies, entry.coords, energies, forces),
        )

    def compute_standard_errors(self, row: SplitRow, entry: Entry) -> numpy.ndarray:
        """Of the relative energies [kcal/mol] ``shape=(n_candidates, n_confs)``; see ``Predictions``."""
        found = numpy.full((len(self.molecules), entry.n_confs), numpy.nan)
        for i, (name, one) in enumerate(self.molecules.items()):
            if name in self.covariances and row.split != "train" and entry.n_confs > 1:
                coords = torch.tensor(entry.coords)
                parts = (one.topologies[row.smiles], one.force_field, self.covariances[name])
                found[i] = compute_standard_errors(*parts, coords)
        return found

    def _check(
        self,
        row: SplitRow,
        topologies: list[TensorTopology],
        coords: numpy.ndarray,
        energies: numpy.ndarray,
        forces: numpy.ndarray,
    ) -> Difference:
        """Computes some conformers of some entries once more, the same on every run."""
        random = numpy.random.default_rng([zlib.crc32(row.source.encode()), row.row, 1])
        expected = self.checked * len(coords)
        n_checked = min(len(coords), max(CHECKED_PER_ENTRY, round(expected)))
        if random.random() * n_checked >= expected:
            return Difference()
        chosen = random.choice(len(coords), n_checked, replace=False)
        found = energies[:, chosen], forces[:, chosen]
        return compare_with_plain(self.shared.force_fields, topologies, coords[chosen], *found)


def _sample_forces(row: SplitRow, entry: Entry, forces: numpy.ndarray, fraction: float) -> numpy.ndarray:
    """Some components, the same for every candidate and the same on every run."""
    everything = numpy.stack([entry.forces, *forces]).reshape(1 + len(forces), -1)
    if not entry.has_forces:
        return everything[:, :0].astype(numpy.float32)
    if fraction < 1.0:
        random = numpy.random.default_rng([zlib.crc32(row.source.encode()), row.row])
        everything = everything[:, random.random(everything.shape[1]) < fraction]
    return everything.astype(numpy.float32)
