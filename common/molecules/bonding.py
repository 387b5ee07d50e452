"""Whether a geometry still shows the molecule that it belongs to."""

import numpy
from rdkit import Chem

LONGEST_BOND = 1.35
SHORTEST_GAP = 1.15
"""Of the sum of two covalent radii: bonds are shorter than the first, other pairs of atoms further than the second."""


def is_bonded_as_drawn(mol: Chem.Mol, coords: numpy.ndarray) -> bool:
    """True where every bond is short and no other pair of atoms is as near as a bond.

    Args:
        mol: with all hydrogens.
        coords: [Angstrom] ``shape=(n_atoms, 3)``.
    """
    table = Chem.GetPeriodicTable()
    radii = numpy.array([table.GetRcovalent(atom.GetAtomicNum()) for atom in mol.GetAtoms()])
    ratio = numpy.linalg.norm(coords[:, None] - coords[None], axis=-1) / (radii[:, None] + radii)
    bonded = Chem.GetAdjacencyMatrix(mol).astype(bool)
    other = ~bonded & ~numpy.eye(len(radii), dtype=bool)
    return bool(numpy.all(ratio[bonded] < LONGEST_BOND) and numpy.all(ratio[other] > SHORTEST_GAP))
