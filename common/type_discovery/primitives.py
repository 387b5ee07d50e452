"""What may be said of an atom to tell interactions apart: the words in which new SMIRKS are written.

Each primitive is a SMARTS fragment that is appended to an atom of a SMIRKS behind a semicolon, the operator that binds
least: "[#6X3,#7:1]" with "r5" becomes "[#6X3,#7;r5:1]". Which atoms have it is found by RDKit's matching of just this
fragment, so that what is told apart here is told apart by any engine that reads the SMIRKS.
"""

import collections.abc
import dataclasses

import numpy
from rdkit import Chem

_GENERAL = {
    "X1": "one neighbour",
    "X2": "two neighbours",
    "X3": "three neighbours",
    "X4": "four neighbours",
    "H0": "no hydrogen",
    "H1": "one hydrogen",
    "H2": "two hydrogens",
    "H3": "three hydrogens",
    "+1": "charge +1",
    "+0": "no charge",
    "-1": "charge -1",
    "r": "in a ring",
    "!r": "in no ring",
    "r3": "in a three-membered ring",
    "r4": "in a four-membered ring",
    "r5": "in a five-membered ring",
    "r6": "in a six-membered ring",
    "r7": "in a seven-membered ring",
    "a": "aromatic",
    "A": "not aromatic",
    "$(*=*)": "with a double bond",
    "$(*=[#6])": "with a double bond to carbon",
    "$(*=[#7])": "with a double bond to nitrogen",
    "$(*=[#8])": "with a double bond to oxygen",
    "$(*#*)": "with a triple bond",
    "$(*~[#6X3])": "beside a carbon with three neighbours",
    "$(*~[#7X3])": "beside a nitrogen with three neighbours",
    "$(*~[#7X2])": "beside a nitrogen with two neighbours",
    "$(*~[#8X1])": "beside an oxygen with one neighbour",
    "$(*~[#8X2])": "beside an oxygen with two neighbours",
    "$(*~[+1])": "beside a charge +1",
    "$(*~[-1])": "beside a charge -1",
}


@dataclasses.dataclass(frozen=True)
class Primitive:
    """One thing that may be said of an atom.

    Attributes:
        smarts: the fragment.
        words: in plain words.
    """

    smarts: str
    words: str

    def find_atoms(self, mol: Chem.Mol) -> numpy.ndarray:
        """Which atoms have it, ``shape=(n_atoms,)`` bool; ``mol`` has explicit hydrogens and MDL aromaticity."""
        has = numpy.zeros(mol.GetNumAtoms(), dtype=bool)
        query = Chem.MolFromSmarts(f"[*;{self.smarts}]")
        has[[match[0] for match in mol.GetSubstructMatches(query, maxMatches=mol.GetNumAtoms())]] = True
        return has


def list_primitives(mols: collections.abc.Iterable[Chem.Mol]) -> tuple[Primitive, ...]:
    """The primitives worth asking for: the general ones, and the elements that occur, as an atom and as a neighbour."""
    table = Chem.GetPeriodicTable()
    elements = sorted({atom.GetAtomicNum() for mol in mols for atom in mol.GetAtoms()})
    symbols = [(number, table.GetElementSymbol(number)) for number in elements]
    return (
        *(Primitive(f"#{number}", symbol) for number, symbol in symbols),
        *(Primitive(smarts, words) for smarts, words in _GENERAL.items()),
        *(Primitive(f"$(*~[#{number}])", f"beside {symbol}") for number, symbol in symbols),
    )


class AtomClassifier:
    """Sorts atoms into classes: atoms of one class have the same primitives.

    Attributes:
        primitives: that are asked for.
        classes: for each class which primitives its atoms have, ``shape=(n_primitives,)`` bool; it grows.
    """

    def __init__(self, primitives: collections.abc.Sequence[Primitive]):
        self.primitives = tuple(primitives)
        self.classes: list[numpy.ndarray] = []
        self._numbers: dict[bytes, int] = {}

    def classify(self, mol: Chem.Mol) -> list[int]:
        """The class of each atom of a molecule."""
        table = numpy.stack([primitive.find_atoms(mol) for primitive in self.primitives], axis=1)
        numbers = []
        for row in table:
            key = numpy.packbits(row).tobytes()
            if key not in self._numbers:
                self._numbers[key] = len(self.classes)
                self.classes.append(row)
            numbers.append(self._numbers[key])
        return numbers


def add_primitive(smirks: str, tag: int, primitive: Primitive) -> str:
    """The SMIRKS with a primitive more at a tagged atom.

    Args:
        smirks: e.g. "[#6X3:1]-[#1:2]".
        tag: from 1.
        primitive: e.g. "r5".

    Returns:
        e.g. "[#6X3;r5:1]-[#1:2]".

    Raises:
        ValueError: there is no such tag.
    """
    end = smirks.find(f":{tag}]")
    if end < 0 or smirks.find(f":{tag}]", end + 1) >= 0:
        raise ValueError(f"{smirks}: no atom, or more than one, has the tag {tag}")
    return f"{smirks[:end]};{primitive.smarts}{smirks[end:]}"
