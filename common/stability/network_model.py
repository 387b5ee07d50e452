"""A network as what is learnt: energies of frames, and the quantum loss of its training frames."""

import collections.abc
import functools

import torch

from common.potentials.neural import NeuralPotential
from common.processes.generators import make_generator
from common.stability.pool import compute_parts

FRAMES_IN_PART = 25
"""Training frames whose loss is computed in one go."""


class NetworkModel:
    """An :class:`common.stability.learning.EnergyModel`.

    The quantum loss is ``energy_share`` mean dE² + ``force_share`` mean dF² over frames and force components.
    """

    def __init__(
        self,
        potential: NeuralPotential,
        coords: torch.Tensor,
        energies: torch.Tensor,
        forces: torch.Tensor,
        shares: tuple[float, float],
        batch_size: int,
        molecule_idxs: torch.Tensor | None = None,
    ):
        """Takes the training frames in the potential's type.

        Args:
            potential: what is learnt.
            coords: [Angstrom] ``shape=(n_frames, n_atoms, 3)``.
            energies: [kcal/mol] relative to the references of the network, ``shape=(n_frames,)``.
            forces: [kcal/mol/Angstrom] ``shape=(n_frames, n_atoms, 3)``.
            shares: of the energies and of the forces.
            batch_size: training frames in one step, drawn anew for each.
            molecule_idxs: for a localized estimator, the molecule of each atom.
        """
        self.potential = potential
        self.parameters = potential.get_parameters()
        self._frames = coords, energies, forces
        self._shares, self._batch_size, self._molecule_idxs = shares, batch_size, molecule_idxs

    def prepare(self, coords: torch.Tensor) -> torch.Tensor:
        return coords

    def compute(self, prepared: torch.Tensor) -> torch.Tensor:
        return compute_parts(self.potential, prepared, self._molecule_idxs)

    def compute_quantum_losses(self, key: tuple) -> list[collections.abc.Callable[[], torch.Tensor]]:
        n_frames = len(self._frames[0])
        if self._batch_size < n_frames:
            chosen = torch.randperm(n_frames, generator=make_generator("quantum", *key))[: self._batch_size]
            chosen = chosen.sort().values
        else:
            chosen = torch.arange(n_frames)
        return [
            functools.partial(self._compute_part, chosen[start : start + FRAMES_IN_PART], len(chosen))
            for start in range(0, len(chosen), FRAMES_IN_PART)
        ]

    def restrain(self) -> None:
        pass  # a network has no limits

    def _compute_part(self, frames: torch.Tensor, n_frames: int) -> torch.Tensor:
        coords, energies, forces = (values[frames] for values in self._frames)
        found_energies, found_forces = self.potential.compute_energies_and_forces(coords, differentiable=True)
        energy_loss = (found_energies - energies).square().sum() / n_frames
        force_loss = (found_forces - forces).square().sum() / (n_frames * forces[0].numel())
        return self._shares[0] * energy_loss + self._shares[1] * force_loss
