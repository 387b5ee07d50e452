"""What the NAGL network is told about each atom.

The features and their order stand in the weights file; their definitions are those of ``openff.nagl.features.atoms``.
No released model uses features of bonds, and none is computed here.
"""

import collections.abc
import typing

import numpy
from rdkit import Chem

from common.nagl.normalization import normalize
from common.nagl.resonance import compute_average_formal_charges


def check_features(features: collections.abc.Sequence[dict[str, typing.Any]]) -> None:
    """Makes sure that every feature of a model can be computed.

    Raises:
        ValueError: one cannot; the message names it.
    """
    unknown = sorted({feature["name"] for feature in features} - set(_FEATURES))
    if unknown:
        raise ValueError(f"atom features {', '.join(unknown)} are not known here; known are {', '.join(_FEATURES)}")


def compute_atom_features(mol: Chem.Mol, features: collections.abc.Sequence[dict[str, typing.Any]]) -> numpy.ndarray:
    """The features of all atoms of one connected molecule.

    Args:
        mol: with explicit hydrogens and MDL aromaticity.
        features: by ``name`` and settings, as the weights file lists them.

    Returns:
        ``shape=(n_atoms, n_features)`` float32.

    Raises:
        ValueError: an atom has a value that a feature has no place for, or the charges cannot be normalized.
    """
    return numpy.hstack([_FEATURES[feature["name"]](mol, feature) for feature in features]).astype(numpy.float32)


def _encode_one_hot(values: collections.abc.Sequence, categories: collections.abc.Sequence, what: str) -> numpy.ndarray:
    unknown = set(values).difference(categories)
    if unknown:
        raise ValueError(f"{what} {', '.join(map(str, sorted(unknown)))} is outside of what the charge model knows")
    position = {category: i for i, category in enumerate(categories)}
    return numpy.eye(len(categories))[[position[value] for value in values]]


def _encode_elements(mol: Chem.Mol, feature: dict) -> numpy.ndarray:
    return _encode_one_hot([atom.GetSymbol() for atom in mol.GetAtoms()], feature["categories"], "element")


def _encode_connectivity(mol: Chem.Mol, feature: dict) -> numpy.ndarray:
    degrees = [atom.GetDegree() for atom in mol.GetAtoms()]
    return _encode_one_hot(degrees, feature["categories"], "number of bonds")


def _compute_average_formal_charges(mol: Chem.Mol, _: dict) -> numpy.ndarray:
    normalized = normalize(mol)
    charges = compute_average_formal_charges(
        [atom.GetAtomicNum() for atom in normalized.GetAtoms()],
        [atom.GetFormalCharge() for atom in normalized.GetAtoms()],
        [
            (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), int(bond.GetBondTypeAsDouble()))
            for bond in normalized.GetBonds()
        ],
    )
    return numpy.array(charges)[:, None]


def _find_ring_members(mol: Chem.Mol, feature: dict) -> numpy.ndarray:
    members = numpy.zeros((mol.GetNumAtoms(), 1))
    if mol.GetRingInfo().NumRings():
        for ring in Chem.GetSSSR(_copy_skeleton(mol)):
            if len(ring) == feature["ring_size"]:
                members[list(ring)] = 1.0
    return members


def _copy_skeleton(mol: Chem.Mol) -> Chem.RWMol:
    """Atoms and bonds alone, the bonds in the order of their atoms.

    A smallest set of smallest rings is not unique in bridged molecules: of two rings of one size it may take either.
    openff-nagl takes the one that RDKit finds when the bonds are sorted so, and its model was made with that.
    """
    skeleton = Chem.RWMol()
    for atom in mol.GetAtoms():
        skeleton.AddAtom(Chem.Atom(atom.GetAtomicNum()))
    for i, j in sorted(sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())) for bond in mol.GetBonds()):
        skeleton.AddBond(i, j)
    return skeleton


_FEATURES: dict[str, collections.abc.Callable[[Chem.Mol, dict], numpy.ndarray]] = {
    "atomic_element": _encode_elements,
    "atom_connectivity": _encode_connectivity,
    "atom_average_formal_charge": _compute_average_formal_charges,
    "atom_in_ring_of_size": _find_ring_members,
}
