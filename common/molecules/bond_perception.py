"""Bonds of geometries that come without: by distance, then bond orders by RDKit."""

import numpy
from rdkit import Chem
from rdkit.Chem import rdDetermineBonds

from common.molecules.mapped_smiles import perceive

REACH = 1.25
"""Atoms nearer than this times the sum of their covalent radii are bonded."""

MAX_ITERATIONS = 100_000
"""RDKit may try bond orders for ever on a strange structure."""


def find_bonds(atomic_nums: numpy.ndarray, coords: numpy.ndarray) -> list[tuple[int, int]]:
    """Pairs of atoms that are bonded, each once, the smaller first.

    Args:
        atomic_nums: ``shape=(n_atoms,)``.
        coords: [Angstrom] ``shape=(n_atoms, 3)``.
    """
    table = Chem.GetPeriodicTable()
    radii = numpy.array([table.GetRcovalent(int(number)) for number in atomic_nums])
    distances = numpy.linalg.norm(coords[:, None] - coords[None], axis=-1)
    first, second = numpy.nonzero(numpy.triu(distances < REACH * (radii[:, None] + radii), 1))
    return list(zip(first.tolist(), second.tolist(), strict=True))


def perceive_molecule(atomic_nums: numpy.ndarray, coords: numpy.ndarray, charge: int = 0) -> Chem.Mol:
    """The molecule of a geometry, atoms in the order given.

    Args:
        atomic_nums: ``shape=(n_atoms,)``.
        coords: [Angstrom] ``shape=(n_atoms, 3)``.
        charge: [e] of the whole.

    Raises:
        ValueError: no bond orders make a molecule of it.
    """
    mol = Chem.RWMol()
    for number in atomic_nums:
        atom = Chem.Atom(int(number))
        atom.SetNoImplicit(True)
        mol.AddAtom(atom)
    for first, second in find_bonds(atomic_nums, coords):
        mol.AddBond(first, second, Chem.BondType.SINGLE)
    conformer = Chem.Conformer(len(coords))
    conformer.SetPositions(numpy.asarray(coords, dtype=numpy.float64))
    mol.AddConformer(conformer)
    try:
        rdDetermineBonds.DetermineBondOrders(mol, charge=charge, maxIterations=MAX_ITERATIONS)
        return perceive(mol.GetMol())
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"no molecule of charge {charge} is found in the geometry ({str(error).strip().splitlines()[0]}); "
            "give its fully mapped SMILES"
        ) from error
