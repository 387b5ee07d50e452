"""How large the errors are: by source and split, by molecule, by parameter, with intervals.

Energies are compared relative to the mean of their entry, in both the force field and the reference, as Wang et al.
(espaloma, Chem. Sci. 13, 12016, 2022) and Takaba et al. (espaloma 0.3, Chem. Sci. 15, 12861, 2024) report them. A root
mean square here pools conformers (energies) or force components (forces); ``loss_energy`` and ``loss_forces`` are the
means over entries that stage 004 minimises.
"""

import collections.abc
import dataclasses
import statistics
import typing

import numpy

from common.analysis.predictions import Predictions
from common.analysis.records import (
    Calibration,
    CandidateErrors,
    Comparison,
    GroupErrors,
    IntervalMethod,
    MoleculeErrors,
    ParameterErrors,
    RelativeChange,
)
from common.reporting.resampling import (
    BOOTSTRAP_SEED,
    CONFIDENCE,
    MIN_MOLECULES,
    N_RESAMPLES,
    find_interval,
    resample_sums,
)

INTERVAL_METHOD = IntervalMethod(
    CONFIDENCE, "percentile bootstrap over molecules", N_RESAMPLES, BOOTSTRAP_SEED, MIN_MOLECULES
)


@dataclasses.dataclass(frozen=True)
class ErrorSums:
    """Sums over the conformers of each entry, from which every figure follows.

    Attributes:
        names: of the candidates.
        sources, splits, keys, smiles: of each entry.
        n_confs: conformers of each entry, ``shape=(n_entries,)``.
        n_energies, n_components: energies and force components likewise; 0 where an entry has none, as are the sums.
        energy_squares: Σ(ΔE - ΔE_ref)² [kcal²/mol²] ``shape=(n_candidates, n_entries)``.
        energy_magnitudes: Σ|ΔE - ΔE_ref| [kcal/mol] likewise.
        force_squares, force_magnitudes: Σ(F - F_ref)² and Σ|F - F_ref| over components, likewise, with 1/Angstrom.
        loss_energy, loss_forces: the entry's terms of the loss, likewise.
    """

    names: tuple[str, ...]
    sources: numpy.ndarray
    splits: numpy.ndarray
    keys: numpy.ndarray
    smiles: numpy.ndarray
    n_confs: numpy.ndarray
    n_energies: numpy.ndarray
    n_components: numpy.ndarray
    energy_squares: numpy.ndarray
    energy_magnitudes: numpy.ndarray
    force_squares: numpy.ndarray
    force_magnitudes: numpy.ndarray
    loss_energy: numpy.ndarray
    loss_forces: numpy.ndarray


def sum_errors(predictions: Predictions) -> ErrorSums:
    """Reduces conformers to entries."""
    starts, n_confs = predictions.starts, predictions.n_confs

    def add_up(values: numpy.ndarray) -> numpy.ndarray:
        return numpy.add.reduceat(values, starts, axis=-1)

    has_energies, has_forces = (
        ~numpy.isnan(predictions.reference[starts]),
        ~numpy.isnan(predictions.force_squares[0, starts]),
    )
    raw = numpy.nan_to_num(predictions.energies - predictions.reference, nan=0.0)
    centred = raw - numpy.repeat(add_up(raw) / n_confs, n_confs, axis=-1)
    weights = predictions.weights
    weighted = raw - numpy.repeat(add_up(weights * raw), n_confs, axis=-1)
    force_squares = numpy.nan_to_num(predictions.force_squares, nan=0.0)
    return ErrorSums(
        names=predictions.names,
        sources=numpy.array([row.source for row in predictions.rows]),
        splits=numpy.array([row.split for row in predictions.rows]),
        keys=numpy.array(predictions.keys),
        smiles=numpy.array([row.smiles for row in predictions.rows]),
        n_confs=n_confs,
        n_energies=n_confs * has_energies,
        n_components=3 * predictions.n_atoms * n_confs * has_forces,
        energy_squares=add_up(centred**2),
        energy_magnitudes=add_up(numpy.abs(centred)),
        force_squares=add_up(force_squares),
        force_magnitudes=add_up(numpy.nan_to_num(predictions.force_magnitudes, nan=0.0)),
        loss_energy=add_up(weights * weighted**2),
        loss_forces=add_up(weights * force_squares) / (3 * predictions.n_atoms),
    )


