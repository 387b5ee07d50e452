"""The sums of the loss at the grain of leaves, in folds of molecules.

Any typing coarser than the leaves has Gram matrices that are sums of rows and columns of these, so that one pass over
the data serves every split of every parameter. A molecule touches few leaves: the matrices are sparse.
"""

import collections.abc
import dataclasses
import functools
import itertools
import os
import pathlib

import numpy
import scipy.sparse

from common.data.dataset import open_dataset, read_entries
from common.data.index import index_sources
from common.data.weighting import ConformerSelection, weigh_conformers
from common.fitting.source_weights import PartWeights, SourceWeights, get_part_weights
from common.forcefields.tensors import ParameterizedMolecules
from common.molecules.mapped_smiles import compute_connectivity_key
from common.processes.pool import Prepared, run_in_processes
from common.sufficient_statistics.entry_grams import WeightedEntry
from common.sufficient_statistics.gram import compute_entry_grams
from common.sufficient_statistics.interactions import build_interactions
from common.sufficient_statistics.linearization import Linearization

SLICE_MOLECULES = 8
"""Molecules whose interactions are laid out at once."""


@dataclasses.dataclass(frozen=True)
class LossSettings:
    """What the loss is made of.

    Attributes:
        force_weight: [Angstrom²] of the forces.
        source_weights: of the entries of each source; others 1.
        conformers: which count.
    """

    force_weight: float = 1.0
    source_weights: SourceWeights = dataclasses.field(default_factory=dict)
    conformers: ConformerSelection = ConformerSelection()  # noqa: RUF009 (frozen)


@dataclasses.dataclass(frozen=True)
class LeafStatistics:
    """Sums of the Gram matrices of entries, of energies and of forces.

    Attributes:
        linearization: of the expanded force field.
        energy, forces: for each fold the sum over its entries, ``shape=(n_columns + 1, n_columns + 1)``, the residual
            last.
        weights: for each fold the sum of the weights of energies and of forces; an entry may lack either.
        force_weight: [Angstrom²] of the forces in the loss.
        molecules: which leaf columns a molecule has, ``shape=(n_molecules, n_columns + 1)`` bool; molecules are told
            apart by connectivity.
    """

    linearization: Linearization
    energy: list[scipy.sparse.csr_array]
    forces: list[scipy.sparse.csr_array]
    weights: list[PartWeights]
    force_weight: float
    molecules: scipy.sparse.csr_array

    @property
    def n_folds(self) -> int:
        return len(self.weights)

    def average(self, folds: collections.abc.Sequence[int]) -> scipy.sparse.csr_array:
        """The mean loss on some folds: of the energies over those that have them, of the forces likewise."""
        total = self._add_up_weights(folds)
        energy, forces = (sum((one[i] for i in folds[1:]), one[folds[0]]) for one in (self.energy, self.forces))
        return scipy.sparse.csr_array(
            energy / (total.energy or 1.0) + self.force_weight * forces / (total.forces or 1.0)
        )

    def get_share(self, fold: int) -> scipy.sparse.csr_array:
        """What a fold adds to the mean loss on all of them."""
        total = self._add_up_weights(range(self.n_folds))
        return scipy.sparse.csr_array(
            self.energy[fold] / (total.energy or 1.0) + self.force_weight * self.forces[fold] / (total.forces or 1.0)
        )

    def _add_up_weights(self, folds: collections.abc.Iterable[int]) -> PartWeights:
        return PartWeights(*(sum(parts) for parts in zip(*(self.weights[i] for i in folds), strict=True)))


