"""What simulates as one: a molecule, or a box of molecules, with its bonds and angles."""

import dataclasses

import numpy
import torch

from common.data.trajectories import Trajectory
from common.geometry.periodic import find_nearest_images, read_edges
from common.molecules.mapped_smiles import from_mapped_smiles


@dataclasses.dataclass(frozen=True)
class System:
    """The atoms and how they are joined; all that does not move.

    Attributes:
        smiles: mapped SMILES, of all molecules where there are several.
        atomic_nums: ``shape=(n_atoms,)`` int64.
        masses: [amu] ``shape=(n_atoms,)`` float64.
        bonds: ``shape=(n_bonds, 2)`` int64.
        angles: bonded triples, their middle in the middle, ``shape=(n_angles, 3)`` int64.
        molecule_idxs: which molecule an atom belongs to, ``shape=(n_atoms,)`` int64, from 0.
        cell: edges of the periodic box [Angstrom], ``shape=(3,)`` float64, or None.
    """

    smiles: str
    atomic_nums: torch.Tensor
    masses: torch.Tensor
    bonds: torch.Tensor
    angles: torch.Tensor
    molecule_idxs: torch.Tensor
    cell: torch.Tensor | None = None

    @property
    def n_atoms(self) -> int:
        return len(self.atomic_nums)

    @property
    def n_molecules(self) -> int:
        return int(self.molecule_idxs.max()) + 1


def build_system(trajectory: Trajectory) -> System:
    """The system of a trajectory.

    Raises:
        ValueError: the SMILES cannot be read, or the box is oblique.
    """
    mol = from_mapped_smiles(trajectory.entry.smiles)
    neighbours: list[list[int]] = [[] for _ in mol.GetAtoms()]
    for bond in mol.GetBonds():
        neighbours[bond.GetBeginAtomIdx()].append(bond.GetEndAtomIdx())
        neighbours[bond.GetEndAtomIdx()].append(bond.GetBeginAtomIdx())
    bonds = sorted((i, j) for i, own in enumerate(neighbours) for j in own if i < j)
    angles = [
        (first, middle, last)
        for middle, own in enumerate(neighbours)
        for first in sorted(own)
        for last in sorted(own)
        if first < last
    ]
    return System(
        smiles=trajectory.entry.smiles,
        atomic_nums=torch.tensor([atom.GetAtomicNum() for atom in mol.GetAtoms()]),
        masses=torch.from_numpy(numpy.array(trajectory.masses, dtype=numpy.float64)),
        bonds=torch.tensor(bonds, dtype=torch.int64).reshape(-1, 2),
        angles=torch.tensor(angles, dtype=torch.int64).reshape(-1, 3),
        molecule_idxs=_number_molecules(neighbours),
        cell=None if trajectory.cell is None else torch.from_numpy(read_edges(trajectory.cell)),
    )


def _number_molecules(neighbours: list[list[int]]) -> torch.Tensor:
    numbers = [-1] * len(neighbours)
    n_molecules = 0
    for start in range(len(neighbours)):
        if numbers[start] < 0:
            reached = [start]
            while reached:
                atom = reached.pop()
                if numbers[atom] < 0:
                    numbers[atom] = n_molecules
                    reached += neighbours[atom]
            n_molecules += 1
    return torch.tensor(numbers)


def measure_distances(system: System, coords: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
    """Distances [Angstrom] to the nearest image, ``(n_frames, n_atoms, 3) -> (n_frames, n_pairs)``.

    Args:
        system: has the box.
        coords: [Angstrom].
        pairs: ``shape=(n_pairs, 2)``.
    """
    differences = coords[:, pairs[:, 0]] - coords[:, pairs[:, 1]]
    cell = None if system.cell is None else system.cell.to(coords)
    differences = find_nearest_images(differences, cell)
    return (differences * differences).sum(-1).sqrt()


def measure_angles(system: System, coords: torch.Tensor) -> torch.Tensor:
    """All bond angles [degree], ``(n_frames, n_atoms, 3) -> (n_frames, n_angles)``."""
    first, middle, last = system.angles.unbind(-1)
    cell = None if system.cell is None else system.cell.to(coords)
    u = find_nearest_images(coords[:, first] - coords[:, middle], cell)
    v = find_nearest_images(coords[:, last] - coords[:, middle], cell)
    sine = torch.linalg.cross(u, v).square().sum(-1).sqrt()
    return torch.rad2deg(torch.atan2(sine, (u * v).sum(-1)))


def list_pairs_between_molecules(system: System) -> torch.Tensor:
    """All pairs of atoms of different molecules, each once, ``shape=(n_pairs, 2)``."""
    pairs = torch.triu_indices(system.n_atoms, system.n_atoms, 1).T
    idxs = system.molecule_idxs[pairs]
    return pairs[idxs[:, 0] != idxs[:, 1]]
