"""Starting geometries: conformers made from the bonds alone."""

import numpy
from rdkit import Chem
from rdkit.Chem import rdDistGeom

IN_PLACE_OF_ZERO = 1_000_003
"""A seed. RDKit multiplies the seed with the number of the conformer: 0 would give one conformer again and again."""


def embed_conformers(mol: Chem.Mol, n_confs: int, seed: int, max_iterations: int = 0) -> numpy.ndarray:
    """Conformers by ETKDG, version 3 (Wang, Witek, Landrum and Riniker, J. Chem. Inf. Model. 60, 2044, 2020).

    They depend on the molecule, the order of its atoms and bonds, and the seed. Where RDKit finds none it tries once
    more, from random coordinates.

    Args:
        mol: hydrogens explicit; stays as it is. Defined stereochemistry is kept, undefined is chosen at random.
        n_confs: how many are asked for.
        seed: at least 0; another seed gives others.
        max_iterations: attempts for each conformer; 0 for RDKit's ten times the number of atoms.

    Returns:
        [Angstrom] ``shape=(n_confs, n_atoms, 3)`` float64; fewer conformers where RDKit gives some of them up.

    Raises:
        ValueError: none is found.
    """
    copy = Chem.Mol(mol)
    Chem.SanitizeMol(copy)  # ETKDG's knowledge is written for RDKit's own model of aromaticity
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = seed or IN_PLACE_OF_ZERO
    parameters.maxIterations = max_iterations
    for parameters.useRandomCoords in (False, True):
        rdDistGeom.EmbedMultipleConfs(copy, n_confs, parameters)
        if copy.GetNumConformers():
            return numpy.array([conformer.GetPositions() for conformer in copy.GetConformers()])
    raise ValueError(f"{Chem.MolToSmiles(Chem.RemoveHs(mol))}: RDKit finds no geometry for this molecule")


def attach_conformers(mol: Chem.Mol, coords: numpy.ndarray) -> Chem.Mol:
    """A copy of the molecule that has these conformers and no others.

    Args:
        mol: the atoms, in the order of the coordinates.
        coords: [Angstrom] ``shape=(n_confs, n_atoms, 3)``.
    """
    copy = Chem.Mol(mol)
    copy.RemoveAllConformers()
    for positions in coords:
        conformer = Chem.Conformer(len(positions))
        conformer.SetPositions(numpy.asarray(positions, dtype=numpy.float64))
        copy.AddConformer(conformer, assignId=True)
    return copy
