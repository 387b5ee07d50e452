"""Which lengths and angles the data visit, by parameter: what a fitted minimum may be compared with."""

import collections.abc
import dataclasses
import os
import pathlib

import numpy
import torch

from common.data.dataset import open_dataset, read_entries
from common.data.index import index_sources
from common.forcefields.energy import GEOMETRY
from common.forcefields.tensors import ParameterizedMolecules, TensorForceField, ValenceParameterMap
from common.sufficient_statistics.linearization import MINIMUM_COLUMNS

MAX_CONFORMERS_PER_ENTRY = 10
"""Looked at, evenly spread: neighbours in a trajectory visit the same."""

MAX_ENTRIES = 5_000
"""Looked at, evenly spread."""


@dataclasses.dataclass(frozen=True)
class VisitedValues:
    """Of the parameters of one type, what their bonds [Angstrom] or angles [radian] are in the data.

    Attributes:
        lowest, highest, mean: ``shape=(n_rows,)``; NaN where no molecule has the parameter.
    """

    lowest: numpy.ndarray
    highest: numpy.ndarray
    mean: numpy.ndarray


def measure_visited(
    data: str | os.PathLike,
    molecules: ParameterizedMolecules,
    smiles: collections.abc.Collection[str],
) -> dict[str, VisitedValues]:
    """By type, "Bonds" and "Angles", what the conformers visit; of large data a part is looked at.

    Args:
        data: folder of data sets.
        molecules: whose parameters.
        smiles: mapped SMILES of the molecules that count.
    """
    data = pathlib.Path(data)
    wanted = set(smiles)
    rows = [row for row in index_sources(data) if row.smiles in wanted]
    sums = {
        type_: _Sums(len(potential.parameters))
        for type_ in MINIMUM_COLUMNS
        if (potential := molecules.force_field.potentials_by_type.get(type_)) is not None
    }
    chosen = rows[:: max(1, -(-len(rows) // MAX_ENTRIES))]
    for source in dict.fromkeys(row.source for row in chosen):
        mine = [row.row for row in chosen if row.source == source]
        for entry in read_entries(open_dataset(data / source), mine):
            coords = entry.coords[:: max(1, -(-entry.n_confs // MAX_CONFORMERS_PER_ENTRY))]
            points = torch.tensor(coords).permute(2, 0, 1)
            for type_, one in sums.items():
                map_ = molecules.topologies[entry.smiles].parameters.get(type_)
                if isinstance(map_, ValenceParameterMap) and len(map_.parameter_idxs):
                    values = GEOMETRY[type_][0](*points[..., map_.particle_idxs].unbind(-1))
                    one.add(map_.parameter_idxs.numpy(), values.numpy())
    return {type_: one.finish() for type_, one in sums.items()}


class _Sums:
    """Least, greatest and sum of the values of each row."""

    def __init__(self, n_rows: int):
        self.lowest, self.highest = numpy.full(n_rows, numpy.inf), numpy.full(n_rows, -numpy.inf)
        self.total, self.n = numpy.zeros(n_rows), numpy.zeros(n_rows)

    def add(self, rows: numpy.ndarray, values: numpy.ndarray) -> None:
        """Takes values, ``shape=(n_confs, n)``, of rows, ``shape=(n,)``."""
        numpy.minimum.at(self.lowest, rows, values.min(axis=0))
        numpy.maximum.at(self.highest, rows, values.max(axis=0))
        numpy.add.at(self.total, rows, values.sum(axis=0))
        numpy.add.at(self.n, rows, len(values))

    def finish(self) -> VisitedValues:
        """NaN where there was nothing."""
        is_there = self.n > 0
        lowest, highest = (numpy.where(is_there, end, numpy.nan) for end in (self.lowest, self.highest))
        mean = numpy.where(is_there, self.total / numpy.where(is_there, self.n, 1.0), numpy.nan)
        return VisitedValues(lowest, highest, mean)


def move_minima(
    force_field: TensorForceField, visited: collections.abc.Mapping[str, VisitedValues]
) -> TensorForceField:
    """The force field with its lengths and angles at the means of what the data visit, where they visit any."""
    tables = {}
    for type_, values in visited.items():
        potential = force_field.potentials_by_type[type_]
        table = potential.parameters.clone()
        place = potential.parameter_cols.index(MINIMUM_COLUMNS[type_])
        is_there = torch.from_numpy(~numpy.isnan(values.mean))
        table[:, place] = torch.where(is_there, torch.from_numpy(values.mean), table[:, place])
        tables[type_] = table
    return force_field.replace_parameters(tables)
