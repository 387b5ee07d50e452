"""Energies and forces of one molecule under several force fields, in compiled loops over its interactions.

Some tens of conformers are handled together (:mod:`common.geometry.loop_geometry`). An interaction's coordinate and
gradient are computed once for all force fields, the pairs once for all that have the same non-bonded parameters.
"""

import typing

import numpy

from common.geometry.loop_geometry import (
    COORDINATE,
    COSINE_N,
    LANES,
    SINE_N,
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


class MoleculeMaps(typing.NamedTuple):
    """Which atoms of a molecule interact, and with which parameter; int64.

    Attributes:
        bonds, angles, propers, impropers: atoms, ``shape=(n, 2 | 3 | 4)``.
        bond_rows, angle_rows, proper_rows, improper_rows: the parameter of each, ``shape=(n,)``.
        vdw_rows, charge_rows: the parameter of each atom; none where the force fields have no such section.
        vdw_exclusions, charge_exclusions: pairs with a factor of their own, ``shape=(n, 2)``.
        vdw_scales, charge_scales: which factor, ``shape=(n, 1)``.
    """

    bonds: numpy.ndarray
    bond_rows: numpy.ndarray
    angles: numpy.ndarray
    angle_rows: numpy.ndarray
    propers: numpy.ndarray
    proper_rows: numpy.ndarray
    impropers: numpy.ndarray
    improper_rows: numpy.ndarray
    vdw_rows: numpy.ndarray
    vdw_exclusions: numpy.ndarray
    vdw_scales: numpy.ndarray
    charge_rows: numpy.ndarray
    charge_exclusions: numpy.ndarray
    charge_scales: numpy.ndarray


class FieldValues(typing.NamedTuple):
    """The parameters of force fields that have the same rows.

    Attributes:
        bonds, angles: k and the minimum, ``shape=(n_fields, n_rows, 2)``.
        propers, impropers: k/idivf, the cosine of the phase and its sine, ``shape=(n_fields, n_rows, 3)``.
        proper_periodicities, improper_periodicities: the same for all, ``shape=(n_rows,)`` int64.
        sets: which set of non-bonded parameters each force field has, ``shape=(n_fields,)`` int64.
        lennard_jones: ε and σ, ``shape=(n_sets, n_types, 2)``.
        charges: ``shape=(n_sets, n_charges)``, times the root of Coulomb's constant [kcal/mol Angstrom].
        vdw_factors, charge_factors: of pairs, the same for all; the last is that of pairs that are no exclusions.
    """

    bonds: numpy.ndarray
    angles: numpy.ndarray
    propers: numpy.ndarray
    proper_periodicities: numpy.ndarray
    impropers: numpy.ndarray
    improper_periodicities: numpy.ndarray
    sets: numpy.ndarray
    lennard_jones: numpy.ndarray
    charges: numpy.ndarray
    vdw_factors: numpy.ndarray
    charge_factors: numpy.ndarray


@compile_loop()
def fill_scales(scales, default, exclusions, factors):
    """The factor of each pair of atoms i < j, ``shape=(n_atoms, n_atoms)``, from those of exclusions."""
    scales[:] = default
    for row in range(len(exclusions)):
        i, j = exclusions[row, 0], exclusions[row, 1]
        scales[min(i, j), max(i, j)] = factors[row]


@compile_loop()
def _pull_atom(forces, atom, slopes, rows, place, sign, n):
    """Subtracts sign · slope · the gradient of the coordinate by one atom, which stands at ``place``."""
    for f in range(n):  # more rows in one loop, and the compiler gives up to see whether they overlap
        slope = sign * slopes[f]
        forces[3 * atom, f] -= slope * rows[place + f]
        forces[3 * atom + 1, f] -= slope * rows[place + LANES + f]
        forces[3 * atom + 2, f] -= slope * rows[place + 2 * LANES + f]


@compile_loop()
def _add_harmonic(energy, slopes, rows, k, minimum, first, n):
    """½ k (q - q0)² of the coordinate that stands in ``rows``, and its slope."""
    for f in range(n):
        shift = rows[COORDINATE + f] - minimum
        slopes[f] = k * shift
        energy[first + f] += 0.5 * k * shift * shift


@compile_loop()
def _add_bonds(maps, values, x, rows, slopes, energy, forces, first, n):
    for row in range(len(maps.bond_rows)):
        i, j, parameter = maps.bonds[row, 0], maps.bonds[row, 1], maps.bond_rows[row]
        compute_distances(x, i, j, rows, n)
        for c in range(len(values.bonds)):
            k, minimum = values.bonds[c, parameter, 0], values.bonds[c, parameter, 1]
            _add_harmonic(energy[c], slopes[c], rows, k, minimum, first, n)
            _pull_atom(forces[c], i, slopes[c], rows, X1, 1.0, n)
            _pull_atom(forces[c], j, slopes[c], rows, X1, -1.0, n)


@compile_loop()
def _add_angles(maps, values, x, rows, slopes, energy, forces, first, n):
    for row in range(len(maps.angle_rows)):
        i, j, k, parameter = maps.angles[row, 0], maps.angles[row, 1], maps.angles[row, 2], maps.angle_rows[row]
        compute_angles(x, i, j, k, rows, n)
        for c in range(len(values.angles)):
            constant, minimum = values.angles[c, parameter, 0], values.angles[c, parameter, 1]
            _add_harmonic(energy[c], slopes[c], rows, constant, minimum, first, n)
            _pull_atom(forces[c], i, slopes[c], rows, X1, 1.0, n)
            _pull_atom(forces[c], j, slopes[c], rows, X2, 1.0, n)
            _pull_atom(forces[c], k, slopes[c], rows, X3, 1.0, n)


@compile_loop()
def _add_torsions(atoms, parameters, values, periodicities, x, rows, slopes, energy, forces, first, n):
    """(k / idivf) (1 + cos(mφ - γ)); the terms of one dihedral follow one another, and share its geometry."""
    begin = 0
    while begin < len(parameters):
        i, j, k, m = atoms[begin, 0], atoms[begin, 1], atoms[begin, 2], atoms[begin, 3]
        end = begin + 1
        while end < len(parameters) and (
            atoms[end, 0] == i and atoms[end, 1] == j and atoms[end, 2] == k and atoms[end, 3] == m
        ):
            end += 1
        compute_dihedrals(x, i, j, k, m, rows, n)
        slopes[:] = 0.0
        for term in range(begin, end):
            periodicity = periodicities[parameters[term]]
            multiply_dihedrals(rows, periodicity, n)
            for c in range(len(values)):
                amplitude = values[c, parameters[term], 0]
                cosine, sine = values[c, parameters[term], 1], values[c, parameters[term], 2]
                own_energy, own_slopes = energy[c], slopes[c]
                for f in range(n):
                    own_energy[first + f] += amplitude * (1.0 + rows[COSINE_N + f] * cosine + rows[SINE_N + f] * sine)
                    wave = rows[SINE_N + f] * cosine - rows[COSINE_N + f] * sine
                    own_slopes[f] -= amplitude * periodicity * wave
        for c in range(len(values)):
            _pull_atom(forces[c], i, slopes[c], rows, X1, 1.0, n)
            _pull_atom(forces[c], j, slopes[c], rows, X2, 1.0, n)
            _pull_atom(forces[c], k, slopes[c], rows, X3, 1.0, n)
            _pull_atom(forces[c], m, slopes[c], rows, X4, 1.0, n)
        begin = end


@compile_loop()
def _add_pairs(maps, values, vdw_scales, charge_scales, x, rows, slopes, energy, forces, first, n):
    """Lennard-Jones and Coulomb energies of each set; energies and forces stand behind those of the force fields."""
    n_fields, n_sets, n_atoms = len(values.sets), len(values.charges), len(vdw_scales)
    for i in range(n_atoms):
        for j in range(i + 1, n_atoms):
            vdw_scale, charge_scale = vdw_scales[i, j], charge_scales[i, j]
            if vdw_scale == 0.0 and charge_scale == 0.0:
                continue
            compute_distances(x, i, j, rows, n)
            for s in range(n_sets):
                strength, sigma, coulomb = 0.0, 1.0, 0.0
                if vdw_scale != 0.0:
                    one, other = values.lennard_jones[s, maps.vdw_rows[i]], values.lennard_jones[s, maps.vdw_rows[j]]
                    strength = 4.0 * vdw_scale * numpy.sqrt(one[0] * other[0])
                    sigma = 0.5 * (one[1] + other[1])
                if charge_scale != 0.0:
                    charges = values.charges[s]
                    coulomb = charge_scale * charges[maps.charge_rows[i]] * charges[maps.charge_rows[j]]
                own_energy, own_slopes = energy[n_fields + s], slopes[n_fields + s]
                for f in range(n):
                    inverse = 1.0 / rows[COORDINATE + f]
                    cube = (sigma * inverse) * (sigma * inverse) * (sigma * inverse)
                    attraction = cube * cube
                    well = strength * attraction
                    own_energy[first + f] += coulomb * inverse + well * (attraction - 1.0)
                    own_slopes[f] = -(coulomb * inverse + well * (12.0 * attraction - 6.0)) * inverse
                _pull_atom(forces[n_fields + s], i, own_slopes, rows, X1, 1.0, n)
                _pull_atom(forces[n_fields + s], j, own_slopes, rows, X1, -1.0, n)


@compile_loop()
def evaluate(maps, values, coords, space, x, rows, energies, forces):
    """Fills ``energies`` [kcal/mol] ``shape=(n_fields, n_confs)`` and ``forces`` [kcal/mol/Angstrom] ``shape=(n_fields,
    n_confs, n_atoms, 3)`` of conformers, ``shape=(n_confs, n_atoms, 3)`` [Angstrom].

    ``space`` is for the forces of a block, ``shape=(numbers,)``; ``x`` for its coordinates, ``shape=(3 n_atoms,
    LANES)``; ``rows`` as in :mod:`common.geometry.loop_geometry`.
    """
    n_confs, n_atoms, n_components = coords.shape[0], coords.shape[1], 3 * coords.shape[1]
    n_fields = len(values.sets)
    n_totals = n_fields + len(values.charges)
    n_pairs = n_atoms if len(maps.vdw_rows) or len(maps.charge_rows) else 0
    vdw_scales, charge_scales = numpy.zeros((n_pairs, n_pairs)), numpy.zeros((n_pairs, n_pairs))
    if len(maps.vdw_rows):
        factors = values.vdw_factors[maps.vdw_scales[:, 0]]
        fill_scales(vdw_scales, values.vdw_factors[-1], maps.vdw_exclusions, factors)
    if len(maps.charge_rows):
        factors = values.charge_factors[maps.charge_scales[:, 0]]
        fill_scales(charge_scales, values.charge_factors[-1], maps.charge_exclusions, factors)
    energy, slopes = numpy.zeros((n_totals, n_confs)), numpy.zeros((n_totals, LANES))
    n_lanes = max(1, min(n_confs, LANES, len(space) // (n_totals * n_components)))
    for first in range(0, n_confs, n_lanes):
        n = min(n_lanes, n_confs - first)
        block = space[: n_totals * n_components * n].reshape((n_totals, n_components, n))
        block[:] = 0.0
        for f in range(n):
            for i in range(n_atoms):
                for d in range(3):
                    x[3 * i + d, f] = coords[first + f, i, d]
        _add_bonds(maps, values, x, rows, slopes, energy, block, first, n)
        _add_angles(maps, values, x, rows, slopes, energy, block, first, n)
        _add_torsions(
            maps.propers, maps.proper_rows, values.propers, values.proper_periodicities,
            x, rows, slopes, energy, block, first, n,
        )  # fmt: skip
        _add_torsions(
            maps.impropers, maps.improper_rows, values.impropers, values.improper_periodicities,
            x, rows, slopes, energy, block, first, n,
        )  # fmt: skip
        _add_pairs(maps, values, vdw_scales, charge_scales, x, rows, slopes, energy, block, first, n)
        for c in range(n_fields):
            own, shared = block[c], block[n_fields + values.sets[c]]
            for f in range(n):
                for i in range(n_atoms):
                    for d in range(3):
                        forces[c, first + f, i, d] = own[3 * i + d, f] + shared[3 * i + d, f]
    for c in range(n_fields):
        energies[c] = energy[c] + energy[n_fields + values.sets[c]]
