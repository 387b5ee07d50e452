"""SMIRKS patterns: SMARTS with numbered atoms, compiled once in a process and matched on whole molecules."""

import dataclasses
import functools

from rdkit import Chem, rdBase

_ALL_MATCHES = 2**32 - 1
"""The largest limit RDKit takes; its default of 1,000 matches silently leaves atoms of large molecules out."""


@dataclasses.dataclass(frozen=True)
class Pattern:
    """A compiled SMIRKS.

    Attributes:
        smirks: its text.
        query: the RDKit query.
        tagged: the query's atoms with tags 1, 2, ..., in this order.
    """

    smirks: str
    query: Chem.Mol
    tagged: tuple[int, ...]

    @property
    def n_tags(self) -> int:
        return len(self.tagged)

    def joins(self, first: int, second: int) -> bool:
        """Whether the pattern has a bond between two tags, counted from 0."""
        return self.query.GetBondBetweenAtoms(self.tagged[first], self.tagged[second]) is not None

    def find_matches(self, mol: Chem.Mol) -> list[tuple[int, ...]]:
        """The atoms under tags 1, 2, ... of every match, symmetric ones and repeats included."""
        matches = mol.GetSubstructMatches(self.query, uniquify=False, useChirality=True, maxMatches=_ALL_MATCHES)
        return [tuple([match[i] for i in self.tagged]) for match in matches]


@functools.cache
def compile_smirks(smirks: str) -> Pattern:
    """Compiles a SMIRKS.

    Raises:
        ValueError: RDKit cannot read it, or its tags are not 1 to n.
    """
    with rdBase.BlockLogs():
        query = Chem.MolFromSmarts(smirks)
    if query is None or query.GetNumAtoms() == 0:
        raise ValueError("not a valid SMIRKS")
    tags = {atom.GetAtomMapNum(): atom.GetIdx() for atom in query.GetAtoms() if atom.GetAtomMapNum()}
    n_tagged = sum(atom.GetAtomMapNum() > 0 for atom in query.GetAtoms())
    if sorted(tags) != list(range(1, n_tagged + 1)):
        raise ValueError("its tags are not 1, 2, ..., each once")
    return Pattern(smirks, query, tuple(tags[i + 1] for i in range(n_tagged)))
