"""Generated molecules beside the data: sizes, elements, rings, functional groups, bond lengths and angles.

Rates alone do not show a generator that leaves something out. Distributions do.
"""

import collections
import dataclasses
import typing
from collections.abc import Iterable, Mapping, Sequence

import numpy
import scipy.stats
from rdkit import Chem

from common.generation.assessment import Examined, Rate

RING_SIZES = (3, 4, 5, 6)

GROUPS = {
    "alcohol": "[OX2H][CX4]",
    "ether": "[OX2]([#6])[#6]",
    "carbonyl": "[CX3]=[OX1]",
    "ester or acid": "[CX3](=O)[OX2]",
    "amide": "[NX3][CX3]=[OX1]",
    "amine": "[NX3;!$(N-C=[O,N,S]);!$(N-[!#6;!#1])]",
    "imine or oxime": "[CX3]=[NX2]",
    "nitrile": "C#N",
    "N-N or N-O bond": "[#7]~[#7,#8]",
    "C-F": "[#6]F",
    "C=C": "[#6]=[#6]",
    "C#C": "C#C",
    "aromatic": "a",
}
"""SMARTS of functional groups; a molecule counts for each that it has."""

_PATTERNS = {name: Chem.MolFromSmarts(smarts) for name, smarts in GROUPS.items()}

_BONDS = {Chem.BondType.SINGLE: "-", Chem.BondType.DOUBLE: "=", Chem.BondType.TRIPLE: "#", Chem.BondType.AROMATIC: ":"}

MIN_VALUES = 20
"""A kind of bond or angle is compared where both sides have so many of it."""


@dataclasses.dataclass(frozen=True)
class Description:
    """What a set of valid molecules is made of.

    Attributes:
        sizes: numbers of atoms, ``shape=(n_molecules,)``.
        heavy: numbers of atoms other than hydrogen, ``shape=(n_molecules,)``.
        elements: how many atoms of each there are, by symbol.
        rings: how many rings of each size, by size.
        groups: how many molecules have each functional group.
        bonds: [Angstrom] lengths by kind, e.g. "C=O".
        angles: [degree] by kind, e.g. "C-O-H".
    """

    sizes: numpy.ndarray
    heavy: numpy.ndarray
    elements: Mapping[str, int]
    rings: Mapping[int, int]
    groups: Mapping[str, Rate]
    bonds: Mapping[str, numpy.ndarray]
    angles: Mapping[str, numpy.ndarray]


def describe(examined: Iterable[Examined]) -> Description:
    """Goes through the valid molecules of a set."""
    sizes, heavy = [], []
    elements, rings, groups = collections.Counter[str](), collections.Counter[int](), collections.Counter[str]()
    bonds: dict[str, list[float]] = collections.defaultdict(list)
    angles: dict[str, list[float]] = collections.defaultdict(list)
    for one in examined:
        if not one.is_valid:
            continue
        mol = one.mol
        symbols = [atom.GetSymbol() for atom in mol.GetAtoms()]
        sizes.append(len(symbols))
        heavy.append(mol.GetNumHeavyAtoms())
        elements.update(symbols)
        rings.update(one.rings)
        groups.update(name for name, pattern in _PATTERNS.items() if mol.HasSubstructMatch(pattern))
        _measure(mol, symbols, bonds, angles)
    return Description(
        numpy.array(sizes),
        numpy.array(heavy),
        dict(elements),
        dict(rings),
        {name: Rate(groups[name], len(sizes)) for name in GROUPS},
        {kind: numpy.array(values) for kind, values in bonds.items()},
        {kind: numpy.array(values) for kind, values in angles.items()},
    )


def _measure(
    mol: Chem.Mol, symbols: Sequence[str], bonds: dict[str, list[float]], angles: dict[str, list[float]]
) -> None:
    """Adds the bond lengths and angles of a molecule."""
    coords = mol.GetConformer().GetPositions()
    for bond in mol.GetBonds():
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        first, second = sorted((symbols[i], symbols[j]))
        kind = f"{first}{_BONDS.get(bond.GetBondType(), '~')}{second}"
        bonds[kind].append(float(numpy.linalg.norm(coords[i] - coords[j])))
    for atom in mol.GetAtoms():
        around = [neighbor.GetIdx() for neighbor in atom.GetNeighbors()]
        centre = coords[atom.GetIdx()]
        for k, first in enumerate(around):
            for second in around[:k]:
                a, b = coords[first] - centre, coords[second] - centre
                cosine = a @ b / (numpy.linalg.norm(a) * numpy.linalg.norm(b))
                ends = sorted((symbols[first], symbols[second]))
                kind = f"{ends[0]}-{symbols[atom.GetIdx()]}-{ends[1]}"
                angles[kind].append(float(numpy.degrees(numpy.arccos(numpy.clip(cosine, -1.0, 1.0)))))


class Difference(typing.NamedTuple):
    """Two distributions of one quantity.

    Attributes:
        kind: of the quantity, e.g. "C-H".
        n_generated, n_data: how many values.
        mean_generated, mean_data: their means.
        deviation_generated, deviation_data: their standard deviations.
        distance: how far the one has to be moved to become the other (Wasserstein), in the unit of the quantity.
    """

    kind: str
    n_generated: int
    n_data: int
    mean_generated: float
    mean_data: float
    deviation_generated: float
    deviation_data: float
    distance: float


def compare_values(
    generated: Mapping[str, numpy.ndarray], data: Mapping[str, numpy.ndarray], n_most: int
) -> list[Difference]:
    """The kinds that are most frequent in the data, where both sides have enough of them."""
    common = [kind for kind in data if min(len(data[kind]), len(generated.get(kind, ()))) >= MIN_VALUES]
    common.sort(key=lambda kind: -len(data[kind]))
    return [_compare(kind, generated[kind], data[kind]) for kind in common[:n_most]]


def _compare(kind: str, generated: numpy.ndarray, data: numpy.ndarray) -> Difference:
    return Difference(
        kind,
        n_generated=len(generated),
        n_data=len(data),
        mean_generated=float(generated.mean()),
        mean_data=float(data.mean()),
        deviation_generated=float(generated.std()),
        deviation_data=float(data.std()),
        distance=float(scipy.stats.wasserstein_distance(generated, data)),
    )


def estimate_mean(values: numpy.ndarray) -> tuple[float, tuple[float, float] | None]:
    """The mean and its interval at 95 % (Student's)."""
    mean = float(values.mean())
    if len(values) < 2 or values.std() == 0.0:
        return mean, None
    low, high = scipy.stats.t.interval(0.95, len(values) - 1, mean, scipy.stats.sem(values))
    return mean, (float(low), float(high))
