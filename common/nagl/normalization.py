"""One Lewis structure for a functional group that chemists draw in several ways.

Nitro groups, sulfoxides, N-oxides, azides and conjugated cations are brought to one pattern of formal charges and bond
orders, so that what is computed from them does not hang on how a molecule was drawn. The rules and their order are
those that openff-nagl applies before it enumerates resonance forms (``openff.nagl.toolkits.openff.normalize_molecule``,
itself from RDKit's ``MolStandardize/TransformCatalog/normalizations.in``).
"""

import functools

from rdkit import Chem
from rdkit.Chem import rdChemReactions

from common.molecules.mapped_smiles import perceive

RULES = (
    "[N,P,As,Sb;X3:1](=[O,S,Se,Te:2])=[O,S,Se,Te:3]>>[*+1:1](-[*-1:2])=[*:3]",  # nitro and its kin
    "[S+2:1]([O-:2])([O-:3])>>[S+0:1](=[O-0:2])(=[O-0:3])",  # sulfone
    "[nH0+0:1]=[OH0+0:2]>>[n+:1]-[O-:2]",  # pyridine oxide
    "[*:1][N:2]=[N:3]#[N:4]>>[*:1][N:2]=[N+:3]=[N-:4]",  # azide
    "[*:1]=[N:2]#[N:3]>>[*:1]=[N+:2]=[N-:3]",  # diazo
    "[!O:1][S+0;X3:2](=[O:3])[!O:4]>>[*:1][S+1:2]([O-:3])[*:4]",  # sulfoxide
    "[O,S,Se,Te;-1:1][P+;D4:2][O,S,Se,Te;-1:3]>>[*+0:1]=[P+0;D5:2][*-1:3]",  # phosphate
    "[C,S&!$([S+]-[O-]);X3+1:1]([NX3:2])[NX3!H0:3]>>[*+0:1]([N:2])=[N+:3]",  # cation on carbon or sulfur
    "[P;X4+1:1]([NX3:2])[NX3!H0:3]>>[*+0:1]([N:2])=[N+:3]",  # cation on phosphorus
    "[CX4:1][NX3H:2]-[NX3H:3][CX4:4][NX2+:5]#[NX1:6]>>[CX4:1][NH0:2]=[NH+:3][C:4][N+0:5]=[NH:6]",  # diazonium
    # charges three atoms apart meet
    "[N,P,As,Sb,O,S,Se,Te;-1:1]-[A+0:2]=[N,P,As,Sb,O,S,Se,Te;+1:3]>>[*-0:1]=[*:2]-[*+0:3]",
    "[n,o,p,s;-1:1]:[a:2]=[N,O,P,S;+1:3]>>[*-0:1]:[*:2]-[*+0:3]",
    "[N,O,P,S;-1:1]-[a:2]:[n,o,p,s;+1:3]>>[*-0:1]=[*:2]:[*+0:3]",
    # charges five atoms apart meet
    "[N,P,As,Sb,O,S,Se,Te;-1:1]-[A+0:2]=[A:3]-[A:4]=[N,P,As,Sb,O,S,Se,Te;+1:5]>>[*-0:1]=[*:2]-[*:3]=[*:4]-[*+0:5]",
    "[n,o,p,s;-1:1]:[a:2]:[a:3]:[c:4]=[N,O,P,S;+1:5]>>[*-0:1]:[*:2]:[*:3]:[c:4]-[*+0:5]",
    "[N,O,P,S;-1:1]-[c:2]:[a:3]:[a:4]:[n,o,p,s;+1:5]>>[*-0:1]=[c:2]:[*:3]:[*:4]:[*+0:5]",
    # a conjugated cation sits on the nitrogen or oxygen with hydrogens
    "[N,O;+0!H0:1]-[A:2]=[N!$(*[O-]),O;+1H0:3]>>[*+1:1]=[*:2]-[*+0:3]",
    "[n;+0!H0:1]:[c:2]=[N!$(*[O-]),O;+1H0:3]>>[*+1:1]:[*:2]-[*+0:3]",
    "[N,O;+0!H0:1]-[A:2]=[A:3]-[A:4]=[N!$(*[O-]),O;+1H0:5]>>[*+1:1]=[*:2]-[*:3]=[*:4]-[*+0:5]",
    "[n;+0!H0:1]:[a:2]:[a:3]:[c:4]=[N!$(*[O-]),O;+1H0:5]>>[n+1:1]:[*:2]:[*:3]:[*:4]-[*+0:5]",
    "[F,Cl,Br,I,At;-1:1]=[O:2]>>[*-0:1]-[O-:2]",  # halogen oxides
    "[N,P,As,Sb;-1:1]=[C+;v3:2]>>[*+0:1]#[C+0:2]",  # nitriles and their kin
)
"""Reaction SMARTS, in the order in which they are applied."""


@functools.cache
def _build_reactions() -> tuple[tuple[Chem.Mol, rdChemReactions.ChemicalReaction], ...]:
    reactions = [rdChemReactions.ReactionFromSmarts(rule) for rule in RULES]
    for reaction in reactions:
        reaction.Initialize()
    return tuple((reaction.GetReactantTemplate(0), reaction) for reaction in reactions)


def normalize(mol: Chem.Mol) -> Chem.Mol:
    """The molecule after all rules, with localized double bonds; atoms keep their order, the argument stays as it is.

    Args:
        mol: with explicit hydrogens and MDL aromaticity.

    Raises:
        ValueError: a rule leaves a structure that has no localized double bonds or an impossible valence.
    """
    if not any(mol.HasSubstructMatch(template) for template, _ in _build_reactions()):
        return _kekulize(mol)
    try:
        normalized = _apply_rules(_sort_bonds(mol))
        Chem.SanitizeMol(normalized, Chem.SanitizeFlags.SANITIZE_SYMMRINGS)
        normalized = _kekulize(normalized)
        perceive(normalized)
    except Chem.MolSanitizeException as error:
        raise ValueError(f"its charges cannot be normalized: {error}") from error
    return normalized


def _kekulize(mol: Chem.Mol) -> Chem.Mol:
    mol = Chem.Mol(mol)
    Chem.Kekulize(mol)
    return mol


def _sort_bonds(mol: Chem.Mol) -> Chem.Mol:
    """The same molecule with its bonds in the order of its atoms: which of several matches comes first hangs on it."""
    sorted_mol = Chem.RWMol(mol)
    bonds = sorted((*sorted((b.GetBeginAtomIdx(), b.GetEndAtomIdx())), b.GetBondType()) for b in mol.GetBonds())
    for i, j, _ in bonds:
        sorted_mol.RemoveBond(i, j)
    for bond in bonds:
        sorted_mol.AddBond(*bond)
    return perceive(sorted_mol)


def _apply_rules(mol: Chem.Mol) -> Chem.Mol:
    """Each rule as often as it matches. A rule destroys what it matches, so each comes to an end."""
    for _, reaction in _build_reactions():
        while products := reaction.RunReactants((mol,), maxProducts=1):
            mol = _restore_order(products[0][0])
    return mol


def _restore_order(product: Chem.Mol) -> Chem.Mol:
    """A reaction's product with its atoms in the order of the reactant's."""
    origin = [atom.GetIntProp("react_atom_idx") for atom in product.GetAtoms()]
    mol = Chem.RenumberAtoms(product, sorted(range(len(origin)), key=origin.__getitem__))
    Chem.AssignStereochemistry(mol, cleanIt=True)
    return mol
