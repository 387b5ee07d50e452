"""Structure drawings of molecules."""

import collections.abc

from rdkit import Chem
from rdkit.Chem import rdDepictor
from rdkit.Chem.Draw import rdMolDraw2D

from common.molecules.mapped_smiles import from_mapped_smiles

SIZE = (260, 170)
"""[pixel] of a drawing; it may be scaled."""

CELL = (170, 130)
"""[pixel] of a molecule in a grid."""

LEGEND = 14
"""[pixel] of the letters below a molecule in a grid."""

BOND_LENGTH = 28
"""[pixel] at most, so that small molecules are not blown up."""

_HIGHLIGHT = (0.98, 0.80, 0.40)
_ORIGIN = "atom_of_data"


def draw_molecule(mapped_smiles: str, highlighted: collections.abc.Collection[int] = ()) -> str:
    """An SVG drawing, hydrogens shown with the atoms that they belong to.

    Args:
        mapped_smiles: fully mapped SMILES.
        highlighted: atoms to mark, counted from 0; the bonds between them are marked, too.
    """
    mol = from_mapped_smiles(mapped_smiles)
    for atom in mol.GetAtoms():
        atom.SetIntProp(_ORIGIN, atom.GetIdx())
    mol = Chem.RemoveHs(mol)
    rdDepictor.Compute2DCoords(mol)
    atoms = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetIntProp(_ORIGIN) in highlighted]
    bonds = [bond.GetIdx() for bond in mol.GetBonds() if {bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()} <= set(atoms)]
    drawer = rdMolDraw2D.MolDraw2DSVG(*SIZE)
    options = drawer.drawOptions()
    options.clearBackground = False
    options.setHighlightColour(_HIGHLIGHT)
    options.fixedBondLength = BOND_LENGTH
    rdMolDraw2D.PrepareAndDrawMolecule(drawer, mol, highlightAtoms=atoms, highlightBonds=bonds, kekulize=True)
    drawer.FinishDrawing()
    return drawer.GetDrawingText()


def draw_grid(molecules: collections.abc.Sequence[tuple[str, str]], n_columns: int) -> str:
    """One SVG drawing of many molecules, on white.

    Args:
        molecules: fully mapped SMILES, and what stands below.
        n_columns: of the grid.
    """
    mols = [Chem.RemoveHs(from_mapped_smiles(smiles)) for smiles, _ in molecules]
    n_rows = -(-len(mols) // n_columns)
    drawer = rdMolDraw2D.MolDraw2DSVG(n_columns * CELL[0], n_rows * CELL[1], *CELL)
    options = drawer.drawOptions()
    options.fixedBondLength = BOND_LENGTH
    options.legendFontSize = LEGEND
    prepared = [rdMolDraw2D.PrepareMolForDrawing(mol, kekulize=True) for mol in mols]
    drawer.DrawMolecules(prepared, legends=[legend for _, legend in molecules])
    drawer.FinishDrawing()
    return drawer.GetDrawingText()
