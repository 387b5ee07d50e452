"""All molecules of C, N, O and F up to a number of heavy atoms, by growth and ring closure.

Every connected graph has a spanning tree. So all trees are grown first, one atom at a time, each new atom joined to an
old one by a single, double or triple bond; then up to two bonds are added that close rings. What valence and the rules
about bonds between hetero atoms forbid stays forbidden however a molecule grows, so that such branches are cut at once.
The chemical filters are applied at the end only: an enol may become an ether.
"""

import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rdkit import Chem

MAX_VALENCES = {6: 4, 7: 3, 8: 2, 9: 1}
"""Bonds of an uncharged atom of each element."""

FORBIDDEN = {
    "cumulated double bonds": "*=*=*",
    "enol": "[OX2H]C=C",
    "enamine with N-H": "[NX3;!H0;!$(NC=O);!$(N-N)]C=C",
    "imidic acid": "[OX2H]C=N",
    "hemiacetal, gem-diol or hemiaminal": "[OX2H][CX4][O,N]",
    "aminal with N-H": "[NX3;!H0][CX4][NX3,NX2,OX2]",
    "fluorine beside oxygen or nitrogen": "FC[O,N]",
    "acyl or imidoyl fluoride": "FC=[O,N]",
    "imine with N-H, no amidine": "[NX2H]=[C;!$(C[NX3])]",
    "carbamic or carbonic acid": "[OX2H]C(=O)[N,O]",
    "nitroso": "N=O",
    "azo": "N=N",
    "hetero atom at a triple bond": "[C;X2]#[C;X2][N,O,F]",
    "cyanate or cyanogen fluoride": "N#C[O,F]",
    "N-hydroxymethyl or N-aminomethyl": "[NX3][CX4][OX2H,NX3;!H0]",
    "nitrile oxide precursor": "C(=N[OX2H])[N,O,F]",
    "hydrazone with N-H2": "[NX3H2]N=C",
    "two oxygens at nitrogen": "ONO",
    "two oxygens in a four-membered ring": "O1*O*1",
    "triple bond in a ring": "[*;R]#[*;R]",
}
"""SMARTS of what does not last or turns into something else, by name: tautomers, hydrolysis, absurd strain."""

MIN_RING_SUM = 8
"""Two rings that share a bond or more have together at least this many atoms."""

MAX_RINGS = 2


class ChemicalFilter:
    """Which molecules of the enumeration are kept."""

    def __init__(self, forbidden: Mapping[str, str] = FORBIDDEN):
        """Compiles the patterns.

        Raises:
            ValueError: RDKit cannot read one of them.
        """
        self._patterns = {}
        for name, smarts in forbidden.items():
            pattern = Chem.MolFromSmarts(smarts)
            if pattern is None:
                raise ValueError(f"{name}: RDKit cannot read the SMARTS {smarts}")
            self._patterns[name] = pattern

    def find_reason(self, mol: Chem.Mol) -> str | None:
        """Why a molecule is left out; None where it is kept.

        Args:
            mol: sanitized, hydrogens implicit.
        """
        for name, pattern in self._patterns.items():
            if mol.HasSubstructMatch(pattern):
                return name
        return _find_strain(mol)


def _find_strain(mol: Chem.Mol) -> str | None:
    rings = [set(ring) for ring in mol.GetRingInfo().AtomRings()]
    for bond in mol.GetBonds():
        if bond.GetBondType() == Chem.BondType.SINGLE:
            continue
        ends = {bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()}
        if any(len(ring) == 3 and ring & ends for ring in rings):
            return "double bond at a three-membered ring"
    for ring in rings:
        if len(ring) == 4 and sum(_is_unsaturated(mol.GetAtomWithIdx(atom)) for atom in ring) > 1:
            return "two unsaturated atoms in a four-membered ring"
    for i, first in enumerate(rings):
        for second in rings[:i]:
            if len(first & second) < 2:
                continue
            if len(first) + len(second) < MIN_RING_SUM:
                return "two small rings that share a bond"
            smallest = min(len(first), len(second))
            if smallest < 5 and any(_is_unsaturated(mol.GetAtomWithIdx(atom)) for atom in first | second):
                return "unsaturated small rings that share a bond"
            if len(first & second) > 2 and smallest < 5 and len(first) == len(second):
                return "bridge of one atom across a four-membered ring"
            if len(first & second) > 2 and any(_is_unsaturated(mol.GetAtomWithIdx(atom)) for atom in first & second):
                return "double bond at a bridgehead or bridge"
    return None


def _is_unsaturated(atom: Chem.Atom) -> bool:
    return any(bond.GetBondType() != Chem.BondType.SINGLE for bond in atom.GetBonds())


