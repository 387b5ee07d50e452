"""The lengths of the bonds that the SMILES names against the sums of covalent radii."""

import functools
import typing

import numpy
from rdkit import Chem

from common.molecules.mapped_smiles import from_mapped_smiles
from common.plausibility.doubts import Doubt
from common.units import BOHR_TO_ANGSTROM

NORMAL = (0.7, 1.4)
"""Length of a bond over the sum of covalent radii; hot organic molecules have 0.75 to 1.2."""

BROKEN = (0.55, 1.6)
"""Of a bond beyond these in the median conformer, the atoms are not bonded."""

SCALES = {"bohr": 1.0 / BOHR_TO_ANGSTROM, "nm": 0.1, "pm": 100.0, "Angstrom taken for bohr": BOHR_TO_ANGSTROM}
"""By what all bonds are too long if coordinates are in another unit than is said."""

CLOSE = 0.12
"""How near the median ratio must be to one of ``SCALES``, relatively."""


class Bonded(typing.NamedTuple):
    """A molecule's bonds.

    Attributes:
        pairs: ``shape=(n_bonds, 2)``, atom indices.
        radii: [Angstrom] sums of covalent radii, ``shape=(n_bonds,)``.
        hydrogens: of bonds between a hydrogen and a heavier atom, the hydrogen first, ``shape=(n_xh_bonds, 2)``.
        heavier: the atomic number of the heavier atom of each, ``shape=(n_xh_bonds,)``.
    """

    pairs: numpy.ndarray
    radii: numpy.ndarray
    hydrogens: numpy.ndarray
    heavier: numpy.ndarray


@functools.lru_cache(maxsize=64)
def list_bonds(smiles: str) -> Bonded:
    """The bonds of a molecule.

    Args:
        smiles: fully mapped.

    Raises:
        ValueError: RDKit cannot read it.
    """
    mol = from_mapped_smiles(smiles)
    table = Chem.GetPeriodicTable()
    numbers = numpy.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    radii = numpy.array([table.GetRcovalent(int(number)) for number in numbers])
    pairs = numpy.array([(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in mol.GetBonds()], dtype=int).reshape(-1, 2)
    ordered = numpy.where((numbers[pairs[:, 0]] == 1)[:, None], pairs, pairs[:, ::-1])
    hydrogens = ordered[(numbers[ordered[:, 0]] == 1) & (numbers[ordered[:, 1]] > 1)]
    return Bonded(pairs, radii[pairs].sum(1), hydrogens, numbers[hydrogens[:, 1]])


def compute_ratios(bonded: Bonded, coords: numpy.ndarray) -> numpy.ndarray:
    """Length of each bond over the sum of covalent radii, ``shape=(n_confs, n_bonds)``.

    Args:
        bonded: of the molecule.
        coords: [Angstrom] ``shape=(n_confs, n_atoms, 3)``.
    """
    vectors = coords[:, bonded.pairs[:, 0]] - coords[:, bonded.pairs[:, 1]]
    return numpy.linalg.norm(vectors, axis=-1) / bonded.radii


def check_bond_lengths(bonded: Bonded, coords: numpy.ndarray) -> list[Doubt]:
    """Doubts about the unit of the coordinates or the order of the atoms.

    Args:
        bonded: of the molecule.
        coords: [Angstrom] ``shape=(n_confs, n_atoms, 3)``.
    """
    if not len(bonded.pairs) or not len(coords):
        return []
    ratios = numpy.median(compute_ratios(bonded, coords), axis=0)
    typical = float(numpy.median(ratios))
    for unit, scale in SCALES.items():
        fits = numpy.abs(ratios / scale - 1.0) < 3.0 * CLOSE
        if abs(typical / scale - 1.0) < CLOSE and fits.all():
            kind = "bohr" if unit == "bohr" else "length unit"
            return [Doubt(kind, f"bonds are {typical:.2f} times as long as covalent radii say: {unit}?")]
    broken = (ratios < BROKEN[0]) | (ratios > BROKEN[1])
    if broken.all() and not (NORMAL[0] < typical < NORMAL[1]) and ratios.max() < 3.0 * ratios.min():
        return [Doubt("length unit", f"bonds are {typical:.2g} times as long as covalent radii say")]
    if broken.any():
        first, second = bonded.pairs[broken][0] + 1
        return [
            Doubt(
                "order",
                f"{int(broken.sum())} of {len(ratios)} bonds are broken, e.g. that of atoms {first} and {second} has "
                f"{ratios[broken][0] * bonded.radii[broken][0]:.2f} A",
            )
        ]
    return []