class Resampling(typing.NamedTuple):
    """Root mean squares in each bootstrap sample, ``shape=(n_candidates, N_RESAMPLES)`` each."""

    energy_rmse: numpy.ndarray
    force_rmse: numpy.ndarray


def compute_group_errors(errors: ErrorSums) -> list[GroupErrors]:
    """The errors of each source and split that occur, and of all together."""
    splits = [name for name in ("test", "validation", "train", "new") if name in set(errors.splits)]
    sources = sorted(set(errors.sources))
    groups = []
    for split in (*splits, "all"):
        for source in ("all", *sources) if len(sources) > 1 else ("all",):
            chosen = numpy.ones(len(errors.keys), dtype=bool)
            if split != "all":
                chosen &= errors.splits == split
            if source != "all":
                chosen &= errors.sources == source
            if chosen.any():
                groups.append(describe_group(errors, chosen, source, split))
    return groups


def describe_group(errors: ErrorSums, chosen: numpy.ndarray, source: str, split: str) -> GroupErrors:
    """Counts and errors of some entries.

    Args:
        errors: of all entries.
        chosen: which entries, ``shape=(n_entries,)`` bool.
        source, split: what they have in common, "all" for nothing.
    """
    n_energies, n_components = errors.n_energies[chosen].sum(), errors.n_components[chosen].sum()
    n_with_energies, n_with_forces = ((n[chosen] > 0).sum() for n in (errors.n_energies, errors.n_components))
    resampling = resample_molecules(errors, chosen)
    candidates = {}
    for i, name in enumerate(errors.names):
        loss_energy = _divide(errors.loss_energy[i, chosen], n_with_energies)
        loss_forces = _divide(errors.loss_forces[i, chosen], n_with_forces)
        candidates[name] = CandidateErrors(
            energy_rmse=_take_root(_divide(errors.energy_squares[i, chosen], n_energies)),
            energy_rmse_interval=None if resampling is None else find_interval(resampling.energy_rmse[i]),
            force_rmse=_take_root(_divide(errors.force_squares[i, chosen], n_components)),
            force_rmse_interval=None if resampling is None else find_interval(resampling.force_rmse[i]),
            energy_mae=_divide(errors.energy_magnitudes[i, chosen], n_energies),
            force_mae=_divide(errors.force_magnitudes[i, chosen], n_components),
            loss_energy=loss_energy,
            loss_forces=loss_forces,
            loss_energy_root=_take_root(loss_energy),
            loss_forces_root=_take_root(loss_forces),
        )
    return GroupErrors(
        source=source,
        split=split,
        n_entries=int(chosen.sum()),
        n_molecules=len(set(errors.keys[chosen])),
        n_conformers=int(errors.n_confs[chosen].sum()),
        n_single_conformer_entries=int((errors.n_confs[chosen] == 1).sum()),
        n_energies=int(n_energies),
        n_force_components=int(n_components),
        candidates=candidates,
    )


def _divide(values: numpy.ndarray, n: int) -> float | None:
    """The sum of the values by ``n``; None where that is 0."""
    return float(values.sum() / n) if n else None


def _take_root(value: float | None) -> float | None:
    return None if value is None else value**0.5


