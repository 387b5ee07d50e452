"""Energies and forces of one molecule under several force fields, with what they have in common computed once.

Force fields that a fit compares differ in some parameters of some types. Internal coordinates and their gradients are
the same for all that have the same interactions, non-bonded forces for all that have the same vdW types and charges.
What is computed, in compiled loops, is what :mod:`common.forcefields.energy` computes, to rounding.
"""

import collections.abc
import dataclasses

import numpy
import torch

from common.forcefields.energy import compute_energy, compute_forces
from common.forcefields.loop_evaluation import FieldValues, MoleculeMaps, evaluate
from common.forcefields.tensors import TensorForceField, TensorPotential, TensorTopology
from common.forcefields.terms import N_PARTICLES, NONBONDED_TYPES
from common.geometry.loop_geometry import LANES, N_ROWS
from common.units import COULOMB_CONSTANT

BLOCK_BYTES = 300_000
"""Size of the forces that are handled at once: what a processor's second cache holds, and some room."""

FEWEST_LANES = 8
"""Conformers at least that are handled at once, however large the molecule."""


@dataclasses.dataclass(frozen=True)
class Difference:
    """How far energies and forces that were computed in two ways lie apart.

    Attributes:
        n_conformers: that were compared, under each force field.
        energy: the largest difference [kcal/mol] of two energies.
        forces: that of two force components [kcal/mol/Angstrom].
        relative: the larger of both, relative to the largest energy or component of the molecule, if above 1.
    """

    n_conformers: int = 0
    energy: float = 0.0
    forces: float = 0.0
    relative: float = 0.0

    def merge(self, other: "Difference") -> "Difference":
        """Of the conformers of both."""
        return Difference(
            self.n_conformers + other.n_conformers,
            max(self.energy, other.energy),
            max(self.forces, other.forces),
            max(self.relative, other.relative),
        )


def compare_with_plain(
    force_fields: collections.abc.Sequence[TensorForceField],
    topologies: collections.abc.Sequence[TensorTopology],
    coords: numpy.ndarray,
    energies: numpy.ndarray,
    forces: numpy.ndarray,
) -> Difference:
    """Sets what :meth:`SharedEvaluation.compute` gave against ``common.forcefields.energy``, one force field by one.

    Args:
        force_fields, topologies, coords: what was evaluated.
        energies, forces: what it gave.
    """
    points = torch.tensor(numpy.asarray(coords))
    total = Difference()
    for i, (force_field, topology) in enumerate(zip(force_fields, topologies, strict=True)):
        pairs = (
            (energies[i], compute_energy(topology, force_field, points).numpy()),
            (forces[i], compute_forces(topology, force_field, points).numpy()),
        )
        energy, force = (float(numpy.abs(found - expected).max(initial=0.0)) for found, expected in pairs)
        sizes = [max(1.0, float(numpy.abs(expected).max(initial=0.0))) for _, expected in pairs]
        total = total.merge(Difference(0, energy, force, max(energy / sizes[0], force / sizes[1])))
    return dataclasses.replace(total, n_conformers=len(coords))


