"""The energy surface of one molecule under one force field, made ready for many evaluations."""

import torch

from common.forcefields.energy import GEOMETRY, Terms, build_terms, evaluate_with_gradient
from common.forcefields.tensors import TensorForceField, TensorTopology
from common.forcefields.terms import VALENCE_TYPES

DIFFERENCE = 1e-4
"""[Angstrom or radian] between which a derivative of an energy is subtracted for its slope."""


class Surface:
    """Energies, gradients and the stiff part of the curvature of many geometries at once.

    Coordinates of a geometry lie in one row, atom after atom: ``shape=(n_confs, 3 n_atoms)`` [Angstrom].
    """

    def __init__(self, topology: TensorTopology, force_field: TensorForceField):
        """Looks up the parameters of all interactions."""
        self.n_atoms = topology.n_atoms
        self._terms: dict[str, Terms] = {
            potential.type: build_terms(topology, potential) for potential in force_field.potentials
        }

    def evaluate(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Energies [kcal/mol] ``shape=(n_confs,)`` and +dU/dx [kcal/mol/Angstrom], of the shape of ``x``."""
        components = self._to_components(x)
        energies, gradients = x.new_zeros(len(x)), torch.zeros_like(components)
        for type_, terms in self._terms.items():
            own, gradient = evaluate_with_gradient(type_, terms, components)
            energies = energies + own.sum(-1)
            gradients = gradients + gradient
        return energies, gradients.permute(1, 2, 0).reshape(x.shape)

    def compute_stiffness(self, x: torch.Tensor) -> torch.Tensor:
        """The curvature that bonds, angles, torsions and impropers give where they are stretched or not: Σ k ∇q ∇qᵀ.

        k is d²U/dq² of a term, where positive, else 0; what the change of ∇q adds, and all pairs of atoms, are left
        out. The matrix has no negative eigenvalue, and is near the Hessian in all stiff directions.

        Returns:
            [kcal/mol/Angstrom²] ``shape=(n_confs, 3 n_atoms, 3 n_atoms)``.
        """
        components = self._to_components(x)
        n_confs, n_atoms = components.shape[1:]
        total = x.new_zeros((n_confs, 3 * n_atoms, 3 * n_atoms))
        for type_ in VALENCE_TYPES:
            terms = self._terms.get(type_)
            if terms is None or not len(terms.particle_idxs):
                continue
            q, dq_dx = GEOMETRY[type_][1](*components[..., terms.particle_idxs].unbind(-1))
            slopes = [terms.evaluate(q + shift)[1] for shift in (DIFFERENCE, -DIFFERENCE)]
            k = ((slopes[0] - slopes[1]) / (2.0 * DIFFERENCE)).clamp_min(0.0)
            jacobian = x.new_zeros((n_confs, len(terms.particle_idxs), n_atoms, 3))
            rows = torch.arange(len(terms.particle_idxs))
            for column, dq in enumerate(dq_dx):
                jacobian[:, rows, terms.particle_idxs[:, column]] = dq.permute(1, 2, 0)
            jacobian = jacobian.reshape(n_confs, len(rows), 3 * n_atoms)
            total += jacobian.mT @ (k[..., None] * jacobian)
        return total

    def _to_components(self, x: torch.Tensor) -> torch.Tensor:
        """``(n_confs, 3 n_atoms) -> (3, n_confs, n_atoms)``, as the internal coordinates want it."""
        return x.reshape(len(x), self.n_atoms, 3).permute(2, 0, 1).contiguous()
