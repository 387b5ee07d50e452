"""The ``mol.json`` of an archive entry: a molecule as OpenFF Toolkit 0.10.6 wrote it, JSON inside a JSON string.

The order of its atoms is that of the tensors beside it. Bond orders are Kekule; stereochemistry is given by R/S and
E/Z labels; centres may be undefined.
"""

import dataclasses
import json
import typing

from rdkit import Chem

from common.molecules.mapped_smiles import from_mapped_smiles, perceive, to_mapped_smiles
from common.molecules.stereochemistry import Labels, compute_cip_labels, compute_rdkit_labels

_BOND_TYPES = {1: Chem.BondType.SINGLE, 2: Chem.BondType.DOUBLE, 3: Chem.BondType.TRIPLE}
_ATOM_LABELS = ("R", "S", None)
_BOND_LABELS = ("E", "Z", None)
_MAX_ATOMIC_NUMBER = 118


@dataclasses.dataclass(frozen=True)
class LabelledMolecule:
    """What a ``mol.json`` says.

    Attributes:
        mol: without stereochemistry; MDL aromaticity, hydrogens explicit.
        labels: the stereochemistry.
    """

    mol: Chem.Mol
    labels: Labels


def parse_molecule(text: str | bytes) -> LabelledMolecule:
    """Reads the contents of a ``mol.json``.

    Raises:
        ValueError: it is no such JSON, or a field is missing or wrong, or the molecule is chemically impossible.
    """
    plain = _decode(text)
    atoms, bonds = _get(plain, "atoms", list, "molecule"), _get(plain, "bonds", list, "molecule")
    if not atoms:
        raise ValueError("the molecule has no atoms")
    if plain.get("virtual_sites"):
        raise ValueError("the molecule has virtual sites, which have no place in quantum data")
    charges = plain.get("partial_charges")
    if charges is not None and len(_get(plain, "partial_charges", list, "molecule")) != len(atoms):
        raise ValueError(f"{len(charges)} partial charges for {len(atoms)} atoms")
    mol = Chem.RWMol()
    labels: Labels = {}
    for i, atom in enumerate(atoms):
        mol.AddAtom(_parse_atom(atom, f"atom {i}"))
        if label := _get_label(atom, _ATOM_LABELS, f"atom {i}"):
            labels[i] = label
    for i, bond in enumerate(bonds):
        ends = _add_bond(mol, bond, f"bond {i}")
        if label := _get_label(bond, _BOND_LABELS, f"bond {i}"):
            labels[ends] = label
    mol = perceive(mol)
    for atom in mol.GetAtoms():
        if atom.GetNumRadicalElectrons():
            raise ValueError(f"atom {atom.GetIdx()} has unpaired electrons: an atom, a bond or a charge is missing")
    return LabelledMolecule(mol, labels)


def _decode(text: str | bytes) -> dict[str, typing.Any]:
    try:
        plain = json.loads(json.loads(text))
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"no JSON inside a JSON string ({error})") from error
    if not isinstance(plain, dict):
        raise ValueError(f"expected an object with atoms and bonds, found {type(plain).__name__}")
    return plain


def _get(record: typing.Any, key: str, kind: type, where: str) -> typing.Any:
    if not isinstance(record, dict) or key not in record:
        raise ValueError(f"{where}: field {key!r} is missing")
    value = record[key]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{where}: {key} is {value!r}, expected {kind.__name__}")
    return value


def _get_label(record: dict, allowed: tuple[str | None, ...], where: str) -> str | None:
    label = record.get("stereochemistry")
    if label not in allowed:
        raise ValueError(f"{where}: stereochemistry is {label!r}, expected one of {allowed}")
    return label


def _parse_atom(record: typing.Any, where: str) -> Chem.Atom:
    number, charge = _get(record, "atomic_number", int, where), _get(record, "formal_charge", int, where)
    if not 1 <= number <= _MAX_ATOMIC_NUMBER or abs(charge) > number:
        raise ValueError(f"{where}: atomic number {number} with formal charge {charge} is no atom")
    atom = Chem.Atom(number)
    atom.SetFormalCharge(charge)
    atom.SetNoImplicit(True)
    return atom


def _add_bond(mol: Chem.RWMol, record: typing.Any, where: str) -> frozenset[int]:
    first, second = _get(record, "atom1", int, where), _get(record, "atom2", int, where)
    order = _get(record, "bond_order", int, where)
    if order not in _BOND_TYPES:
        raise ValueError(f"{where}: bond order is {order}, expected 1, 2 or 3")
    if not (0 <= first < mol.GetNumAtoms() and 0 <= second < mol.GetNumAtoms()) or first == second:
        raise ValueError(f"{where}: joins atoms {first} and {second} of {mol.GetNumAtoms()}")
    if mol.GetBondBetweenAtoms(first, second) is not None:
        raise ValueError(f"{where}: atoms {first} and {second} are bonded twice")
    mol.AddBond(first, second, _BOND_TYPES[order])
    return frozenset((first, second))


def format_molecule(mol: Chem.Mol) -> str:
    """The contents of a ``mol.json``, without partial charges.

    Args:
        mol: hydrogens explicit; its stereochemistry is kept.

    Raises:
        ValueError: the molecule is impossible or has implicit hydrogens.
    """
    labels = _compute_labels(from_mapped_smiles(to_mapped_smiles(mol)))
    aromatic = perceive(mol)
    kekule = Chem.Mol(aromatic)
    Chem.Kekulize(kekule, clearAromaticFlags=True)
    plain: dict[str, typing.Any] = {
        "name": "",
        "atoms": [
            {
                "atomic_number": atom.GetAtomicNum(),
                "formal_charge": atom.GetFormalCharge(),
                "is_aromatic": atom.GetIsAromatic(),
                "stereochemistry": labels.get(atom.GetIdx()),
                "name": "",
            }
            for atom in aromatic.GetAtoms()
        ],
        "virtual_sites": [],
        "bonds": [
            {
                "atom1": bond.GetBeginAtomIdx(),
                "atom2": bond.GetEndAtomIdx(),
                "bond_order": int(bond.GetBondTypeAsDouble()),
                "is_aromatic": aromatic.GetBondWithIdx(bond.GetIdx()).GetIsAromatic(),
                "stereochemistry": labels.get(frozenset((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))),
                "fractional_bond_order": None,
            }
            for bond in kekule.GetBonds()
        ],
        "properties": {},
        "conformers": None,
        "partial_charges": None,
        "partial_charges_unit": None,
    }
    return json.dumps(json.dumps(plain))


def _compute_labels(mol: Chem.Mol) -> Labels:
    """RDKit's own labels, as the toolkit has them; by all rules where it has none for some centre, to lose nothing."""
    labels, complete = compute_rdkit_labels(mol), compute_cip_labels(mol)
    return labels if labels.keys() >= complete.keys() else complete
