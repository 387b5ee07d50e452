"""A SMIRNOFF force field with its molecules, from a ``.pt`` file, as a level of theory: it labels for free."""

import os

import numpy
import torch

from common.calculators.interface import CalculationError, EnergyForces
from common.forcefields.energy import compute_energy, compute_forces
from common.forcefields.parameter_file import load_parameters
from common.forcefields.tensors import TensorTopology


class ForceField:
    """A :class:`common.calculators.interface.Calculator`.

    A geometry is told from its atomic numbers, in order, and its charge; among molecules that share them (isomers in
    one order of atoms) the one to use is named by its SMILES.
    """

    def __init__(self, path: str | os.PathLike, smiles: str | None = None):
        """Reads the file.

        Args:
            path: what :func:`common.forcefields.parameter_file.save_parameters` wrote.
            smiles: the only molecule that is wanted, as the file has it; None for any in the file.

        Raises:
            FileNotFoundError, ValueError: there is no such file, it is damaged, or lacks the molecule.
        """
        molecules = load_parameters(path)
        if smiles is not None and smiles not in molecules.topologies:
            raise ValueError(f"{path}: holds no parameters for {smiles}; apply the force field to this molecule first")
        self._path = path
        self._force_field = molecules.force_field
        self._by_atoms: dict[tuple[tuple[int, ...], int], list[tuple[str, TensorTopology]]] = {}
        for name, topology in molecules.topologies.items():
            if smiles in (None, name):
                key = (tuple(topology.atomic_nums.tolist()), int(topology.formal_charges.sum()))
                self._by_atoms.setdefault(key, []).append((name, topology))

    def __call__(self, numbers: numpy.ndarray, coords: numpy.ndarray, charge: int) -> EnergyForces:
        topology = self._find(numbers, charge)
        x = torch.from_numpy(numpy.asarray(coords, dtype=numpy.float64))[None]
        energy = compute_energy(topology, self._force_field, x)
        forces = compute_forces(topology, self._force_field, x)
        return EnergyForces(energy.item(), forces[0].numpy())

    def _find(self, numbers: numpy.ndarray, charge: int) -> TensorTopology:
        found = self._by_atoms.get((tuple(int(number) for number in numbers), charge), [])
        if len(found) != 1:
            names = "; ".join(name for name, _ in found)
            raise CalculationError(
                f"{self._path}: {len(found)} molecules have these atoms in this order at charge {charge}"
                + (f" ({names}): name one, as smirnoff:FILE:SMILES" if found else "; apply the force field to it first")
            )
        return found[0][1]
