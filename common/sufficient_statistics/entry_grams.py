"""What goes into the Gram matrices of the pass, what comes out for each entry, and sums of such matrices."""

import collections.abc
import dataclasses

import numpy
import torch

from common.data.dataset import Entry
from common.geometry.loop_geometry import compile_loop


@dataclasses.dataclass(frozen=True)
class WeightedEntry:
    """An entry to accumulate: its molecule among those of ``Interactions``, and the weight of each conformer.

    ``weights`` has ``shape=(n_confs,)`` and the sum 1.
    """

    entry: Entry
    molecule_idx: int
    weights: numpy.ndarray


@dataclasses.dataclass(frozen=True)
class EntryGrams:
    """What one entry contributes.

    Attributes:
        source: the entry.
        features: which features it has, ``shape=(n,)`` int64, ascending.
        energy, forces: Gram matrices of the features and, last, the residual, ``shape=(n + 1, n + 1)``.
    """

    source: WeightedEntry
    features: numpy.ndarray
    energy: torch.Tensor
    forces: torch.Tensor


@compile_loop()
def _add(total, place, matrix, factor):
    for i in range(len(place)):
        row, values = total[place[i]], matrix[i]
        for j in range(len(place)):
            row[place[j]] += factor * values[j]


class GramSums:
    """Sums of Gram matrices by name, over the features that any of them has and the residual, which stands last."""

    def __init__(self, features: numpy.ndarray, names: collections.abc.Sequence[str], device: str = "cpu"):
        """Begins with zeros.

        Args:
            features: all there may be, ``shape=(n,)`` int64, ascending.
            names: of the sums.
            device: where the matrices lie.
        """
        self._features = features
        size = (len(features) + 1,) * 2
        self.matrices = {name: torch.zeros(size, dtype=torch.float64, device=device) for name in names}
        is_here = torch.device(device).type == "cpu"
        self._arrays = {name: matrix.numpy() for name, matrix in self.matrices.items()} if is_here else {}

    def locate(self, features: numpy.ndarray) -> numpy.ndarray:
        """Where matrices of these features, ``shape=(n,)`` int64 ascending, and the residual are added to."""
        return numpy.append(numpy.searchsorted(self._features, features), len(self._features))

    def add(self, place: numpy.ndarray, matrices: collections.abc.Mapping[str, tuple[torch.Tensor, float]]) -> None:
        """Adds matrices, each times a factor.

        Args:
            place: where, as :meth:`locate` says, ``shape=(n + 1,)``.
            matrices: by name of the sum, ``shape=(n + 1, n + 1)``, on the device.
        """
        for name, (matrix, factor) in matrices.items():
            if name in self._arrays:
                _add(self._arrays[name], place, matrix.numpy(), factor)
            else:
                idxs = torch.from_numpy(place).to(matrix.device)
                self.matrices[name][idxs[:, None], idxs] += factor * matrix
