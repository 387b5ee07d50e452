"""Frames with energies and forces, of one molecule or of many, and batches of them laid end to end."""

import collections.abc
import dataclasses

import numpy
import torch

from common.data.trajectories import Trajectory
from common.geometry.periodic import read_edges
from common.molecules.mapped_smiles import from_mapped_smiles
from common.neural.pairs import list_pairs


@dataclasses.dataclass(frozen=True)
class Batch:
    """Frames laid end to end.

    Attributes:
        atomic_nums: ``shape=(n_atoms,)``, of all frames.
        coords: [Angstrom] ``shape=(n_atoms, 3)``.
        pairs: within frames, ``shape=(2, n_pairs)``.
        frame_idxs: the frame of each atom, ``shape=(n_atoms,)``.
        energies: [kcal/mol] relative to the references of the elements, ``shape=(n_frames,)``.
        forces: [kcal/mol/Angstrom] ``shape=(n_atoms, 3)``.
        cell: edges of the box, of all frames, or None.
    """

    atomic_nums: torch.Tensor
    coords: torch.Tensor
    pairs: torch.Tensor
    frame_idxs: torch.Tensor
    energies: torch.Tensor
    forces: torch.Tensor
    cell: torch.Tensor | None


@dataclasses.dataclass(frozen=True)
class _Molecule:
    atomic_nums: torch.Tensor
    coords: torch.Tensor
    energies: torch.Tensor
    forces: torch.Tensor
    pairs: torch.Tensor


class FrameSet:
    """All frames of some trajectories or entries, by number.

    Attributes:
        cell: edges of the box of all of them, or None.
        n_atoms: of each frame, ``shape=(n_frames,)``.
    """

    def __init__(
        self,
        trajectories: collections.abc.Sequence[Trajectory],
        reference_energies: collections.abc.Mapping[int, float],
        dtype: torch.dtype = torch.float32,
        device: str = "cpu",
    ):
        """Takes the references in float64 off the energies, before anything is rounded to ``dtype``.

        Raises:
            ValueError: an element has no reference, or boxes differ.
        """
        cells = {None if t.cell is None else tuple(read_edges(t.cell).tolist()) for t in trajectories}
        if len(cells) > 1:
            raise ValueError("frames in different periodic boxes, or with and without one, are not trained on together")
        self.cell = None if cells <= {None} else torch.tensor(cells.pop(), dtype=dtype, device=device)
        self._molecules = [_prepare(t, reference_energies, dtype, device) for t in trajectories]
        counts = [len(molecule.energies) for molecule in self._molecules]
        sizes = torch.tensor([len(molecule.atomic_nums) for molecule in self._molecules], dtype=torch.int64)
        self.n_atoms = torch.repeat_interleave(sizes, torch.tensor(counts, dtype=torch.int64))
        self._owners = numpy.repeat(numpy.arange(len(counts)), counts)
        self._places = numpy.concatenate([numpy.arange(count) for count in counts]) if counts else numpy.zeros(0, int)

    def __len__(self) -> int:
        return len(self._owners)

    def select(self, frames: collections.abc.Sequence[int] | numpy.ndarray | torch.Tensor) -> Batch:
        """The batch of some frames."""
        atomic_nums, coords, pairs, energies, forces, counts = [], [], [], [], [], []
        start = 0
        for frame in numpy.asarray(frames).tolist():
            molecule, place = self._molecules[self._owners[frame]], self._places[frame]
            atomic_nums.append(molecule.atomic_nums)
            coords.append(molecule.coords[place])
            pairs.append(molecule.pairs + start)
            energies.append(molecule.energies[place])
            forces.append(molecule.forces[place])
            counts.append(len(molecule.atomic_nums))
            start += counts[-1]
        device = coords[0].device
        return Batch(
            torch.cat(atomic_nums),
            torch.cat(coords),
            torch.cat(pairs, 1),
            torch.repeat_interleave(torch.arange(len(counts), device=device), torch.tensor(counts, device=device)),
            torch.stack(energies),
            torch.cat(forces),
            self.cell,
        )


def _prepare(
    trajectory: Trajectory,
    reference_energies: collections.abc.Mapping[int, float],
    dtype: torch.dtype,
    device: str,
) -> _Molecule:
    entry = trajectory.entry
    numbers = read_atomic_nums(entry.smiles)
    missing = set(numbers) - set(reference_energies)
    if missing:
        raise ValueError(f"{entry.smiles}: no reference energy for atomic number {min(missing)}")
    reference = sum(reference_energies[number] for number in numbers)
    energies = entry.energy + (entry.energy_offset - reference)
    return _Molecule(
        torch.tensor(numbers, device=device),
        torch.tensor(entry.coords, dtype=dtype, device=device),
        torch.tensor(energies, dtype=dtype, device=device),
        torch.tensor(entry.forces, dtype=dtype, device=device),
        list_pairs(len(numbers), device),
    )


def read_atomic_nums(smiles: str) -> list[int]:
    """The atomic numbers of a mapped SMILES, in its order."""
    return [atom.GetAtomicNum() for atom in from_mapped_smiles(smiles).GetAtoms()]


def fit_reference_energies(trajectories: collections.abc.Sequence[Trajectory]) -> dict[int, float]:
    """One energy [kcal/mol] for each element, whose sums come nearest to the mean energies of all molecules.

    Least squares over the different molecules; where they do not determine the elements apart, the smallest numbers
    that serve as well. In float64.
    """
    compositions = [read_atomic_nums(t.entry.smiles) for t in trajectories]
    elements = sorted({number for numbers in compositions for number in numbers})
    counts = numpy.array([[numbers.count(element) for element in elements] for numbers in compositions], dtype=float)
    means = numpy.array([t.entry.energy.mean() + t.entry.energy_offset for t in trajectories])
    weights = numpy.sqrt(numpy.array([t.n_frames for t in trajectories], dtype=float))
    solution = numpy.linalg.lstsq(counts * weights[:, None], means * weights, rcond=1e-10)[0]
    return dict(zip(elements, solution.tolist(), strict=True))
