"""Energies and forces of one molecule under several force fields, with what they have in common computed once.

Force fields that a fit compares differ in some parameters of some types. Internal coordinates and their gradients are
the same for all that have the same interactions, energies and forces of a type for all that have the same parameters
of it. Numbers are those of :mod:`common.forcefields.energy`, to the last bit.
"""

import collections.abc
import typing

import torch

from common.forcefields.energy import GEOMETRY, build_terms
from common.forcefields.tensors import TensorForceField, TensorPotential, TensorTopology

_Geometry = tuple[torch.Tensor, torch.Tensor, tuple[torch.Tensor, ...]]


class SharedEvaluation:
    """Evaluates force fields side by side."""

    def __init__(self, force_fields: collections.abc.Sequence[TensorForceField]):
        """Looks for what the force fields have in common."""
        self._force_fields = tuple(force_fields)
        # for each force field and type the first one that has the same values of it
        self._first = [
            {one.type: self._find_first(i, one) for one in force_field.potentials}
            for i, force_field in enumerate(self._force_fields)
        ]

    def _find_first(self, i: int, potential: TensorPotential) -> int:
        for j, earlier in enumerate(self._force_fields[:i]):
            other = earlier.potentials_by_type.get(potential.type)
            if other is not None and _have_same_values(potential, other):
                return j
        return i

    def compute(
        self, topologies: collections.abc.Sequence[TensorTopology], coords: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
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
                raise ValueError(f"coords have shape {tuple(coords.shape)}, expected (n_confs, {topology.n_atoms}, 3)")
        x = coords.permute(2, 0, 1).contiguous()
        energies = coords.new_zeros((len(topologies), len(coords)))
        forces = coords.new_zeros((len(topologies), *coords.shape))
        geometries: dict[typing.Any, list[_Geometry]] = {}  # by the function that computes them
        done: dict[tuple[int, str], tuple[torch.Tensor, torch.Tensor]] = {}
        for i, (topology, force_field) in enumerate(zip(topologies, self._force_fields, strict=True)):
            for potential in force_field.potentials:
                first = self._first[i][potential.type]
                if first == i or topologies[first] is not topology:
                    known = geometries.setdefault(GEOMETRY[potential.type][1], [])
                    found = _evaluate(topology, potential, x, known)
                else:
                    found = done[first, potential.type]
                done[i, potential.type] = found
                energies[i] += found[0]
                forces[i] += found[1]
        return energies, forces


def _have_same_values(one: TensorPotential, other: TensorPotential) -> bool:
    if one.parameter_cols != other.parameter_cols or one.attribute_cols != other.attribute_cols:
        return False
    pairs = ((one.parameters, other.parameters), (one.attributes, other.attributes))
    return all(a is b or (a is not None and b is not None and torch.equal(a, b)) for a, b in pairs)


def _evaluate(
    topology: TensorTopology, potential: TensorPotential, x: torch.Tensor, geometries: list[_Geometry]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Energies and forces of one type; ``geometries`` are those known so far, and gets what is missing."""
    terms = build_terms(topology, potential)
    known = next((one for one in geometries if torch.equal(one[0], terms.particle_idxs)), None)
    if known is None:
        known = (terms.particle_idxs, *GEOMETRY[potential.type][1](*x[..., terms.particle_idxs].unbind(-1)))
        geometries.append(known)
    particle_idxs, q, dq_dx = known
    term_energies, du_dq = terms.evaluate(q)
    gradient = torch.zeros_like(x)
    for column, dq in enumerate(dq_dx):
        gradient = gradient.index_add(-1, particle_idxs[:, column], du_dq * dq)
    return term_energies.sum(-1), -gradient.permute(1, 2, 0)
