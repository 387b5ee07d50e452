"""What a potential is to dynamics and to learning: a differentiable function of the coordinates of one system.

Energies are relative to a zero that is the same for all conformers of the system. "Force" is minus the gradient.
"""

import abc
import collections.abc

import torch

Evaluate = collections.abc.Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""coords (n_frames, n_atoms, 3) [Angstrom] -> energies (n_frames,) and forces (n_frames, n_atoms, 3), detached."""


class Potential(abc.ABC):
    """The potential energy of one system: a molecule, or a box of them.

    Attributes:
        atomic_nums: ``shape=(n_atoms,)`` int64.
        cell: edges of the periodic box [Angstrom], ``shape=(3,)``, or None.
        dtype: of the coordinates that it takes and of what it gives.
    """

    atomic_nums: torch.Tensor
    cell: torch.Tensor | None
    dtype: torch.dtype

    @property
    def n_atoms(self) -> int:
        return len(self.atomic_nums)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.atomic_nums.device

    @abc.abstractmethod
    def compute_atom_energies(self, coords: torch.Tensor) -> torch.Tensor:
        """Energies of atoms [kcal/mol]; differentiable with respect to coordinates and parameters.

        Args:
            coords: [Angstrom] ``shape=(n_frames, n_atoms, 3)``.

        Returns:
            ``shape=(n_frames, n_atoms)``; their sum is the potential energy.
        """

    @abc.abstractmethod
    def get_parameters(self) -> list[torch.Tensor]:
        """The tensors that are trained, as leaves of the graph."""

    def compute_energies(self, coords: torch.Tensor) -> torch.Tensor:
        """Potential energies [kcal/mol], ``(n_frames, n_atoms, 3) -> (n_frames,)``; differentiable."""
        return self.compute_atom_energies(coords).sum(-1)

    def compute_energies_and_forces(
        self, coords: torch.Tensor, differentiable: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Energies [kcal/mol] and forces [kcal/mol/Angstrom].

        Args:
            coords: [Angstrom] ``shape=(n_frames, n_atoms, 3)``.
            differentiable: whether both may be differentiated with respect to the parameters.

        Returns:
            ``shape=(n_frames,)`` and ``shape=(n_frames, n_atoms, 3)``.
        """
        with torch.enable_grad():
            leaf = coords.detach().requires_grad_()
            energies = self.compute_energies(leaf)
            (gradient,) = torch.autograd.grad(energies.sum(), leaf, create_graph=differentiable)
        return (energies if differentiable else energies.detach()), -gradient

    def freeze(self) -> Evaluate:
        """A function for dynamics: energies and forces with the parameters as they are now."""
        return self.compute_energies_and_forces
