"""Several networks trained on the same labels, each on its own sample of them: where they disagree, they do not know.

The zero of energy is the members' own: references of the elements, one set for all, since what differs by the offset
alone is no disagreement. Total energies are in float64, what the networks add in their own type.
"""

import collections.abc
import dataclasses
import typing

import numpy
import torch

from common.neural.atom_energies import N_ELEMENTS, AtomEnergyNetwork
from common.neural.pairs import compute_pair_vectors, drop_far_pairs, join_pairs
from common.potentials.file import NetworkFile
from common.potentials.neural import NeuralPotential

N_FRAMES_AT_ONCE = 64
"""Evaluated together: larger batches of small molecules gain nothing."""


class EnsemblePrediction(typing.NamedTuple):
    """What the members say of frames of one molecule.

    Attributes:
        energies: [kcal/mol] total energies, ``shape=(n_members, n_frames)`` float64.
        forces: [kcal/mol/Angstrom] ``shape=(n_members, n_frames, n_atoms, 3)`` float64.
    """

    energies: numpy.ndarray
    forces: numpy.ndarray


def predict(
    members: collections.abc.Sequence[NetworkFile], numbers: numpy.ndarray, coords: numpy.ndarray
) -> EnsemblePrediction:
    """All members on frames of one molecule.

    Args:
        members: of one ensemble, at least one.
        numbers: atomic numbers, ``shape=(n_atoms,)``.
        coords: [Angstrom] ``shape=(n_frames, n_atoms, 3)``.
    """
    z = torch.from_numpy(numpy.asarray(numbers, dtype=numpy.int64))
    x = torch.from_numpy(numpy.asarray(coords, dtype=numpy.float64))
    energies = numpy.zeros((len(members), len(x)))
    forces = numpy.zeros((len(members), *x.shape))
    for k, member in enumerate(members):
        potential = NeuralPotential(member.network, z)
        for start in range(0, len(x), N_FRAMES_AT_ONCE):
            part = slice(start, start + N_FRAMES_AT_ONCE)
            found = potential.compute_energies_and_forces(x[part].to(potential.device, potential.dtype))
            energies[k, part], forces[k, part] = (tensor.double().cpu().numpy() for tensor in found)
        energies[k] += compute_reference(member, numbers)
    return EnsemblePrediction(energies, forces)


def compute_reference(member: NetworkFile, numbers: collections.abc.Iterable[int]) -> float:
    """What is added to a network's energy of a molecule [kcal/mol]: the sum of the references of its elements.

    Raises:
        ValueError: the network was not trained on one of the elements.
    """
    try:
        return sum(member.reference_energies[int(number)] for number in numbers)
    except KeyError as error:
        raise ValueError(
            f"the network knows the elements {sorted(member.reference_energies)}, not {error.args[0]}"
        ) from error


@dataclasses.dataclass(frozen=True)
class Frames:
    """Frames of any molecules, laid end to end.

    Attributes:
        numbers: atomic numbers, ``shape=(n_atoms,)`` of all frames together.
        coords: [Angstrom] ``shape=(n_atoms, 3)``.
        n_atoms: of each frame, ``shape=(n_frames,)``.
    """

    numbers: torch.Tensor
    coords: torch.Tensor
    n_atoms: torch.Tensor

    @property
    def places(self) -> torch.Tensor:
        """The frame of each atom, ``shape=(n_atoms,)``."""
        return torch.repeat_interleave(torch.arange(len(self.n_atoms), device=self.n_atoms.device), self.n_atoms)

    def list_atoms(self, frames: torch.Tensor) -> torch.Tensor:
        """The atoms of some frames, in the order of ``frames``, an index."""
        starts = torch.cumsum(self.n_atoms, 0) - self.n_atoms
        lengths = self.n_atoms[frames]
        first = torch.repeat_interleave(starts[frames] - (torch.cumsum(lengths, 0) - lengths), lengths)
        return first + torch.arange(int(lengths.sum()), device=lengths.device)

    def select(self, frames: torch.Tensor) -> "Frames":
        """Some of the frames, by an index."""
        atoms = self.list_atoms(frames)
        return Frames(self.numbers[atoms], self.coords[atoms], self.n_atoms[frames])


def compute_energies_and_forces(
    network: AtomEnergyNetwork, frames: Frames, differentiable: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Energies relative to the references, and forces, of frames of any molecules.

    Args:
        network: of atom energies.
        frames: on its device.
        differentiable: whether both may be differentiated with respect to the network's weights.

    Returns:
        [kcal/mol] ``shape=(n_frames,)`` and [kcal/mol/Angstrom] ``shape=(n_atoms, 3)``, in the network's type.

    Raises:
        ValueError: an element has no embedding.
    """
    if int(frames.numbers.min()) < 1 or int(frames.numbers.max()) >= N_ELEMENTS:
        raise ValueError(f"atomic numbers from 1 to {N_ELEMENTS - 1} are known")
    with torch.enable_grad():
        coords = frames.coords.to(network.embedding.weight.dtype).detach().requires_grad_()
        pairs = drop_far_pairs(coords, join_pairs(frames.n_atoms.tolist(), coords.device), network.settings.cutoff)
        by_atom = network(frames.numbers, compute_pair_vectors(coords, pairs), pairs)
        energies = coords.new_zeros(len(frames.n_atoms)).index_add(0, frames.places, by_atom)
        # create_graph: without it the forces carry no gradient, and nothing but energies would be learnt
        (gradient,) = torch.autograd.grad(energies.sum(), coords, create_graph=differentiable)
    return (energies if differentiable else energies.detach()), -gradient