def resample_molecules(errors: ErrorSums, chosen: numpy.ndarray) -> Resampling | None:
    """Bootstrap over molecules: they, and not their conformers, are independent of each other.

    The samples are the same for every candidate, so that differences between candidates can be resampled, too.

    Returns:
        None where there are too few molecules; NaN in samples whose molecules have no such data.
    """
    keys, molecules = numpy.unique(errors.keys[chosen], return_inverse=True)

    def add_up(values: numpy.ndarray) -> numpy.ndarray:
        return numpy.bincount(molecules, weights=values[chosen], minlength=len(keys))

    rows = [errors.n_energies, errors.n_components, *errors.energy_squares, *errors.force_squares]
    sums = numpy.stack([add_up(row) for row in rows], axis=-1)
    resampled = resample_sums(sums)
    if resampled is None:
        return None
    n_energies, n_components, *squares = resampled.T
    energy, forces = numpy.split(numpy.stack(squares), 2)
    n_energies, n_components = (numpy.where(n > 0.0, n, numpy.nan) for n in (n_energies, n_components))
    return Resampling(numpy.sqrt(energy / n_energies), numpy.sqrt(forces / n_components))


def compare_candidates(errors: ErrorSums, split: str, before: str, after: str) -> Comparison:
    """The relative change of the errors from one candidate to another, with intervals, on a split ("all" for any)."""
    chosen = (errors.splits == split) | (split == "all")
    resampling = resample_molecules(errors, chosen)
    i, j = errors.names.index(before), errors.names.index(after)

    def compare(squares: numpy.ndarray, resampled: numpy.ndarray | None) -> RelativeChange:
        sums = squares[:, chosen].sum(axis=-1)
        if not sums[i] > 0.0:
            return RelativeChange(None, None)
        interval = None if resampled is None else find_interval(resampled[j] / resampled[i] - 1.0)
        return RelativeChange(float(numpy.sqrt(sums[j] / sums[i])) - 1.0, interval)

    return Comparison(
        split=split,
        before=before,
        after=after,
        energy=compare(errors.energy_squares, resampling and resampling.energy_rmse),
        forces=compare(errors.force_squares, resampling and resampling.force_rmse),
    )


NOMINAL_COVERAGES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.6827, 0.8, 0.9, 0.9545, 0.99)
"""Of errors, at which a calibration is looked at; one and two standard errors among them."""


def calibrate(predictions: Predictions, candidate: str, split: str, residual: float) -> Calibration | None:
    """Compares errors of relative energies with their standard errors.

    Args:
        predictions: of all entries.
        candidate: whose errors.
        split: whose molecules count, "all" for any that did not train.
        residual: of the training energies [kcal/mol].

    Returns:
        None where no standard errors are known.
    """
    i = predictions.names.index(candidate)
    n_confs = predictions.n_confs
    in_split = numpy.array([split in (row.split, "all") for row in predictions.rows])
    raw = predictions.energies[i] - predictions.reference
    error = raw - numpy.repeat(numpy.add.reduceat(raw, predictions.starts) / n_confs, n_confs)
    standard_error = predictions.standard_errors[i]
    chosen = numpy.repeat(in_split, n_confs) & ~numpy.isnan(error) & ~numpy.isnan(standard_error)
    if not chosen.any():
        return None
    free = numpy.repeat(1.0 - 1.0 / n_confs, n_confs)[chosen]  # of energies relative to their own mean
    error, variance = error[chosen], standard_error[chosen] ** 2
    total = variance + residual**2 * free
    bounds = [statistics.NormalDist().inv_cdf(0.5 + 0.5 * share) for share in NOMINAL_COVERAGES]
    keys = numpy.repeat(numpy.array(predictions.keys), n_confs)[chosen]
    return Calibration(
        candidate=candidate,
        split=split,
        n_energies=len(error),
        n_molecules=len(set(keys)),
        standard_error=float(numpy.sqrt(variance.mean())),
        residual=residual,
        error=float(numpy.sqrt((error**2).mean())),
        nominal=list(NOMINAL_COVERAGES),
        by_parameters=[float((error**2 <= bound**2 * variance).mean()) for bound in bounds],
        with_residual=[float((error**2 <= bound**2 * total).mean()) for bound in bounds],
    )


