"""What an observable is to its users: numbers of every frame, and how far their mean is from where it should be."""

import abc

import torch


class Observable(abc.ABC):
    """A function of single frames; means are taken by whoever has the weights.

    Attributes:
        name: a word, e.g. "rdf".
        labels: what each number is, ``n_values`` of them.
    """

    name: str
    labels: tuple[str, ...]

    @property
    def n_values(self) -> int:
        return len(self.labels)

    @abc.abstractmethod
    def compute(self, coords: torch.Tensor) -> torch.Tensor:
        """The values of frames, ``(n_frames, n_atoms, 3)`` [Angstrom] -> ``(n_frames, n_values)``."""

    def compute_by_molecule(self, coords: torch.Tensor) -> torch.Tensor:
        """The same of every molecule for itself, ``shape=(n_frames, n_molecules, n_values)``.

        Raises:
            ValueError: this observable is no property of single molecules.
        """
        raise ValueError(f"{self.name} is no property of single molecules")

    def compute_loss(self, mean: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """How far a mean is from the target, a scalar; both ``shape=(n_values,)``. Differentiable."""
        return (mean - target).square().sum()


def compute_mean_absolute_error(mean: torch.Tensor, target: torch.Tensor) -> float:
    """The mean over values of the absolute difference."""
    return float((mean - target).abs().mean())