class SharedEvaluation:
    """Evaluates force fields side by side."""

    def __init__(self, force_fields: collections.abc.Sequence[TensorForceField]):
        """Looks for what the force fields have in common.

        Raises:
            ValueError: a periodicity is no whole number.
        """
        self._force_fields = tuple(force_fields)
        # for each force field the first one that it can be evaluated together with, where topologies are the same
        self._first = [self._find_first(i) for i in range(len(self._force_fields))]
        self._values: dict[tuple[int, ...], FieldValues] = {}
        self._rows = numpy.empty(N_ROWS * LANES)

    @property
    def force_fields(self) -> tuple[TensorForceField, ...]:
        """Those that are evaluated."""
        return self._force_fields

    def _find_first(self, i: int) -> int:
        return next(j for j in range(i + 1) if _are_alike(self._force_fields[j], self._force_fields[i]))

    def compute(
        self, topologies: collections.abc.Sequence[TensorTopology], coords: numpy.ndarray
    ) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Energies and forces.

        Args:
            topologies: of the molecule, one for each force field; the same object where it is the same.
            coords: [Angstrom] ``shape=(n_confs, n_atoms, 3)``.

        Returns:
            [kcal/mol] ``shape=(n_force_fields, n_confs)`` and [kcal/mol/Angstrom]
            ``shape=(n_force_fields, n_confs, n_atoms, 3)``.

        Raises:
            ValueError: the coordinates are not of that shape.
        """
        for topology in topologies:
            if coords.ndim != 3 or coords.shape[1:] != (topology.n_atoms, 3):
                raise ValueError(f"coords have shape {coords.shape}, expected (n_confs, {topology.n_atoms}, 3)")
        coords = numpy.array(coords, dtype=numpy.float64, order="C")
        energies, forces = numpy.empty((len(topologies), len(coords))), numpy.empty((len(topologies), *coords.shape))
        groups: dict[tuple[int, int], list[int]] = {}
        for i, topology in enumerate(topologies):
            groups.setdefault((self._first[i], id(topology)), []).append(i)
        n_components = 3 * coords.shape[1]
        x = numpy.empty((n_components, LANES))
        for members in groups.values():
            key = tuple(members)
            if key not in self._values:
                self._values[key] = _stack_values([self._force_fields[i] for i in members])
            values = self._values[key]
            n_totals = len(members) + len(values.charges)
            space = numpy.empty(max(BLOCK_BYTES // 8, FEWEST_LANES * n_totals * n_components))
            own_energies, own_forces = numpy.empty((len(key), len(coords))), numpy.empty((len(key), *coords.shape))
            maps = _read_maps(topologies[members[0]], self._force_fields[members[0]])
            evaluate(maps, values, coords, space, x, self._rows, own_energies, own_forces)
            energies[members], forces[members] = own_energies, own_forces
        return energies, forces


def _are_alike(one: TensorForceField, other: TensorForceField) -> bool:
    """Whether both have the same types, rows, periodicities and factors of pairs."""
    mine, others = one.potentials_by_type, other.potentials_by_type
    return mine.keys() == others.keys() and all(
        len(potential.parameters) == len(others[type_].parameters)
        and _have_same(potential.attributes, others[type_].attributes)
        and (
            "periodicity" not in potential.parameter_cols
            or torch.equal(potential.column("periodicity"), others[type_].column("periodicity"))
        )
        for type_, potential in mine.items()
    )


def _have_same(one: torch.Tensor | None, other: torch.Tensor | None) -> bool:
    return one is other or (one is not None and other is not None and torch.equal(one, other))


def _stack_values(force_fields: list[TensorForceField]) -> FieldValues:
    """The parameters of force fields that are alike."""
    first = force_fields[0].potentials_by_type
    sets: list[TensorForceField] = []
    of_fields = []
    for force_field in force_fields:
        place = next((i for i, one in enumerate(sets) if _have_same_pairs(one, force_field)), len(sets))
        sets += [force_field] if place == len(sets) else []
        of_fields.append(place)
    return FieldValues(
        bonds=_stack_columns(force_fields, "Bonds", "k", "length"),
        angles=_stack_columns(force_fields, "Angles", "k", "angle"),
        propers=_stack_torsions(force_fields, "ProperTorsions"),
        proper_periodicities=_read_periodicities(first.get("ProperTorsions")),
        impropers=_stack_torsions(force_fields, "ImproperTorsions"),
        improper_periodicities=_read_periodicities(first.get("ImproperTorsions")),
        sets=numpy.array(of_fields),
        lennard_jones=_stack_columns(sets, "vdW", "epsilon", "sigma"),
        charges=_stack_columns(sets, "Electrostatics", "charge")[..., 0] * COULOMB_CONSTANT**0.5,
        vdw_factors=_read_factors(first.get("vdW")),
        charge_factors=_read_factors(first.get("Electrostatics")),
    )


def _have_same_pairs(one: TensorForceField, other: TensorForceField) -> bool:
    mine, others = one.potentials_by_type, other.potentials_by_type
    return all(_have_same(mine[t].parameters, others[t].parameters) for t in NONBONDED_TYPES if t in mine)


def _stack_columns(force_fields: list[TensorForceField], type_: str, *names: str) -> numpy.ndarray:
    """Columns of each force field, ``shape=(n_fields, n_rows, n_columns)``."""
    tables = []
    for force_field in force_fields:
        potential = force_field.potentials_by_type.get(type_)
        columns = [numpy.zeros(0) if potential is None else potential.column(name).numpy() for name in names]
        tables.append(numpy.stack(columns, axis=-1))
    return numpy.ascontiguousarray(numpy.stack(tables))


def _stack_torsions(force_fields: list[TensorForceField], type_: str) -> numpy.ndarray:
    k, idivf, phase = numpy.moveaxis(_stack_columns(force_fields, type_, "k", "idivf", "phase"), -1, 0)
    return numpy.stack((k / idivf, numpy.cos(phase), numpy.sin(phase)), axis=-1)


def _read_periodicities(potential: TensorPotential | None) -> numpy.ndarray:
    return round_periodicities(numpy.zeros(0) if potential is None else potential.column("periodicity").numpy())


def round_periodicities(periodicities: numpy.ndarray) -> numpy.ndarray:
    """Periodicities, ``shape=(n,)``, as int64.

    Raises:
        ValueError: one is no whole number.
    """
    if not numpy.array_equal(periodicities, numpy.rint(periodicities)):
        raise ValueError("a torsion's periodicity is no whole number; correct the force field")
    return periodicities.astype(numpy.int64)


def _read_factors(potential: TensorPotential | None) -> numpy.ndarray:
    """The attributes that scale pairs, and last the factor of those that are no exclusions."""
    if potential is None or potential.attributes is None:
        return numpy.ones(1)
    return numpy.append(potential.attributes.numpy(), potential.attribute("scale_15").item())


def _read_maps(topology: TensorTopology, force_field: TensorForceField) -> MoleculeMaps:
    nothing = numpy.zeros(0, dtype=numpy.int64)
    types = force_field.potentials_by_type
    arrays = []
    for type_ in ("Bonds", "Angles", "ProperTorsions", "ImproperTorsions"):
        if type_ in types:
            map_ = topology.get_valence_map(type_)
            arrays += [map_.particle_idxs.numpy(), map_.parameter_idxs.numpy()]
        else:
            arrays += [nothing.reshape(0, N_PARTICLES[type_]), nothing]
    for type_ in NONBONDED_TYPES:
        if type_ in types:
            pairs = topology.get_nonbonded_map(type_)
            own = (pairs.parameter_idxs, pairs.exclusions, pairs.exclusion_scale_idxs)
            arrays += [one.numpy() for one in own]
        else:
            arrays += [nothing, nothing.reshape(0, 2), nothing.reshape(0, 1)]
    return MoleculeMaps(*map(numpy.ascontiguousarray, arrays))
