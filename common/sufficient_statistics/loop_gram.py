"""Gram matrices of entries on a processor: compiled loops over a molecule's interactions, then BLAS.

Some tens of conformers of an entry, a block, are handled together: each interaction is computed for all of them
(:mod:`common.geometry.loop_geometry`) and added to the rows of the feature matrix that it feeds, which
lies in the cache as long as the block lasts; then one call of BLAS's syrk adds the block to the Gram matrix. What
:mod:`common.sufficient_statistics.tensor_gram` has in buffers between its operations never reaches the memory here.
"""

import collections.abc
import typing

import llvmlite.binding
import numba
import numpy
import torch
from numba.extending import get_cython_function_address

from common.forcefields.evaluation import round_periodicities
from common.geometry.loop_geometry import (
    COORDINATE,
    COSINE_N,
    ENERGY,
    LANES,
    N_ROWS,
    SCALE,
    SINE_N,
    SLOPE,
    X1,
    X2,
    X3,
    X4,
    compile_loop,
    compute_angles,
    compute_dihedrals,
    compute_distances,
    multiply_dihedrals,
)
from common.sufficient_statistics.entry_grams import EntryGrams, WeightedEntry
from common.sufficient_statistics.interactions import Interactions, InteractionTable

BLOCK_BYTES = 400_000
"""Size of the feature matrix of one block: what a processor's second cache holds, and some room."""

FEWEST_LANES = 4
"""Frames at least that are handled together, however large their matrix."""

_char_p, _int_p, _double_p = (numba.types.CPointer(t) for t in (numba.types.uint8, numba.types.int32, numba.float64))
# by name and not by address, so that what is compiled may be kept for other processes
llvmlite.binding.add_symbol("common_dsyrk", get_cython_function_address("scipy.linalg.cython_blas", "dsyrk"))
_dsyrk: typing.Any = numba.types.ExternalFunction(
    "common_dsyrk",
    numba.void(
        _char_p, _char_p, _int_p, _int_p, _double_p, _double_p, _int_p, _double_p, _double_p, _int_p
    ),
)  # fmt: skip


class _Tables(typing.NamedTuple):
    """The interactions of all molecules, as the loops want them.

    Attributes:
        bounds: for each molecule the first row and the one after the last in each of the six tables that follow,
            ``shape=(n_molecules, 6, 2)``: bonds, angles, dihedrals, pairs, trained pairs, features.
        bonds, angles: atoms and, last, the feature.
        bond_minima, angle_minima: of the reference.
        dihedrals: atoms.
        first_terms: of each dihedral, the first of its terms, and one more at the end.
        terms: feature and periodicity, those of a dihedral together.
        term_values: 1/idivf, the cosine of the phase and its sine.
        pairs: atoms.
        pair_values: Coulomb [kcal/mol Angstrom], 4ε times scale [kcal/mol], σ [Angstrom].
        trained_pairs: atoms and feature.
        trained_values: four times the scale, and σ.
        phi: φ of the reference on the features of all molecules.
    """

    bounds: numpy.ndarray
    bonds: numpy.ndarray
    bond_minima: numpy.ndarray
    angles: numpy.ndarray
    angle_minima: numpy.ndarray
    dihedrals: numpy.ndarray
    first_terms: numpy.ndarray
    terms: numpy.ndarray
    term_values: numpy.ndarray
    pairs: numpy.ndarray
    pair_values: numpy.ndarray
    trained_pairs: numpy.ndarray
    trained_values: numpy.ndarray
    phi: numpy.ndarray


def _lay_out(interactions: Interactions, phi: torch.Tensor) -> _Tables:
    dihedrals, torsions = interactions.dihedrals, interactions.torsions
    molecules = torch.repeat_interleave(torch.arange(len(torsions.counts)), torsions.counts)
    which = (dihedrals.starts[molecules] + torsions.values["dihedral"]).numpy()
    order = numpy.argsort(which, kind="stable")
    phase = torsions.values["phase"].numpy()
    n_features = numpy.array([len(features) for features in interactions.features])
    ends = numpy.cumsum(n_features)
    tables = (*interactions.harmonic.values(), dihedrals, interactions.pairs, interactions.trained_pairs)
    bounds = [*((table.starts.numpy(), (table.starts + table.counts).numpy()) for table in tables)]
    periodicity = round_periodicities(torsions.values["periodicity"].numpy())
    return _Tables(
        bounds=numpy.ascontiguousarray(numpy.array([*bounds, (ends - n_features, ends)]).transpose(2, 0, 1)),
        bonds=_stack(interactions.harmonic["Bonds"], "feature"),
        bond_minima=interactions.harmonic["Bonds"].values["minimum"].numpy(),
        angles=_stack(interactions.harmonic["Angles"], "feature"),
        angle_minima=interactions.harmonic["Angles"].values["minimum"].numpy(),
        dihedrals=_stack(dihedrals),
        first_terms=numpy.searchsorted(which[order], numpy.arange(dihedrals.values["particle_idxs"].shape[1] + 1)),
        terms=numpy.stack((torsions.values["feature"].numpy(), periodicity), axis=1)[order],
        term_values=numpy.stack((torsions.values["inverse_idivf"].numpy(), numpy.cos(phase), numpy.sin(phase)), axis=1)[
            order
        ],
        pairs=_stack(interactions.pairs),
        pair_values=_stack_values(interactions.pairs, "coulomb", "lj_strength", "lj_sigma"),
        trained_pairs=_stack(interactions.trained_pairs, "feature"),
        trained_values=_stack_values(interactions.trained_pairs, "lj_scale", "lj_sigma") * [4.0, 1.0],
        phi=numpy.concatenate([phi.numpy()[features] for features in interactions.features]),
    )


