"""A neural potential: a network of atom energies, bound to one system."""

import torch

from common.geometry.periodic import check_cutoff
from common.neural.atom_energies import N_ELEMENTS, AtomEnergyNetwork
from common.neural.compiled import CompiledSchNet
from common.neural.pairs import compute_pair_vectors, drop_far_pairs, list_pairs, repeat_pairs
from common.neural.schnet import SchNetTrunk
from common.potentials.potential import Evaluate, Potential


class NeuralPotential(Potential):
    """The network, the elements of the system, and its pairs."""

    def __init__(self, network: AtomEnergyNetwork, atomic_nums: torch.Tensor, cell: torch.Tensor | None = None):
        """Binds a network, which is shared and not copied, to a system on the network's device.

        Raises:
            ValueError: an element has no embedding, or the network sees further than half the box.
        """
        weight = network.embedding.weight
        self.network = network
        self.dtype = weight.dtype
        self.atomic_nums = atomic_nums.to(weight.device)
        self.cell = None if cell is None else cell.to(weight.device, self.dtype)
        if int(atomic_nums.min()) < 1 or int(atomic_nums.max()) >= N_ELEMENTS:
            raise ValueError(
                f"atomic numbers from 1 to {N_ELEMENTS - 1} are known, {atomic_nums.tolist()} are asked for"
            )
        check_cutoff(network.settings.cutoff, self.cell)
        self._pairs = list_pairs(len(atomic_nums), weight.device)
        self._repeated: tuple[int, torch.Tensor] = (0, self._pairs[:, :0])

    def get_parameters(self) -> list[torch.Tensor]:
        return list(self.network.parameters())

    def compute_atom_energies(self, coords: torch.Tensor) -> torch.Tensor:
        n_frames, flat = len(coords), coords.reshape(-1, 3)
        if self._repeated[0] != n_frames:
            self._repeated = n_frames, repeat_pairs(self._pairs, n_frames, self.n_atoms)
        pairs = drop_far_pairs(flat, self._repeated[1], self.network.settings.cutoff, self.cell)
        vectors = compute_pair_vectors(flat, pairs, self.cell)
        return self.network(self.atomic_nums.repeat(n_frames), vectors, pairs).reshape(n_frames, self.n_atoms)

    def freeze(self) -> Evaluate:
        """Compiled where it can be: a SchNet in float32 on a processor."""
        is_plain = self.device.type == "cpu" and self.dtype == torch.float32
        if is_plain and isinstance(self.network.trunk, SchNetTrunk):
            return CompiledSchNet(self.network, self.atomic_nums, self.cell)
        return self.compute_energies_and_forces
