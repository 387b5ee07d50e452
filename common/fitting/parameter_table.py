"""``parameters.csv``: every trained value before and after the fit, with its error bar."""

import collections.abc
import csv
import os

import numpy

from common.files.atomic import replace_atomically
from common.fitting.uncertainty import Uncertainty
from common.forcefields.tensors import ParameterizedMolecules, TensorForceField
from common.forcefields.trainable import Trainable
from common.smirnoff.offxml import read_ids
from common.sufficient_statistics.statistics import Statistics

COLUMNS = (
    "type",
    "smirks",
    "id",
    "mult",
    "column",
    "unit",
    "initial",
    "fitted",
    "standard_error",
    "prior_width",
    "n_molecules",
    "n_conformers",
    "determined",
    "at_limit",
    "correlated_with",
    "correlation",
)
"""``standard_error`` is empty where the data say nothing; ``n_molecules`` and ``n_conformers`` are of the training
data; ``determined`` and ``at_limit`` are yes or no; ``correlated_with`` names a value by its id (or SMIRKS) and
column."""


def write_parameter_table(
    path: str | os.PathLike,
    trainable: Trainable,
    fitted: TensorForceField,
    statistics: Statistics,
    molecules: ParameterizedMolecules,
    prior_widths: numpy.ndarray,
    uncertainty: Uncertainty,
) -> None:
    """Writes one row for each trained value, in the order of ``trainable.names``."""
    ids = read_ids(molecules.provenance["offxml"])
    labels = [_describe(trainable, ids, i) for i in range(len(trainable.names))]
    with replace_atomically(path) as beside, beside.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for i, (type_, row, name) in enumerate(trainable.names):
            potential = trainable.force_field.potentials_by_type[type_]
            key = potential.parameter_keys[row]
            error, partner = uncertainty.standard_error[i], uncertainty.partner[i]
            writer.writerow(
                [
                    type_,
                    key.id,
                    ids.get((type_, key.id), ""),
                    "" if key.mult is None else key.mult,
                    name,
                    potential.parameter_units[potential.parameter_cols.index(name)],
                    repr(potential.column(name)[row].item()),
                    repr(fitted.potentials_by_type[type_].column(name)[row].item()),
                    f"{error:.6g}" if numpy.isfinite(error) else "",
                    "" if numpy.isnan(prior_widths[i]) else f"{prior_widths[i]:g}",
                    *statistics.exercise["train"][type_][row].tolist(),
                    "yes" if uncertainty.is_determined[i] else "no",
                    "yes" if uncertainty.is_at_limit[i] else "no",
                    labels[partner] if partner >= 0 else "",
                    f"{uncertainty.correlation[i]:.3f}" if partner >= 0 else "",
                ]
            )


def _describe(trainable: Trainable, ids: collections.abc.Mapping[tuple[str, str], str], i: int) -> str:
    type_, row, name = trainable.names[i]
    key = trainable.force_field.potentials_by_type[type_].parameter_keys[row]
    term = "" if key.mult is None else f" term {key.mult + 1}"
    return f"{ids.get((type_, key.id)) or key.id}{term} {name}"