def _stack(table: InteractionTable, *names: str) -> numpy.ndarray:
    rows = [*table.values["particle_idxs"].numpy(), *(table.values[name].numpy() for name in names)]
    return numpy.ascontiguousarray(numpy.stack(rows, axis=1), dtype=numpy.int64)


def _stack_values(table: InteractionTable, *names: str) -> numpy.ndarray:
    return numpy.ascontiguousarray(numpy.stack([table.values[name].numpy() for name in names], axis=1))


# --- the loops: rows of the feature matrix have shape=(n_features + 1, 3 n_atoms, n) within a block of n frames -------


@compile_loop()
def _add_energy(energy, feature, first, rows, place, n):
    """Adds a row of numbers to the energies of a feature from frame ``first`` on."""
    for f in range(n):
        energy[feature, first + f] += rows[place + f]


@compile_loop()
def _add_atom(gradient, feature, atom, rows, place, sign, n):
    """Adds sign · slope · the gradient of the coordinate by one atom, which stands at ``place``."""
    for f in range(n):  # more rows in one loop, and the compiler gives up to see whether they overlap
        slope = sign * rows[SLOPE + f]
        gradient[feature, 3 * atom, f] += slope * rows[place + f]
        gradient[feature, 3 * atom + 1, f] += slope * rows[place + LANES + f]
        gradient[feature, 3 * atom + 2, f] += slope * rows[place + 2 * LANES + f]


@compile_loop()
def _add_bonds(tables, begin, end, x, rows, energy, gradient, first, n):
    for row in range(begin, end):
        i, j, feature = tables.bonds[row, 0], tables.bonds[row, 1], tables.bonds[row, 2]
        minimum = tables.bond_minima[row]
        compute_distances(x, i, j, rows, n)
        for part in range(2):
            for f in range(n):
                shift = rows[COORDINATE + f] - minimum
                rows[ENERGY + f] = 0.5 * shift * shift if part == 0 else -shift
                rows[SLOPE + f] = (shift if part == 0 else -1.0) * rows[SCALE + f]
            _add_energy(energy, feature + part, first, rows, ENERGY, n)
            _add_atom(gradient, feature + part, i, rows, X1, 1.0, n)
            _add_atom(gradient, feature + part, j, rows, X1, -1.0, n)


@compile_loop()
def _add_angles(tables, begin, end, x, rows, energy, gradient, first, n):
    for row in range(begin, end):
        i, j, k = tables.angles[row, 0], tables.angles[row, 1], tables.angles[row, 2]
        feature, minimum = tables.angles[row, 3], tables.angle_minima[row]
        compute_angles(x, i, j, k, rows, n)
        for part in range(2):
            for f in range(n):
                shift = rows[COORDINATE + f] - minimum
                rows[ENERGY + f] = 0.5 * shift * shift if part == 0 else -shift
                rows[SLOPE + f] = (shift if part == 0 else -1.0) * rows[SCALE + f]
            _add_energy(energy, feature + part, first, rows, ENERGY, n)
            _add_atom(gradient, feature + part, i, rows, X1, 1.0, n)
            _add_atom(gradient, feature + part, j, rows, X2, 1.0, n)
            _add_atom(gradient, feature + part, k, rows, X3, 1.0, n)


