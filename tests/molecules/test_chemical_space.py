"""The enumeration is complete and holds nothing that its filters forbid."""

import itertools

import pytest
from rdkit import Chem

from common.molecules.chemical_space import FORBIDDEN, MAX_VALENCES, ChemicalFilter, enumerate_molecules


def enumerate_by_brute_force(n_atoms: int, chemical_filter: ChemicalFilter) -> set[str]:
    """Every assignment of elements and bond orders to every pair of atoms, then what is connected and allowed."""
    orders = [None, Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE]
    pairs = list(itertools.combinations(range(n_atoms), 2))
    found = set()
    for elements in itertools.combinations_with_replacement(MAX_VALENCES, n_atoms):
        for bonds in itertools.product(orders, repeat=len(pairs)):
            mol = Chem.RWMol()
            for element in elements:
                mol.AddAtom(Chem.Atom(element))
            for (i, j), order in zip(pairs, bonds, strict=True):
                if order is not None:
                    mol.AddBond(i, j, order)
            valences = [sum(int(b.GetBondTypeAsDouble()) for b in atom.GetBonds()) for atom in mol.GetAtoms()]
            if any(v > MAX_VALENCES[e] for v, e in zip(valences, elements, strict=True)):
                continue
            if len(Chem.GetMolFrags(mol)) > 1 or not may_bond(mol):
                continue
            Chem.SanitizeMol(mol)
            if chemical_filter.find_reason(mol) is None:
                found.add(Chem.MolToSmiles(mol))
    return found


def may_bond(mol) -> bool:
    """No bonds between hetero atoms but N-N and N-O, no three in a row."""
    for bond in mol.GetBonds():
        ends = (bond.GetBeginAtom(), bond.GetEndAtom())
        numbers = {atom.GetAtomicNum() for atom in ends}
        if 6 in numbers:
            continue
        hetero = [sum(n.GetAtomicNum() != 6 for n in atom.GetNeighbors()) for atom in ends]
        if 7 not in numbers or 9 in numbers or max(hetero) > 1:
            return False
    return True


def test_growth_finds_all_that_brute_force_finds():
    chemical_filter = ChemicalFilter()
    expected = set().union(*(enumerate_by_brute_force(n, chemical_filter) for n in (1, 2, 3)))
    assert set(enumerate_molecules(3)) == expected
    assert len(enumerate_molecules(3)) == len(expected)


def test_known_molecules_are_among_those_of_five_heavy_atoms_and_unstable_ones_are_not():
    found = set(enumerate_molecules(5))
    there = [
        "CCO",
        "CC(C)=O",
        "c1cc[nH]c1",
        "c1cocn1",
        "C1CC12CC2",
        "NC=O",
        "N#CCC#N",
        "CC(F)(F)F",
        "CNC(N)=O",
        "CON=C",
    ]
    gone = ["OO", "CC(O)O", "C=C=C", "C=CO", "OF", "C1=CC1", "C1C2CC12", "CN=O", "FN", "C1CC1=O"]
    assert {Chem.CanonSmiles(one) for one in there} <= found
    assert not {Chem.CanonSmiles(one) for one in gone} & found


def test_numbers_of_molecules_stay_what_they_are():
    """A change of the filters shows here: 4, 11, 24, 104 molecules of 1 to 4 heavy atoms."""
    sizes = [Chem.MolFromSmiles(one).GetNumHeavyAtoms() for one in enumerate_molecules(4)]
    assert [sizes.count(n) for n in (1, 2, 3, 4)] == [4, 11, 24, 104]


def test_every_molecule_is_counted_once_kept_or_with_the_reason_why_it_is_not():
    counts, strained = {}, {}
    kept = enumerate_molecules(3, counts=counts)
    without = enumerate_molecules(3, forbidden={}, counts=strained)
    assert len(without) + sum(strained.values()) == len(kept) + sum(counts.values())
    assert set(counts) - set(strained) <= set(FORBIDDEN)


def test_other_elements_and_filters():
    assert enumerate_molecules(2, elements=(6,), forbidden={}) == ["C", "CC", "C=C", "C#C"]
    assert enumerate_molecules(2, elements=(6,), forbidden={"double bond": "C=C"}) == ["C", "CC", "C#C"]
    with pytest.raises(ValueError, match=r"elements \[17\]"):
        enumerate_molecules(2, elements=(6, 17))
    with pytest.raises(ValueError, match="nonsense: RDKit cannot read"):
        enumerate_molecules(1, forbidden={"nonsense": "C(("})
