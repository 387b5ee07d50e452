"""Noise of each replica from a generator of its own: the same whichever replicas run, on however many processes."""

import collections.abc

import torch

BLOCK_STEPS = 50
"""Steps whose noise is drawn at once; part of what determines a trajectory."""


class ReplicaNoise:
    """Standard normal numbers for the steps of many replicas."""

    def __init__(
        self, generators: collections.abc.Sequence[torch.Generator], n_atoms: int, dtype: torch.dtype, device: str
    ):
        """Takes one generator for each replica."""
        self._generators = generators
        self._n_atoms = n_atoms
        self._dtype = dtype
        self._device = device
        self._step = 0
        self._replicas = torch.arange(len(generators))
        self._block: torch.Tensor | None = None

    def draw(self) -> torch.Tensor:
        """For the next step, ``shape=(n_replicas, n_atoms, 3)``: of the replicas that are left."""
        place = self._step % BLOCK_STEPS
        if self._block is None or place == 0:
            shape = (BLOCK_STEPS, self._n_atoms, 3)
            drawn = [
                torch.randn(shape, generator=self._generators[replica], dtype=self._dtype)
                for replica in self._replicas.tolist()
            ]
            self._block = torch.stack(drawn, dim=1).to(self._device)
        self._step += 1
        return self._block[place]

    def keep(self, replicas: torch.Tensor) -> None:
        """Goes on with some of the replicas that were left: an index or mask over them."""
        self._replicas = self._replicas[replicas.cpu()]
        if self._block is not None:
            self._block = self._block[:, replicas]
