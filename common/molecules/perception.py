"""Bonds from coordinates alone, by RDKit, and names of molecules that can be compared.

RDKit finds the bonds by distances and then looks for bond orders that give every atom its valence (Y. Kim, W. Y. Kim,
Bull. Korean Chem. Soc. 36, 1769, 2015). The search may take for ever: iterations are limited here, and whoever has
molecules of any kind limits the time as well.
"""

import dataclasses

import numpy
from rdkit import Chem, rdBase
from rdkit.Chem import rdDetermineBonds

from common.molecules.conformers import attach_conformers

MAX_ITERATIONS = 10_000
"""Of the search for bond orders; molecules of a dozen atoms need a few."""


@dataclasses.dataclass(frozen=True)
class PerceptionSettings:
    """What counts as a molecule.

    Attributes:
        charges: of the whole, tried in this order.
        allow_charged_fragments: atoms may have formal charges, as in nitro groups.
        allow_radicals: atoms may have unpaired electrons.
        max_iterations: of the search for bond orders.
    """

    charges: tuple[int, ...] = (0,)
    allow_charged_fragments: bool = False
    allow_radicals: bool = False
    max_iterations: int = MAX_ITERATIONS


class PerceptionError(ValueError):
    """The coordinates are no molecule; the message is the reason, in a few words, without the molecule's name."""


def perceive_bonds(
    numbers: numpy.ndarray, coords: numpy.ndarray, settings: PerceptionSettings = PerceptionSettings()
) -> Chem.Mol:
    """The molecule with bonds, stereochemistry and its one conformer.

    Args:
        numbers: atomic numbers, ``shape=(n_atoms,)``.
        coords: [Angstrom] ``shape=(n_atoms, 3)``.
        settings: what counts as a molecule.

    Raises:
        PerceptionError: there are no bond orders for any of the charges, several fragments, or radicals.
    """
    reason = "no valences fit"
    for charge in settings.charges:
        mol = _make_bare(numbers, coords)  # afresh: an attempt that fails may leave its traces
        try:
            with rdBase.BlockLogs():
                rdDetermineBonds.DetermineBonds(
                    mol,
                    charge=charge,
                    allowChargedFragments=settings.allow_charged_fragments,
                    embedChiral=True,
                    maxIterations=settings.max_iterations,
                )
        except (ValueError, RuntimeError) as error:
            if "iteration" in str(error).lower():
                reason = "too many iterations"
            continue
        if mol.GetNumAtoms() == 1:
            Chem.AssignRadicals(mol)  # a lone atom is passed over above
        if len(Chem.GetMolFrags(mol)) > 1:
            reason = "several fragments"
        elif not settings.allow_radicals and any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()):
            reason = "radical"
        else:
            return mol
    raise PerceptionError(reason)


def _make_bare(numbers: numpy.ndarray, coords: numpy.ndarray) -> Chem.Mol:
    mol = Chem.RWMol()
    for number in numbers.tolist():
        atom = Chem.Atom(number)
        atom.SetNoImplicit(True)
        mol.AddAtom(atom)
    return attach_conformers(mol.GetMol(), coords[None])


def name_molecule(mol: Chem.Mol, ignore_isomerism: bool = False) -> str:
    """A canonical SMILES without explicit hydrogens.

    Args:
        mol: hydrogens explicit or not; stays as it is.
        ignore_isomerism: leave stereochemistry out.
    """
    copy = Chem.Mol(mol)
    if ignore_isomerism:
        Chem.RemoveStereochemistry(copy)
    parameters = Chem.RemoveHsParameters()
    parameters.removeDefiningBondStereo = True  # of imines, whose N-H would stay and give them another name
    smiles = Chem.MolToSmiles(Chem.RemoveHs(copy, parameters))
    again = Chem.MolFromSmiles(smiles)  # what RDKit perceives in 3-D it may see otherwise in a graph
    return smiles if again is None else Chem.MolToSmiles(again)


def name_enantiomer(smiles: str) -> str:
    """The name of the mirror image; that of the molecule itself where it is not chiral."""
    mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        return smiles
    for atom in mol.GetAtoms():
        atom.InvertChirality()
    return Chem.MolToSmiles(Chem.MolFromSmiles(Chem.MolToSmiles(mol)))
