"""The look-up table of a NAGL model: charges of the smallest molecules, which a network describes badly.

openff-nagl consults it before the network and before it checks the chemical domain (``openff.nagl.lookups``). The key
is the non-standard InChI with fixed hydrogens, which tells tautomers and protonation states apart but not the way in
which one is drawn.
"""

import collections.abc
import dataclasses
import re

import numpy
from rdkit import Chem, rdBase

from common.molecules.mapped_smiles import from_mapped_smiles
from common.nagl.weights import LookupEntry

INCHI_OPTIONS = "/LargeMolecules /FixedH"

_FORMULA_PART = re.compile(r"([A-Z][a-z]?)(\d*)")


class LookupTable:
    """Finds the tabulated charges of a molecule."""

    def __init__(self, entries: collections.abc.Mapping[str, LookupEntry]):
        self._entries = entries
        self._formulas = {_read_heavy_formula(inchi) for inchi in entries}

    def find_charges(self, mol: Chem.Mol) -> numpy.ndarray | None:
        """Charges [e] in the order of the molecule's atoms, ``shape=(n_atoms,)`` float64; None if it is not there.

        Args:
            mol: a connected molecule with explicit hydrogens.

        Raises:
            ValueError: the entry that is found describes another molecule.
        """
        if _count_heavy_atoms(mol) not in self._formulas:
            return None  # most molecules: an InChI costs more than all the rest
        with rdBase.BlockLogs():
            entry = self._entries.get(Chem.MolToInchi(_drop_labels(mol), INCHI_OPTIONS))
        if entry is None:
            return None
        # openff-nagl hands tabulated charges on in single precision
        charges = numpy.asarray(entry.charges, dtype=numpy.float32).astype(numpy.float64)
        return charges[_match_atoms(_drop_labels(mol), from_mapped_smiles(entry.mapped_smiles))]


def _drop_labels(mol: Chem.Mol) -> Chem.Mol:
    mol = Chem.Mol(mol)
    for atom in mol.GetAtoms():
        atom.SetIsotope(0)
        atom.SetAtomMapNum(0)
    return mol


def _count_heavy_atoms(mol: Chem.Mol) -> frozenset[tuple[str, int]]:
    symbols = [atom.GetSymbol() for atom in mol.GetAtoms() if atom.GetAtomicNum() > 1]
    return frozenset((symbol, symbols.count(symbol)) for symbol in symbols)


def _read_heavy_formula(inchi: str) -> frozenset[tuple[str, int]]:
    """Elements other than hydrogen in the formula of an InChI, such as "InChI=1/C2H6O/c1-2-3/h3H,2H2,1H3"."""
    formula = inchi.partition("/")[2].partition("/")[0]
    return frozenset((symbol, int(count or 1)) for symbol, count in _FORMULA_PART.findall(formula) if symbol != "H")


def _match_atoms(mol: Chem.Mol, entry: Chem.Mol) -> list[int]:
    """For each atom of the molecule, the position of its counterpart in the entry.

    One InChI stands for every way of drawing the charges of a molecule; where the entry is drawn otherwise, elements
    and bonds decide.
    """
    if _describe(mol) == _describe(entry):
        return list(range(mol.GetNumAtoms()))
    for with_charges in (True, False):
        matching = _Matching(
            _label_atoms(mol, with_charges),
            _read_neighbors(mol),
            _label_atoms(entry, with_charges),
            _read_neighbors(entry),
        )
        if matching.extend({}):
            return [matching.counterparts[i] for i in range(mol.GetNumAtoms())]
    raise ValueError(f"the look-up table gives it the charges of another molecule, {Chem.MolToSmiles(entry)}")


def _describe(mol: Chem.Mol) -> tuple:
    """All atoms and bonds in their order."""
    kekulized = Chem.Mol(mol)
    Chem.Kekulize(kekulized)
    return (
        [(atom.GetAtomicNum(), atom.GetFormalCharge()) for atom in kekulized.GetAtoms()],
        sorted((*sorted((b.GetBeginAtomIdx(), b.GetEndAtomIdx())), b.GetBondType()) for b in kekulized.GetBonds()),
    )


def _label_atoms(mol: Chem.Mol, with_charges: bool) -> list[tuple]:
    """What counterparts have in common; the hydrogens of one atom are told apart by their order."""
    labels = []
    for atom in mol.GetAtoms():
        rank = 0
        if atom.GetAtomicNum() == 1 and atom.GetDegree() == 1:
            (neighbor,) = atom.GetNeighbors()
            siblings = sorted(other.GetIdx() for other in neighbor.GetNeighbors() if other.GetAtomicNum() == 1)
            rank = siblings.index(atom.GetIdx())
        charge = atom.GetFormalCharge() if with_charges else 0
        labels.append((atom.GetAtomicNum(), rank, charge, atom.GetDegree(), atom.GetIsAromatic()))
    return labels


def _read_neighbors(mol: Chem.Mol) -> list[list[int]]:
    return [sorted(neighbor.GetIdx() for neighbor in atom.GetNeighbors()) for atom in mol.GetAtoms()]


@dataclasses.dataclass
class _Matching:
    """A search for the counterparts of atoms, in a fixed order.

    The table gives alike atoms charges that differ in the fifth decimal, so which of several matchings comes first
    shows. The order is that of openff-nagl's search (the VF2 algorithm of networkx, Cordella et al. 2001): the lowest
    open atom of the entry, against the molecule's open atoms as they became reachable.
    """

    labels: list[tuple]
    neighbors: list[list[int]]
    entry_labels: list[tuple]
    entry_neighbors: list[list[int]]
    counterparts: dict[int, int] = dataclasses.field(default_factory=dict)

    def extend(self, matched: dict[int, int]) -> bool:
        """Completes ``matched`` (atom -> atom of the entry), and keeps it as ``counterparts`` if that succeeds."""
        if len(matched) == len(self.labels):
            self.counterparts = matched
            return len(self.labels) == len(self.entry_labels)
        entry_open = _find_open(self.entry_neighbors, list(matched.values()))
        for atom in _find_open(self.neighbors, list(matched)):
            if self._fits(atom, min(entry_open), matched) and self.extend({**matched, atom: min(entry_open)}):
                return True
        return False

    def _fits(self, atom: int, entry_atom: int, matched: dict[int, int]) -> bool:
        bonded = {matched[neighbor] for neighbor in self.neighbors[atom] if neighbor in matched}
        entry_bonded = set(self.entry_neighbors[entry_atom]).intersection(matched.values())
        return self.labels[atom] == self.entry_labels[entry_atom] and bonded == entry_bonded


def _find_open(neighbors: list[list[int]], matched: list[int]) -> list[int]:
    """Atoms next to matched ones, in the order in which these were matched; all atoms while none is."""
    reachable = dict.fromkeys(neighbor for atom in matched for neighbor in neighbors[atom])
    return [atom for atom in reachable if atom not in matched] or list(range(len(neighbors)))
