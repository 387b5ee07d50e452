"""A SMIRNOFF force field, bound to one molecule, as a potential whose parameters can be trained."""

import torch

from common.forcefields.energy import GEOMETRY, Terms, build_terms, evaluate_with_gradient
from common.forcefields.tensors import TensorForceField, TensorTopology
from common.potentials.potential import Evaluate, Potential


class SmirnoffPotential(Potential):
    """Energies in the gas phase without cut-off, in float64; forces in closed form.

    The parameters of all sections are leaves of the graph. The energy of a term is shared evenly among its atoms.
    """

    def __init__(self, topology: TensorTopology, force_field: TensorForceField):
        """Copies the force field's parameters."""
        self.topology = topology
        self.atomic_nums = topology.atomic_nums
        self.cell = None
        self.dtype = torch.float64
        self._leaves = {
            potential.type: potential.parameters.detach().clone().requires_grad_()
            for potential in force_field.potentials
        }
        self.force_field = force_field.replace_parameters(self._leaves)

    def get_parameters(self) -> list[torch.Tensor]:
        return list(self._leaves.values())

    def compute_atom_energies(self, coords: torch.Tensor) -> torch.Tensor:
        x = coords.permute(2, 0, 1)
        energies = coords.new_zeros(coords.shape[:2])
        for type_, terms in self._build_terms().items():
            points = x[..., terms.particle_idxs].unbind(-1)
            shares = terms.evaluate(GEOMETRY[type_][0](*points))[0] / len(points)
            for column in terms.particle_idxs.unbind(-1):
                energies = energies.index_add(1, column, shares)
        return energies

    def compute_energies_and_forces(
        self, coords: torch.Tensor, differentiable: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.set_grad_enabled(differentiable):
            return _evaluate(self._build_terms(), coords)

    def freeze(self) -> Evaluate:
        with torch.no_grad():
            copy = SmirnoffPotential(self.topology, self.force_field)._build_terms()
        return lambda coords: _evaluate(copy, coords)

    def _build_terms(self) -> dict[str, Terms]:
        return {p.type: build_terms(self.topology, p) for p in self.force_field.potentials}


def _evaluate(terms: dict[str, Terms], coords: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    x = coords.permute(2, 0, 1).contiguous()
    energies, gradient = coords.new_zeros(len(coords)), torch.zeros_like(x)
    for type_, own in terms.items():
        own_energies, own_gradient = evaluate_with_gradient(type_, own, x)
        energies, gradient = energies + own_energies.sum(-1), gradient + own_gradient
    return energies, -gradient.permute(1, 2, 0)
