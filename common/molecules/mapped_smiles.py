"""Fully mapped SMILES <-> RDKit molecules, with the aromaticity model of SMIRNOFF.

A fully mapped SMILES gives every atom, hydrogens included, a map number from 1 to n_atoms; the map number less one is
the index of the atom in all tensors. SMIRNOFF means OpenEye's MDL model of aromaticity, which RDKit has as
``AROMATICITY_MDL`` (https://openforcefield.github.io/standards/standards/smirnoff/#aromaticity-models).
"""

import collections.abc

from rdkit import Chem, rdBase

MAX_KNOWN_KEYS = 100_000
"""Connectivity keys that are kept once they are computed."""

_SANITIZE = Chem.SANITIZE_ALL ^ Chem.SANITIZE_ADJUSTHS ^ Chem.SANITIZE_SETAROMATICITY


def perceive(mol: Chem.Mol) -> Chem.Mol:
    """The molecule sanitized, with MDL aromaticity and stereochemistry perceived; the argument stays as it is.

    Raises:
        ValueError: a valence is impossible or the rings cannot be kekulized.
    """
    mol = Chem.Mol(mol)
    try:
        Chem.SanitizeMol(mol, _SANITIZE)
        Chem.Kekulize(mol, clearAromaticFlags=True)
        Chem.SetAromaticity(mol, Chem.AromaticityModel.AROMATICITY_MDL)
        Chem.AssignStereochemistry(mol, cleanIt=True, force=True)
    except Chem.MolSanitizeException as error:
        raise ValueError(str(error)) from error
    return mol


def from_smiles(smiles: str) -> Chem.Mol:
    """The molecule of any SMILES, with hydrogens added: those of the SMILES come first, in its order.

    Raises:
        ValueError: RDKit cannot read the SMILES.
    """
    with rdBase.BlockLogs():  # the error says it in a line
        mol = Chem.MolFromSmiles(smiles)
    if mol is None or mol.GetNumAtoms() == 0:
        raise ValueError(f"{smiles!r}: RDKit cannot read this SMILES")
    return _perceive_named(Chem.AddHs(mol), smiles)


def from_mapped_smiles(smiles: str) -> Chem.Mol:
    """The molecule of a fully mapped SMILES: atoms in map order, map numbers removed, hydrogens explicit.

    Raises:
        ValueError: RDKit cannot read the SMILES, or its map numbers are not 1 to n_atoms.
    """
    mol = _parse(smiles)
    map_numbers = [atom.GetAtomMapNum() for atom in mol.GetAtoms()]
    if sorted(map_numbers) != list(range(1, len(map_numbers) + 1)):
        raise ValueError(
            f"{smiles}: not fully mapped; every atom, hydrogens included, needs its own map number from 1 to "
            f"{len(map_numbers)}"
        )
    order = sorted(range(len(map_numbers)), key=map_numbers.__getitem__)
    mol = Chem.RenumberAtoms(mol, order)
    for atom in mol.GetAtoms():
        atom.SetAtomMapNum(0)
    return _perceive_named(mol, smiles)


def to_mapped_smiles(mol: Chem.Mol) -> str:
    """The isomeric SMILES with every atom mapped to its index plus one.

    Args:
        mol: a molecule with explicit hydrogens.

    Raises:
        ValueError: the molecule has implicit hydrogens.
    """
    if any(atom.GetTotalNumHs() for atom in mol.GetAtoms()):
        raise ValueError(
            f"{Chem.MolToSmiles(mol)}: hydrogens must be explicit atoms to be mapped; use Chem.AddHs first"
        )
    copy = Chem.Mol(mol)
    for atom in copy.GetAtoms():
        atom.SetAtomMapNum(atom.GetIdx() + 1)
    return Chem.MolToSmiles(copy, isomericSmiles=True, allHsExplicit=True)


_known_keys: dict[str, str] = {}


def compute_connectivity_key(mapped_smiles: str) -> str:
    """A name of the molecule that is the same whatever its atom order or stereochemistry: a canonical SMILES.

    Enantiomers have mirrored geometries and equal energies, so that data splits must not part them.
    """
    key = _known_keys.get(mapped_smiles)
    if key is None:
        key = make_connectivity_key(from_mapped_smiles(mapped_smiles))
        if len(_known_keys) < MAX_KNOWN_KEYS:
            _known_keys[mapped_smiles] = key
    return key


def make_connectivity_key(mol: Chem.Mol) -> str:
    """The same of a molecule that :func:`from_mapped_smiles` gave."""
    return Chem.MolToSmiles(Chem.RemoveHs(mol), isomericSmiles=False)


def remember_connectivity_keys(keys: collections.abc.Mapping[str, str]) -> None:
    """Takes keys by mapped SMILES that were computed before: reading the SMILES again takes most of a millisecond."""
    _known_keys.update(keys)


def _parse(smiles: str) -> Chem.Mol:
    parameters = Chem.SmilesParserParams()
    parameters.removeHs = False
    parameters.sanitize = False
    mol = Chem.MolFromSmiles(smiles, parameters)
    if mol is None or mol.GetNumAtoms() == 0:
        raise ValueError(f"{smiles!r}: RDKit cannot read this SMILES")
    return mol


def _perceive_named(mol: Chem.Mol, smiles: str) -> Chem.Mol:
    try:
        return perceive(mol)
    except ValueError as error:
        raise ValueError(f"{smiles}: {error}") from error