def enumerate_molecules(
    max_heavy_atoms: int,
    elements: Sequence[int] = tuple(MAX_VALENCES),
    forbidden: Mapping[str, str] = FORBIDDEN,
    counts: dict[str, int] | None = None,
) -> list[str]:
    """Canonical SMILES, without stereochemistry, of all molecules that pass the filters, by number of heavy atoms.

    Args:
        max_heavy_atoms: the largest molecules.
        elements: atomic numbers of the heavy atoms, among those of ``MAX_VALENCES``.
        forbidden: SMARTS of what is left out, by name.
        counts: takes, for each reason, how many molecules were left out for it.

    Raises:
        ValueError: an element without a valence, or a pattern that cannot be read.
    """
    unknown = set(elements) - set(MAX_VALENCES)
    if unknown:
        raise ValueError(f"elements {sorted(unknown)} cannot be enumerated, only {sorted(MAX_VALENCES)}")
    chemical_filter = ChemicalFilter(forbidden)
    kept: list[str] = []
    trees = {Chem.MolToSmiles(mol): mol for mol in map(_make_atom, elements)}
    for _ in range(max_heavy_atoms):
        graphs = dict(trees)
        newest = trees
        for _ in range(MAX_RINGS):
            newest = _collect(child for mol in newest.values() for child in _close_rings(mol))
            graphs |= newest
        kept += _filter(graphs.values(), chemical_filter, counts)
        trees = _collect(child for mol in trees.values() for child in _add_atoms(mol, elements))
    return kept


def _filter(
    graphs: Iterable[Chem.Mol], chemical_filter: ChemicalFilter, counts: dict[str, int] | None
) -> Iterator[str]:
    """Canonical SMILES of what is kept, each once: Kekulé forms that differ come together here."""
    seen = set()
    for graph in graphs:
        mol = Chem.Mol(graph)
        for atom in mol.GetAtoms():
            atom.SetNoImplicit(False)
        Chem.SanitizeMol(mol)
        smiles = Chem.MolToSmiles(mol)
        if smiles in seen:
            continue
        seen.add(smiles)
        reason = chemical_filter.find_reason(mol)
        if reason is None:
            yield smiles
        elif counts is not None:
            counts[reason] = counts.get(reason, 0) + 1


def _make_atom(element: int) -> Chem.Mol:
    mol = Chem.RWMol()
    mol.AddAtom(_make_bare(element))
    return mol.GetMol()


def _make_bare(element: int) -> Chem.Atom:
    atom = Chem.Atom(element)
    atom.SetNoImplicit(True)  # hydrogens play no part in the growth
    return atom


def _collect(mols: Iterable[Chem.Mol]) -> dict[str, Chem.Mol]:
    return {Chem.MolToSmiles(mol): mol for mol in mols}


_ORDERS = (Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE)


def _count_free(mol: Chem.Mol) -> list[int]:
    free = [MAX_VALENCES[atom.GetAtomicNum()] for atom in mol.GetAtoms()]
    for bond in mol.GetBonds():
        order = int(bond.GetBondTypeAsDouble())
        free[bond.GetBeginAtomIdx()] -= order
        free[bond.GetEndAtomIdx()] -= order
    return free


class _End(typing.NamedTuple):
    """One end of a bond that may be made."""

    element: int
    has_hetero_neighbour: bool


def _look_at(atom: Chem.Atom) -> _End:
    return _End(atom.GetAtomicNum(), any(neighbour.GetAtomicNum() != 6 for neighbour in atom.GetNeighbors()))


def _may_bond(first: _End, second: _End) -> bool:
    """Hetero atoms bond to one another only as N-N and N-O, and no three of them in a row."""
    elements = (first.element, second.element)
    if 6 in elements:
        return True
    return 7 in elements and 9 not in elements and not first.has_hetero_neighbour and not second.has_hetero_neighbour


def _add_atoms(mol: Chem.Mol, elements: Sequence[int]) -> Iterator[Chem.Mol]:
    for i, free in enumerate(_count_free(mol)):
        for element in elements:
            if not _may_bond(_look_at(mol.GetAtomWithIdx(i)), _End(element, False)):
                continue
            for order in range(1, min(free, MAX_VALENCES[element], 3) + 1):
                child = Chem.RWMol(mol)
                child.AddBond(i, child.AddAtom(_make_bare(element)), _ORDERS[order - 1])
                yield child.GetMol()


def _close_rings(mol: Chem.Mol) -> Iterator[Chem.Mol]:
    free = _count_free(mol)
    for i in range(len(free)):
        for j in range(i):
            if not (free[i] and free[j]) or mol.GetBondBetweenAtoms(i, j) is not None:
                continue
            if not _may_bond(_look_at(mol.GetAtomWithIdx(i)), _look_at(mol.GetAtomWithIdx(j))):
                continue
            for order in range(1, min(free[i], free[j], 2) + 1):
                child = Chem.RWMol(mol)
                child.AddBond(i, j, _ORDERS[order - 1])
                yield child.GetMol()