@compile_loop()
def _add_torsions(tables, begin, end, x, rows, energy, gradient, first, n):
    """All terms of each dihedral: (1 + cos(mφ - γ)) / idivf, with cos and sin of mφ from those of φ."""
    for row in range(begin, end):
        i, j = tables.dihedrals[row, 0], tables.dihedrals[row, 1]
        k, m = tables.dihedrals[row, 2], tables.dihedrals[row, 3]
        compute_dihedrals(x, i, j, k, m, rows, n)
        for term in range(tables.first_terms[row], tables.first_terms[row + 1]):
            feature, periodicity = tables.terms[term, 0], tables.terms[term, 1]
            factor = tables.term_values[term, 0]
            cosine, sine = tables.term_values[term, 1], tables.term_values[term, 2]
            multiply_dihedrals(rows, periodicity, n)
            for f in range(n):
                rows[ENERGY + f] = factor * (1.0 + rows[COSINE_N + f] * cosine + rows[SINE_N + f] * sine)
                wave = rows[SINE_N + f] * cosine - rows[COSINE_N + f] * sine
                rows[SLOPE + f] = -factor * periodicity * wave * rows[SCALE + f]
            _add_energy(energy, feature, first, rows, ENERGY, n)
            _add_atom(gradient, feature, i, rows, X1, 1.0, n)
            _add_atom(gradient, feature, j, rows, X2, 1.0, n)
            _add_atom(gradient, feature, k, rows, X3, 1.0, n)
            _add_atom(gradient, feature, m, rows, X4, 1.0, n)


@compile_loop()
def _subtract_pairs(tables, begin, end, x, rows, energy, gradient, first, n):
    """Non-bonded pairs that are not in φ: their energy is subtracted from the residual, the last feature."""
    residual = len(energy) - 1
    for row in range(begin, end):
        i, j = tables.pairs[row, 0], tables.pairs[row, 1]
        coulomb, strength, sigma = tables.pair_values[row, 0], tables.pair_values[row, 1], tables.pair_values[row, 2]
        compute_distances(x, i, j, rows, n)
        for f in range(n):
            inverse = 1.0 / rows[COORDINATE + f]
            cube = (sigma * inverse) * (sigma * inverse) * (sigma * inverse)
            attraction = cube * cube
            well = strength * attraction
            rows[ENERGY + f] = -(coulomb * inverse + well * (attraction - 1.0))
            rows[SLOPE + f] = (coulomb * inverse + well * (12.0 * attraction - 6.0)) * inverse * rows[SCALE + f]
        _add_energy(energy, residual, first, rows, ENERGY, n)
        _add_atom(gradient, residual, i, rows, X1, 1.0, n)
        _add_atom(gradient, residual, j, rows, X1, -1.0, n)


@compile_loop()
def _add_trained_pairs(tables, begin, end, x, rows, energy, gradient, first, n):
    for row in range(begin, end):
        i, j = tables.trained_pairs[row, 0], tables.trained_pairs[row, 1]
        feature = tables.trained_pairs[row, 2]
        scale, sigma = tables.trained_values[row, 0], tables.trained_values[row, 1]
        compute_distances(x, i, j, rows, n)
        for part in range(2):
            for f in range(n):
                inverse = 1.0 / rows[COORDINATE + f]
                cube = (sigma * inverse) * (sigma * inverse) * (sigma * inverse)
                attraction = cube * cube
                value = scale * attraction * attraction if part == 0 else -scale * attraction
                rows[ENERGY + f] = value
                rows[SLOPE + f] = (-12.0 if part == 0 else -6.0) * value * inverse * rows[SCALE + f]
            _add_energy(energy, feature + part, first, rows, ENERGY, n)
            _add_atom(gradient, feature + part, i, rows, X1, 1.0, n)
            _add_atom(gradient, feature + part, j, rows, X1, -1.0, n)


@compile_loop()
def _subtract_prediction(matrix, phi):
    """Residual - φ · features, for a matrix of ``shape=(n_features + 1, n)``."""
    residual = matrix[len(phi)]
    for k in range(len(phi)):
        factor, feature = phi[k], matrix[k]
        if factor != 0.0:
            for c in range(len(residual)):
                residual[c] -= factor * feature[c]


@compile_loop()
def _centre(matrix, weights):
    """Subtracts from each row its weighted mean, and multiplies with the roots of the weights."""
    for k in range(len(matrix)):
        row, mean = matrix[k], 0.0
        for c in range(len(weights)):
            mean += weights[c] * row[c]
        for c in range(len(weights)):
            row[c] = (row[c] - mean) * numpy.sqrt(weights[c])


@compile_loop()
def _add_product(matrix, gram):
    """Adds A Aᵀ to the lower triangle of ``gram``; BLAS sees both transposed, since it counts columns first."""
    sizes = numpy.array([matrix.shape[0], matrix.shape[1]], numpy.int32)
    one = numpy.ones(1)
    letters = numpy.array([85, 84], numpy.uint8)  # U, T
    n, k = sizes[:1], sizes[1:]
    _dsyrk(letters[:1].ctypes, letters[1:].ctypes, n.ctypes, k.ctypes, one.ctypes, matrix.ctypes, k.ctypes, one.ctypes,
           gram.ctypes, n.ctypes)  # fmt: skip


