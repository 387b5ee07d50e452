"""Which molecule the conformers of a block are: atoms of a geometry <-> atoms of a SMILES.

The order of the atoms stays that of the geometry; map numbers follow it. A fully mapped SMILES counts as it is where
its elements and bonds fit; else its graph and that of the bonds found by distance are matched. Where several matches
exist (methyl hydrogens, for example), all of them name the same molecule: stereochemistry is read from the geometry
afterwards. Without a SMILES, bonds are found by distance, and their orders by RDKit from the charge.
"""

import typing

import numpy
from rdkit import Chem

from common.molecules.bond_perception import find_bonds, perceive_molecule
from common.molecules.conformers import attach_conformers
from common.molecules.formulas import format_formula
from common.molecules.mapped_smiles import from_mapped_smiles, from_smiles, perceive, to_mapped_smiles
from common.molecules.stereochemistry import find_agreeing_conformers
from common.own_data.records import InputError
from common.plausibility.bond_lengths import BROKEN, NORMAL, SCALES, compute_ratios, list_bonds

N_TRIED = 5
"""Conformers whose bonds are looked for before a SMILES is said not to fit."""

MAX_ARRANGEMENTS = 16
"""Stereoisomers, or molecules of the same elements, that a block may hold."""


class Mapped(typing.NamedTuple):
    """Conformers that are of one molecule.

    Attributes:
        smiles: fully mapped, in the order of the geometry.
        conformers: their indices in the block.
        is_remapped: a fully mapped SMILES did not fit as it was, and its map numbers were replaced.
    """

    smiles: str
    conformers: numpy.ndarray
    is_remapped: bool


def map_conformers(
    atomic_nums: numpy.ndarray, coords: numpy.ndarray, smiles: str, charge: int
) -> tuple[list[Mapped], dict[str, int]]:
    """The molecules of a block, and how many conformers were left out, by reason.

    Args:
        atomic_nums: ``shape=(n_atoms,)``.
        coords: [Angstrom] ``shape=(n_confs, n_atoms, 3)``.
        smiles: mapped or plain; "" where bonds must be found.
        charge: [e] of the whole, for finding bonds.

    Raises:
        InputError: SMILES and geometry do not belong together, or no molecule is found.
    """
    if smiles:
        return _map_by_smiles(atomic_nums, coords, smiles)
    return _map_by_perception(atomic_nums, coords, charge), {}


def _map_by_smiles(
    atomic_nums: numpy.ndarray, coords: numpy.ndarray, smiles: str
) -> tuple[list[Mapped], dict[str, int]]:
    mol, is_mapped = _read_smiles(smiles)
    found = numpy.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    if sorted(found.tolist()) != sorted(atomic_nums.tolist()):
        raise InputError(
            f"{_format(found)} in the SMILES {smiles}, {_format(atomic_nums)} in the geometry: another molecule"
        )
    fits = is_mapped and (found == atomic_nums).all() and _is_bonded(smiles, coords)
    ordered = mol if fits else Chem.RenumberAtoms(mol, _match(mol, atomic_nums, coords, smiles))
    groups, left = _part_stereoisomers(ordered, coords)
    dropped = {"stereochemistry other than in the SMILES": len(left)} if len(left) else {}
    if not groups:
        raise InputError(f"the stereochemistry of {smiles} is not that of any of its {len(coords)} geometries")
    return [Mapped(text, conformers, is_mapped and not fits) for text, conformers in groups], dropped


def _read_smiles(smiles: str) -> tuple[Chem.Mol, bool]:
    """The molecule, and whether its SMILES is fully mapped."""
    try:
        return from_mapped_smiles(smiles), True
    except ValueError:
        pass
    try:
        mol = from_smiles(smiles)
    except ValueError as error:
        raise InputError(str(error)) from error
    for atom in mol.GetAtoms():
        atom.SetAtomMapNum(0)
    return mol, False


def _is_bonded(smiles: str, coords: numpy.ndarray) -> bool:
    """Whether the bonds of a mapped SMILES are bonds in most conformers, or would be in another unit of length.

    Coordinates of another unit keep their map: the order is right, and what is wrong is said of the unit.
    """
    bonded = list_bonds(smiles)
    if not len(bonded.pairs):
        return True
    ratios = numpy.median(compute_ratios(bonded, coords), axis=0)
    scales = (1.0, *SCALES.values())
    return any(
        bool(((ratios > BROKEN[0] * s) & (ratios < BROKEN[1] * s)).all())
        and NORMAL[0] * s < numpy.median(ratios) < NORMAL[1] * s
        for s in scales
    )