def describe_molecules(errors: ErrorSums) -> list[MoleculeErrors]:
    """One record for each molecule (by connectivity): where it occurs and its errors under each candidate."""
    keys, molecules = numpy.unique(errors.keys, return_inverse=True)

    def add_up(values: numpy.ndarray) -> numpy.ndarray:
        return numpy.bincount(molecules, weights=values, minlength=len(keys))

    n_confs = add_up(errors.n_confs)
    energy = _divide_by_molecule(errors.names, map(add_up, errors.energy_squares), add_up(errors.n_energies))
    forces = _divide_by_molecule(errors.names, map(add_up, errors.force_squares), add_up(errors.n_components))
    order = numpy.argsort(molecules, kind="stable")
    groups = numpy.split(order, numpy.cumsum(numpy.bincount(molecules))[:-1])
    return [
        MoleculeErrors(
            molecule=str(key),
            split=str(errors.splits[group[0]]),
            sources=" ".join(sorted(set(errors.sources[group]))),
            n_entries=len(group),
            n_conformers=int(n_confs[i]),
            energy_rmse={name: values[i] for name, values in energy.items()},
            force_rmse={name: values[i] for name, values in forces.items()},
        )
        for i, (key, group) in enumerate(zip(keys, groups, strict=True))
    ]


def _divide_by_molecule(
    names: collections.abc.Sequence[str], sums: collections.abc.Iterable[numpy.ndarray], counts: numpy.ndarray
) -> dict[str, list[float | None]]:
    """By candidate the root mean square of each molecule; None where there is nothing to count."""
    return {
        name: [float(numpy.sqrt(one / n)) if n else None for one, n in zip(own, counts, strict=True)]
        for name, own in zip(names, sums, strict=True)
    }


def describe_parameter_errors(
    errors: ErrorSums,
    candidate: str,
    usage: collections.abc.Mapping[str, collections.abc.Collection[tuple[str, str]]],
) -> list[ParameterErrors]:
    """For each parameter, the errors of the molecules that use it against those of all others.

    Args:
        errors: of all entries.
        candidate: whose errors.
        usage: by mapped SMILES, the (type, SMIRKS) that the molecule uses.

    Returns:
        One record for each parameter in use, without its id; the largest ratio of force errors first.
    """
    molecules = describe_molecules(errors)
    places = {record.molecule: i for i, record in enumerate(molecules)}
    energy = numpy.array([record.energy_rmse[candidate] for record in molecules], dtype=numpy.float64)
    forces = numpy.array([record.force_rmse[candidate] for record in molecules], dtype=numpy.float64)
    users: dict[tuple[str, str], set[int]] = {}
    for smiles, key in dict(zip(errors.smiles, errors.keys, strict=True)).items():
        for parameter in usage[smiles]:
            users.setdefault(parameter, set()).add(places[key])
    records = []
    for (type_, smirks), mine in users.items():
        is_user = numpy.zeros(len(molecules), dtype=bool)
        is_user[list(mine)] = True
        own = [_average_known(values[is_user]) for values in (energy, forces)]
        others = [_average_known(values[~is_user]) for values in (energy, forces)]
        records.append(
            ParameterErrors(
                type=type_,
                id="",
                smirks=smirks,
                n_molecules=len(mine),
                energy_rmse=own[0],
                energy_rmse_others=others[0],
                force_rmse=own[1],
                force_rmse_others=others[1],
                force_ratio=own[1] / others[1] if own[1] is not None and others[1] else None,
            )
        )
    return sorted(records, key=lambda record: (-(record.force_ratio or 0.0), record.type, record.smirks))


def _average_known(values: numpy.ndarray) -> float | None:
    """The mean of what is not NaN; None where all is."""
    known = values[~numpy.isnan(values)]
    return float(known.mean()) if len(known) else None