@compile_loop()
def _mirror(gram):
    for i in range(len(gram)):
        for j in range(i):
            gram[j, i] = gram[i, j]


@compile_loop()
def _accumulate(tables, space, x, rows, molecule, coords, energies, forces, weights, energy_gram, forces_gram):
    """Fills the two Gram matrices, ``shape=(n_features + 1, n_features + 1)``, of one entry.

    What the entry lacks, energies or forces, is NaN, and its matrix 0. ``space`` holds the feature matrix of a block,
    ``x`` its coordinates, ``shape=(3 n_atoms, LANES)``, ``rows`` those of
    :mod:`common.geometry.loop_geometry`.
    """
    n_confs, n_atoms = coords.shape[0], coords.shape[1]
    n_components, n_rows = 3 * n_atoms, len(energy_gram)
    bounds = tables.bounds[molecule]
    phi = tables.phi[bounds[5, 0] : bounds[5, 1]]
    has_energies, has_forces = not numpy.isnan(energies[0]), not numpy.isnan(forces[0, 0, 0])
    energy = numpy.zeros((n_rows, n_confs))
    n_lanes = min(n_confs, LANES, len(space) // (n_rows * n_components))
    for first in range(0, n_confs, n_lanes):
        n = min(n_lanes, n_confs - first)
        gradient = space[: n_rows * n_components * n].reshape((n_rows, n_components, n))
        gradient[:] = 0.0
        for f in range(n):
            rows[SCALE + f] = numpy.sqrt(weights[first + f] / n_components)
            energy[n_rows - 1, first + f] = energies[first + f]
            for i in range(n_atoms):
                for c in range(3):
                    x[3 * i + c, f] = coords[first + f, i, c]
                    if has_forces:
                        gradient[n_rows - 1, 3 * i + c, f] = -forces[first + f, i, c] * rows[SCALE + f]
        _add_bonds(tables, bounds[0, 0], bounds[0, 1], x, rows, energy, gradient, first, n)
        _add_angles(tables, bounds[1, 0], bounds[1, 1], x, rows, energy, gradient, first, n)
        _add_torsions(tables, bounds[2, 0], bounds[2, 1], x, rows, energy, gradient, first, n)
        _subtract_pairs(tables, bounds[3, 0], bounds[3, 1], x, rows, energy, gradient, first, n)
        _add_trained_pairs(tables, bounds[4, 0], bounds[4, 1], x, rows, energy, gradient, first, n)
        if has_forces:
            matrix = gradient.reshape((n_rows, n_components * n))
            _subtract_prediction(matrix, phi)
            _add_product(matrix, forces_gram)
    if has_energies:
        _subtract_prediction(energy, phi)
        _centre(energy, weights)
        _add_product(energy, energy_gram)
    _mirror(energy_gram)
    _mirror(forces_gram)


def compute_entry_grams(
    entries: collections.abc.Iterable[WeightedEntry],
    interactions: Interactions,
    phi: torch.Tensor,
    block_bytes: int = BLOCK_BYTES,
) -> collections.abc.Iterator[EntryGrams]:
    """Yields the Gram matrices of entries, in their order; see :func:`common.sufficient_statistics.gram`.

    Args:
        entries: what to accumulate; taken as they are needed.
        interactions: of the molecules the entries refer to, on the processor.
        phi: φ of the reference force field, ``shape=(n_features,)``.
        block_bytes: size of the feature matrix that is handled at once.

    Raises:
        ValueError: a periodicity is no whole number.
    """
    tables = _lay_out(interactions, phi)
    shapes = [(len(f) + 1, 3 * n) for f, n in zip(interactions.features, interactions.n_atoms, strict=True)]
    n_numbers = max(block_bytes // 8, *(FEWEST_LANES * rows * components for rows, components in shapes), 1)
    space, x = numpy.empty(n_numbers), numpy.empty((max(components for _, components in shapes), LANES))
    rows = numpy.empty(N_ROWS * LANES)
    for source in entries:
        features = interactions.features[source.molecule_idx]
        grams = numpy.zeros((2, len(features) + 1, len(features) + 1))
        entry = source.entry
        arrays = (_freeze(array) for array in (entry.coords, entry.energy, entry.forces, source.weights))
        _accumulate(tables, space, x, rows, source.molecule_idx, *arrays, *grams)
        yield EntryGrams(source, features, torch.from_numpy(grams[0]), torch.from_numpy(grams[1]))


def _freeze(array: numpy.ndarray) -> numpy.ndarray:
    """A view that is not written to, so that all entries are of the one type that is compiled for."""
    view = numpy.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
