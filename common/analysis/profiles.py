"""The molecules with the largest errors, and their energy profiles: what a force field makes of the path that an entry
follows, against the quantum reference.
"""

import collections.abc

import numpy

from common.analysis.error_statistics import ErrorSums, describe_molecules
from common.analysis.predictions import Predictions
from common.analysis.records import MoleculeErrors, Profile, WorstMolecule
from common.analysis.study import Study
from common.data.dataset import Entry, open_dataset, read_entries
from common.data.weighting import ConformerSelection, weigh_conformers
from common.forcefields.tensors import ParameterizedMolecules
from common.relaxation.scans import Scan, find_scan

N_WORST = 12
"""Molecules that are drawn."""

MIN_PROFILE_LENGTH = 3
"""Fewer conformers show no profile."""


def build_profile(
    reference: numpy.ndarray,
    energies: collections.abc.Mapping[str, numpy.ndarray],
    scan: Scan | None,
    standard_errors: collections.abc.Mapping[str, numpy.ndarray] | None = None,
) -> Profile | None:
    """The profile of an entry; None where it has too few conformers, or no energies.

    Args:
        reference: quantum energies [kcal/mol] ``shape=(n_confs,)``.
        energies: by candidate, likewise.
        scan: orders the conformers by angle; without it they are in the order of their quantum energies.
        standard_errors: of ``energies``, relative to their mean, where they are known.
    """
    if len(reference) < MIN_PROFILE_LENGTH or numpy.isnan(reference).any():
        return None
    order = numpy.argsort(reference if scan is None else scan.angles, kind="stable")
    x = numpy.arange(len(order)) + 1 if scan is None else scan.angles[order]
    zero = reference.min() - reference.mean()

    def shift(values: numpy.ndarray) -> list[float]:
        return (values - values.mean() - zero)[order].tolist()

    return Profile(
        axis="conformer, by quantum energy" if scan is None else "dihedral [degree]",
        x=[float(value) for value in x],
        reference=shift(reference),
        energies={name: shift(values) for name, values in energies.items()},
        scanned=None if scan is None else scan.atoms,
        standard_errors={name: values[order].tolist() for name, values in (standard_errors or {}).items()},
    )


def find_worst_molecules(
    study: Study,
    predictions: Predictions,
    errors: ErrorSums,
    candidate: str,
    molecules: ParameterizedMolecules,
) -> list[WorstMolecule]:
    """The molecules whose energy or force error is the largest multiple of the error of all, with their profiles.

    Of each molecule the entry with the largest energy error is shown.
    """
    i = errors.names.index(candidate)
    energy_total = max(numpy.sqrt(errors.energy_squares[i].sum() / max(errors.n_energies.sum(), 1)), 1e-12)
    force_total = max(numpy.sqrt(errors.force_squares[i].sum() / max(errors.n_components.sum(), 1)), 1e-12)

    def compute_multiples(record: MoleculeErrors) -> dict[str, float]:
        return {
            "energy": float((record.energy_rmse[candidate] or 0.0) / energy_total),
            "forces": float((record.force_rmse[candidate] or 0.0) / force_total),
        }

    records = describe_molecules(errors)
    ranked = sorted(records, key=lambda record: (-max(compute_multiples(record).values()), record.molecule))
    worst = []
    for record in ranked[:N_WORST]:
        multiples = compute_multiples(record)
        worst_in = max(multiples, key=multiples.__getitem__)
        mine = numpy.flatnonzero(errors.keys == record.molecule)
        entry = int(mine[numpy.argmax(errors.energy_squares[i, mine] / errors.n_confs[mine])])
        row = predictions.rows[entry]
        [stored] = read_entries(open_dataset(study.data / row.source), [row.row])
        worst.append(
            WorstMolecule(
                **vars(record),
                worst_in=worst_in,
                multiple=multiples[worst_in],
                smiles=row.smiles,
                source=row.source,
                entry=stored.entry,
                profile=_build_entry_profile(predictions, entry, stored, study.conformers, molecules),
            )
        )
    return worst


def _build_entry_profile(
    predictions: Predictions,
    entry: int,
    stored: Entry,
    conformers: ConformerSelection,
    molecules: ParameterizedMolecules,
) -> Profile | None:
    row = predictions.rows[entry]
    kept, _ = weigh_conformers(stored, conformers)
    place = slice(predictions.starts[entry], predictions.starts[entry] + row.n_confs)
    scan = find_scan(molecules.topologies[row.smiles], kept.coords)
    energies = {name: values[place] for name, values in zip(predictions.names, predictions.energies, strict=True)}
    errors = {
        name: values[place]
        for name, values in zip(predictions.names, predictions.standard_errors, strict=True)
        if not numpy.isnan(values[place]).any()
    }
    return build_profile(predictions.reference[place], energies, scan, errors)