def _match(mol: Chem.Mol, atomic_nums: numpy.ndarray, coords: numpy.ndarray, smiles: str) -> list[int]:
    """For each atom of the geometry the atom of the SMILES, by their graphs.

    Raises:
        InputError: the graphs are different; the message says whether another unit of length would do.
    """
    wanted = _make_graph(
        [atom.GetAtomicNum() for atom in mol.GetAtoms()],
        [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in mol.GetBonds()],
    )
    for scale in (1.0, *(1.0 / one for one in SCALES.values())):
        for conformer in coords[:: max(1, len(coords) // N_TRIED)][:N_TRIED]:
            bonds = find_bonds(atomic_nums, conformer * scale)
            if len(bonds) != mol.GetNumBonds():
                continue
            match = wanted.GetSubstructMatch(_make_graph(atomic_nums.tolist(), bonds))
            if match and scale == 1.0:
                return list(match)
            if match:
                unit = next(name for name, one in SCALES.items() if abs(one * scale - 1.0) < 1e-9)
                raise InputError(f"these coordinates look like {unit}; say so with --length-unit")
    raise InputError(f"the bonds of the geometry, by distance, are not those of the SMILES {smiles}")


def _make_graph(numbers: list[int], bonds: list[tuple[int, int]]) -> Chem.Mol:
    """Elements and who is bonded to whom, nothing else."""
    graph = Chem.RWMol()
    for number in numbers:
        atom = Chem.Atom(int(number))
        atom.SetNoImplicit(True)
        graph.AddAtom(atom)
    for first, second in bonds:
        graph.AddBond(int(first), int(second), Chem.BondType.SINGLE)
    return graph.GetMol()


def _part_stereoisomers(mol: Chem.Mol, coords: numpy.ndarray) -> tuple[list[tuple[str, numpy.ndarray]], numpy.ndarray]:
    """Mapped SMILES with the stereochemistry of the geometries, and the conformers of each; those of another one.

    Args:
        mol: in the order of the geometry, with the stereochemistry that is wanted, where it is defined.
        coords: [Angstrom] ``shape=(n_confs, n_atoms, 3)``.
    """
    groups, left = [], numpy.arange(len(coords))
    others: list[int] = []
    for _ in range(MAX_ARRANGEMENTS):
        if not len(left):
            break
        found = read_stereochemistry(mol, coords[left[0]])
        agrees = find_agreeing_conformers(found, coords[left])
        agrees[0] = True
        if found.HasSubstructMatch(mol, useChirality=True):
            groups.append((to_mapped_smiles(found), left[agrees]))
        else:
            others += left[agrees].tolist()
        left = left[~agrees]
    return groups, numpy.array(others + left.tolist())


def read_stereochemistry(mol: Chem.Mol, coords: numpy.ndarray) -> Chem.Mol:
    """The molecule with the stereochemistry of a geometry.

    Args:
        mol: hydrogens explicit, atoms in the order of the coordinates.
        coords: [Angstrom] ``shape=(n_atoms, 3)``.
    """
    copy = attach_conformers(mol, coords[None])
    Chem.RemoveStereochemistry(copy)
    Chem.AssignStereochemistryFrom3D(copy)
    copy.RemoveAllConformers()
    return perceive(copy)


def _map_by_perception(atomic_nums: numpy.ndarray, coords: numpy.ndarray, charge: int) -> list[Mapped]:
    groups: list[Mapped] = []
    left = numpy.arange(len(coords))
    for _ in range(MAX_ARRANGEMENTS):
        if not len(left):
            return groups
        try:
            mol = perceive_molecule(atomic_nums, coords[left[0]], charge)
            smiles = to_mapped_smiles(perceive(mol))
        except ValueError as error:
            raise InputError(str(error)) from error
        bonded = list_bonds(smiles)
        ratios = compute_ratios(bonded, coords[left]) if len(bonded.pairs) else numpy.ones((len(left), 1))
        same = (ratios < BROKEN[1]).all(-1) & find_agreeing_conformers(from_mapped_smiles(smiles), coords[left])
        same[0] = True
        groups.append(Mapped(smiles, left[same], False))
        left = left[~same]
    raise InputError(
        f"more than {MAX_ARRANGEMENTS} molecules under one name; give their SMILES, or each a name (--name-key)"
    )


def _format(numbers: numpy.ndarray) -> str:
    counts = {int(number): int((numbers == number).sum()) for number in numpy.unique(numbers)}
    return format_formula(counts)
