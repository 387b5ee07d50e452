"""How large the errors are: by source and split, by molecule, by parameter, with intervals.

Energies are compared relative to the mean of their entry, in both the force field and the reference, as Wang et al.
(espaloma, Chem. Sci. 13, 12016, 2022) and Takaba et al. (espaloma 0.3, Chem. Sci. 15, 12861, 2024) report them. A root
mean square here pools conformers (energies) or force components (forces); ``loss_energy`` and ``loss_forces`` are the
means over entries that stage 004 minimises.
"""

import collections.abc
import dataclasses
import typing

import numpy

from common.analysis.evaluation import Evaluation

N_RESAMPLES = 1_000
BOOTSTRAP_SEED = 0
CONFIDENCE = 0.95
MIN_MOLECULES = 5
"""No interval is given for fewer: resampling so few says nothing."""

_RESAMPLES_AT_ONCE = 50


@dataclasses.dataclass(frozen=True)
class EntryErrors:
    """Sums over the conformers of each entry, from which every figure follows.

    Attributes:
        names: of the candidates.
        sources, splits, keys, smiles: of each entry.
        n_confs, n_components: conformers and force components of each entry, ``shape=(n_entries,)``.
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
    n_components: numpy.ndarray
    energy_squares: numpy.ndarray
    energy_magnitudes: numpy.ndarray
    force_squares: numpy.ndarray
    force_magnitudes: numpy.ndarray
    loss_energy: numpy.ndarray
    loss_forces: numpy.ndarray


def sum_over_entries(evaluation: Evaluation) -> EntryErrors:
    """Reduces conformers to entries."""
    starts, n_confs = evaluation.starts, evaluation.n_confs

    def add_up(values: numpy.ndarray) -> numpy.ndarray:
        return numpy.add.reduceat(values, starts, axis=-1)

    raw = evaluation.energies - evaluation.reference
    centred = raw - numpy.repeat(add_up(raw) / n_confs, n_confs, axis=-1)
    weights = evaluation.weights
    weighted = raw - numpy.repeat(add_up(weights * raw), n_confs, axis=-1)
    force_squares = evaluation.force_squares
    return EntryErrors(
        names=evaluation.names,
        sources=numpy.array([row.source for row in evaluation.rows]),
        splits=numpy.array([row.split for row in evaluation.rows]),
        keys=numpy.array(evaluation.keys),
        smiles=numpy.array([row.smiles for row in evaluation.rows]),
        n_confs=n_confs,
        n_components=3 * evaluation.n_atoms * n_confs,
        energy_squares=add_up(centred**2),
        energy_magnitudes=add_up(numpy.abs(centred)),
        force_squares=add_up(force_squares),
        force_magnitudes=add_up(evaluation.force_magnitudes),
        loss_energy=add_up(weights * weighted**2),
        loss_forces=add_up(weights * force_squares) / (3 * evaluation.n_atoms),
    )


class Resampling(typing.NamedTuple):
    """Root mean squares in each bootstrap sample, ``shape=(n_candidates, N_RESAMPLES)`` each."""

    energy_rmse: numpy.ndarray
    force_rmse: numpy.ndarray


def compute_metrics(errors: EntryErrors) -> list[dict[str, typing.Any]]:
    """The figures of each source and split that occur, and of all together.

    Returns:
        Plain records with ``source`` and ``split`` ("all" for any), counts, and ``candidates``: by name the figures.
    """
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
                groups.append({"source": source, "split": split, **describe_group(errors, chosen)})
    return groups


def describe_group(errors: EntryErrors, chosen: numpy.ndarray) -> dict[str, typing.Any]:
    """Counts and figures of some entries.

    Args:
        errors: of all entries.
        chosen: which entries, ``shape=(n_entries,)`` bool.
    """
    n_confs, n_components = errors.n_confs[chosen].sum(), errors.n_components[chosen].sum()
    resampling = resample_molecules(errors, chosen)
    candidates = {}
    for i, name in enumerate(errors.names):
        loss_energy, loss_forces = (part[i, chosen].mean() for part in (errors.loss_energy, errors.loss_forces))
        candidates[name] = {
            "energy_rmse": float(numpy.sqrt(errors.energy_squares[i, chosen].sum() / n_confs)),
            "energy_rmse_interval": _find_interval(resampling and resampling.energy_rmse[i]),
            "force_rmse": float(numpy.sqrt(errors.force_squares[i, chosen].sum() / n_components)),
            "force_rmse_interval": _find_interval(resampling and resampling.force_rmse[i]),
            "energy_mae": float(errors.energy_magnitudes[i, chosen].sum() / n_confs),
            "force_mae": float(errors.force_magnitudes[i, chosen].sum() / n_components),
            "loss_energy": float(loss_energy),
            "loss_forces": float(loss_forces),
            "loss_energy_root": float(numpy.sqrt(loss_energy)),
            "loss_forces_root": float(numpy.sqrt(loss_forces)),
        }
    return {
        "n_entries": int(chosen.sum()),
        "n_molecules": len(set(errors.keys[chosen])),
        "n_conformers": int(n_confs),
        "n_single_conformer_entries": int((errors.n_confs[chosen] == 1).sum()),
        "n_force_components": int(n_components),
        "candidates": candidates,
    }


def resample_molecules(errors: EntryErrors, chosen: numpy.ndarray) -> Resampling | None:
    """Bootstrap over molecules: they, and not their conformers, are independent of each other.

    The samples are the same for every candidate, so that differences between candidates can be resampled, too.

    Returns:
        None where there are too few molecules.
    """
    keys, molecules = numpy.unique(errors.keys[chosen], return_inverse=True)
    if len(keys) < MIN_MOLECULES:
        return None

    def add_up(values: numpy.ndarray) -> numpy.ndarray:
        return numpy.bincount(molecules, weights=values[chosen], minlength=len(keys))

    rows = [errors.n_confs, errors.n_components, *errors.energy_squares, *errors.force_squares]
    sums = numpy.stack([add_up(row) for row in rows], axis=-1)
    random = numpy.random.default_rng(BOOTSTRAP_SEED)
    resampled = []
    for _ in range(0, N_RESAMPLES, _RESAMPLES_AT_ONCE):  # how often each molecule is drawn, in batches to save memory
        counts = random.multinomial(len(keys), numpy.full(len(keys), 1.0 / len(keys)), size=_RESAMPLES_AT_ONCE)
        resampled.append(counts @ sums)
    n_confs, n_components, *squares = numpy.concatenate(resampled).T
    energy, forces = numpy.split(numpy.stack(squares), 2)
    return Resampling(numpy.sqrt(energy / n_confs), numpy.sqrt(forces / n_components))


def _find_interval(values: numpy.ndarray | None) -> list[float] | None:
    if values is None:
        return None
    return [float(v) for v in numpy.quantile(values, [(1.0 - CONFIDENCE) / 2.0, (1.0 + CONFIDENCE) / 2.0])]


def compare_candidates(errors: EntryErrors, split: str, before: str, after: str) -> dict[str, typing.Any]:
    """The relative change of the errors from one candidate to another, with intervals, on a split ("all" for any).

    Returns:
        ``energy`` and ``forces``, each with ``change`` (-0.2 is a fifth less) and ``interval``.
    """
    chosen = (errors.splits == split) | (split == "all")
    resampling = resample_molecules(errors, chosen)
    i, j = errors.names.index(before), errors.names.index(after)
    comparison: dict[str, typing.Any] = {"split": split, "before": before, "after": after}
    for name, squares, place in (("energy", errors.energy_squares, 0), ("forces", errors.force_squares, 1)):
        sums = squares[:, chosen].sum(axis=-1)
        change = float(numpy.sqrt(sums[j] / sums[i])) - 1.0 if sums[i] > 0.0 else None
        ratios = None if resampling is None or change is None else resampling[place][j] / resampling[place][i]
        comparison[name] = {"change": change, "interval": None if ratios is None else _find_interval(ratios - 1.0)}
    return comparison


def describe_molecules(errors: EntryErrors) -> list[dict[str, typing.Any]]:
    """One record for each molecule (by connectivity): where it occurs and its errors under each candidate."""
    keys, molecules = numpy.unique(errors.keys, return_inverse=True)

    def add_up(values: numpy.ndarray) -> numpy.ndarray:
        return numpy.bincount(molecules, weights=values, minlength=len(keys))

    n_confs, n_components = add_up(errors.n_confs), add_up(errors.n_components)
    energy = {n: numpy.sqrt(add_up(row) / n_confs) for n, row in zip(errors.names, errors.energy_squares, strict=True)}
    forces = {
        n: numpy.sqrt(add_up(row) / n_components) for n, row in zip(errors.names, errors.force_squares, strict=True)
    }
    order = numpy.argsort(molecules, kind="stable")
    groups = numpy.split(order, numpy.cumsum(numpy.bincount(molecules))[:-1])
    return [
        {
            "molecule": str(key),
            "split": str(errors.splits[group[0]]),
            "sources": " ".join(sorted(set(errors.sources[group]))),
            "n_entries": len(group),
            "n_conformers": int(n_confs[i]),
            **{f"energy_rmse {name}": float(values[i]) for name, values in energy.items()},
            **{f"force_rmse {name}": float(values[i]) for name, values in forces.items()},
        }
        for i, (key, group) in enumerate(zip(keys, groups, strict=True))
    ]


def describe_parameter_errors(
    errors: EntryErrors,
    candidate: str,
    usage: collections.abc.Mapping[str, collections.abc.Collection[tuple[str, str]]],
) -> list[dict[str, typing.Any]]:
    """For each parameter, the errors of the molecules that use it against those of all others.

    Args:
        errors: of all entries.
        candidate: whose errors.
        usage: by mapped SMILES, the (type, SMIRKS) that the molecule uses.

    Returns:
        One record for each parameter in use, with means over molecules of their root mean square errors; the largest
        ratio of force errors first. ``others`` is None where every molecule uses it.
    """
    molecules = describe_molecules(errors)
    places = {record["molecule"]: i for i, record in enumerate(molecules)}
    energy = numpy.array([record[f"energy_rmse {candidate}"] for record in molecules])
    forces = numpy.array([record[f"force_rmse {candidate}"] for record in molecules])
    users: dict[tuple[str, str], set[int]] = {}
    for smiles, key in dict(zip(errors.smiles, errors.keys, strict=True)).items():
        for parameter in usage[smiles]:
            users.setdefault(parameter, set()).add(places[key])
    records = []
    for (type_, smirks), mine in users.items():
        is_user = numpy.zeros(len(molecules), dtype=bool)
        is_user[list(mine)] = True
        record = {"type": type_, "smirks": smirks, "n_molecules": len(mine)}
        for name, values in (("energy_rmse", energy), ("force_rmse", forces)):
            record[name] = float(values[is_user].mean())
            record[f"{name}_others"] = float(values[~is_user].mean()) if not is_user.all() else None
        others = record["force_rmse_others"]
        record["force_ratio"] = record["force_rmse"] / others if others else None
        records.append(record)
    return sorted(records, key=lambda record: (-(record["force_ratio"] or 0.0), record["type"], record["smirks"]))