def compute_leaf_statistics(
    data: str | os.PathLike,
    molecules: ParameterizedMolecules,
    folds: collections.abc.Mapping[str, int],
    n_folds: int,
    settings: LossSettings,
    n_workers: int = 1,
) -> LeafStatistics:
    """One pass over the entries of the molecules in ``folds``.

    Args:
        data: folder of data sets.
        molecules: with leaves for parameters (:func:`common.type_discovery.leaves.find_leaves`).
        folds: the fold of each mapped SMILES that counts.
        n_folds: how many there are.
        settings: what the loss is made of.
        n_workers: number of processes.
    """
    data = pathlib.Path(data)
    rows: dict[str, list[tuple[str, int]]] = {}
    for row in index_sources(data):
        if row.smiles in folds:
            rows.setdefault(row.smiles, []).append((row.source, row.row))
    smiles = sorted(rows)
    slices = [
        [(one, rows[one]) for one in smiles[start : start + SLICE_MOLECULES]]
        for start in range(0, len(smiles), SLICE_MOLECULES)
    ]
    n_columns = Linearization(molecules.force_field).n_features + 1
    sums = [[scipy.sparse.csr_array((n_columns, n_columns)) for _ in range(n_folds)] for _ in PartWeights._fields]
    weights = numpy.zeros((n_folds, 2))
    keys = sorted({compute_connectivity_key(one) for one in smiles})
    touched: list[tuple[int, numpy.ndarray]] = []
    prepared = Prepared(functools.partial, (_accumulate_slice, data, molecules, settings))
    results = run_in_processes(prepared, slices, n_workers, [len(one) for one in slices], "leaves", "molecule")
    for one, (columns, matrices, weight) in itertools.chain.from_iterable(
        zip((s for s, _ in slice_), result, strict=True) for slice_, result in zip(slices, results, strict=True)
    ):
        fold = folds[one]
        n = len(columns)
        for part, matrix in zip(sums, matrices, strict=True):
            entries = (matrix.ravel(), (numpy.repeat(columns, n), numpy.tile(columns, n)))
            part[fold] = part[fold] + scipy.sparse.csr_array(entries, shape=(n_columns, n_columns))
        weights[fold] += weight
        touched.append((keys.index(compute_connectivity_key(one)), columns[:-1]))
    pairs = numpy.concatenate([numpy.stack((numpy.full(len(c), i), c)) for i, c in touched], axis=1)
    has = scipy.sparse.csr_array(
        (numpy.ones(pairs.shape[1], dtype=bool), (pairs[0], pairs[1])), shape=(len(keys), n_columns)
    )
    totals = [PartWeights(*row) for row in weights.tolist()]
    return LeafStatistics(Linearization(molecules.force_field), sums[0], sums[1], totals, settings.force_weight, has)


def _accumulate_slice(
    data: pathlib.Path,
    molecules: ParameterizedMolecules,
    settings: LossSettings,
    slice_: list[tuple[str, list[tuple[str, int]]]],
) -> list[tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]]:
    """For each molecule its columns with the residual's, its two summed Gram matrices on these, and its weights."""
    linearization = Linearization(molecules.force_field)
    interactions = build_interactions([molecules.topologies[smiles] for smiles, _ in slice_], linearization)
    phi = linearization.compute(molecules.force_field)
    results = []
    for i, (_, rows) in enumerate(slice_):
        columns = numpy.append(interactions.features[i], linearization.n_features)
        total, weight = numpy.zeros((2, len(columns), len(columns))), numpy.zeros(2)
        for grams in compute_entry_grams(_iterate_entries(data, rows, i, settings), interactions, phi):
            entry = grams.source.entry
            own = get_part_weights(settings.source_weights, entry.entry)
            total[0] += own.energy * grams.energy.numpy()
            total[1] += own.forces * grams.forces.numpy()
            weight += (own.energy * entry.has_energies, own.forces * entry.has_forces)
        results.append((columns, total, weight))
    return results


def _iterate_entries(
    data: pathlib.Path, rows: list[tuple[str, int]], molecule_idx: int, settings: LossSettings
) -> collections.abc.Iterator[WeightedEntry]:
    """The entries of one molecule; their ``entry`` names the source, which weighs them."""
    for source, row in rows:
        [entry] = read_entries(open_dataset(data / source), [row])
        entry, weights = weigh_conformers(entry, settings.conformers)
        yield WeightedEntry(dataclasses.replace(entry, entry=source), molecule_idx, weights)
