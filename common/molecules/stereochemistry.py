"""R/S and E/Z labels -> RDKit stereochemistry, and stereochemistry against coordinates.

A label names an arrangement through priorities of the neighbours (Cahn, Ingold, Prelog), and those can depend on the
arrangement of other centres. RDKit keeps the arrangement itself, so that labels are turned into it by trying.
"""

import collections.abc
import itertools

import numpy
from rdkit import Chem
from rdkit.Chem import rdCIPLabeler

from common.molecules.mapped_smiles import from_mapped_smiles, to_mapped_smiles

MAX_UNSETTLED = 6
"""If flipping what disagrees does not settle, all arrangements of so many centres and bonds are tried (2**6)."""

Place = int | frozenset[int]
"""A centre, by its atom index, or a double bond, by those of its two atoms."""

Labels = dict[Place, str]
"""R or S of centres, E or Z of double bonds."""

_CHIRAL_TAGS = (Chem.ChiralType.CHI_TETRAHEDRAL_CW, Chem.ChiralType.CHI_TETRAHEDRAL_CCW)
_CIS_OR_TRANS = (Chem.BondStereo.STEREOCIS, Chem.BondStereo.STEREOTRANS)
_TRANS = (Chem.BondStereo.STEREOTRANS, Chem.BondStereo.STEREOE)


def compute_rdkit_labels(mol: Chem.Mol) -> Labels:
    """The labels that RDKit perceives by itself: an approximation to the rules that most programs' labels match."""
    labels: Labels = {a.GetIdx(): a.GetProp("_CIPCode") for a in _list_centres(mol) if a.HasProp("_CIPCode")}
    for bond in _list_stereo_bonds(mol):
        labels[_get_place(bond)] = "E" if bond.GetStereo() in _TRANS else "Z"
    return labels


def compute_cip_labels(mol: Chem.Mol) -> Labels:
    """The labels by RDKit's implementation of all rules; they differ for some sulfoxides and pseudo-asymmetric centres.

    Pseudo-asymmetric r and s count as R and S.
    """
    copy = Chem.Mol(mol)
    places: list[Chem.Atom | Chem.Bond] = [*_list_centres(copy), *_list_stereo_bonds(copy)]
    for place in places:
        place.ClearProp("_CIPCode")
    rdCIPLabeler.AssignCIPLabels(copy)
    return {_get_place(place): place.GetProp("_CIPCode").upper() for place in places if place.HasProp("_CIPCode")}


LABELLINGS = (compute_rdkit_labels, compute_cip_labels)
"""Labels of unknown origin can have been made by either; coordinates tell which."""


def apply_labels(
    mol: Chem.Mol, labels: Labels, compute_labels: collections.abc.Callable[[Chem.Mol], Labels]
) -> Chem.Mol:
    """The molecule with the stereochemistry that the labels name; what has no label stays undefined.

    Nitrogen with three neighbours is passed over where RDKit sees no centre: it inverts.

    Args:
        mol: without stereochemistry, hydrogens explicit.
        labels: what is wanted.
        compute_labels: one of ``LABELLINGS``.

    Raises:
        ValueError: no arrangement has these labels.
    """
    if not labels:
        return mol
    arrangement = dict.fromkeys(labels, 0)
    wrong: list[Place] = []
    for _ in range(len(labels) + 1):  # a centre settles once those it depends on have
        arrangement.update({place: 1 - arrangement[place] for place in wrong})
        found = _arrange(mol, arrangement)
        wrong = _list_wrong(found, labels, compute_labels)
        if not wrong:
            return found
    unsettled = [*wrong, *(place for place in labels if place not in wrong)][:MAX_UNSETTLED]
    for choice in itertools.product((0, 1), repeat=len(unsettled)):
        found = _arrange(mol, {**arrangement, **dict(zip(unsettled, choice, strict=True))})
        if not _list_wrong(found, labels, compute_labels):
            return found
    raise ValueError(f"no arrangement of the atoms has the stereochemistry {_format(labels)}")


def find_agreeing_conformers(mol: Chem.Mol, coords: numpy.ndarray) -> numpy.ndarray:
    """Which conformers have the stereochemistry that the molecule defines.

    Args:
        mol: as :func:`apply_labels` gives it.
        coords: any unit of length, ``shape=(n_confs, n_atoms, 3)``.

    Returns:
        ``shape=(n_confs,)`` bool; true throughout if nothing is defined.
    """
    agrees = numpy.ones(len(coords), dtype=bool)
    for atom in _list_centres(mol):
        neighbours = [bond.GetOtherAtomIdx(atom.GetIdx()) for bond in atom.GetBonds()]
        is_counterclockwise = atom.GetChiralTag() == Chem.ChiralType.CHI_TETRAHEDRAL_CCW
        agrees &= (_compute_volumes(coords, atom.GetIdx(), neighbours[:3]) > 0.0) == is_counterclockwise
    for bond in _list_stereo_bonds(mol):
        outer = tuple(bond.GetStereoAtoms())
        inner = (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
        agrees &= (_compute_cosines(coords, outer, inner) < 0.0) == (bond.GetStereo() in _TRANS)
    return agrees


def _compute_volumes(coords: numpy.ndarray, centre: int, neighbours: list[int]) -> numpy.ndarray:
    """Signed volume of the first three neighbours around the centre: positive where RDKit's tag is counterclockwise.

    That tag means: seen from the first neighbour, the others follow each other counterclockwise.
    """
    first, second, third = (coords[:, neighbour] - coords[:, centre] for neighbour in neighbours)
    return (first * numpy.cross(second, third)).sum(-1)


def _compute_cosines(coords: numpy.ndarray, outer: tuple[int, int], inner: tuple[int, int]) -> numpy.ndarray:
    """Cosine of the dihedral outer-inner-inner-outer, times a positive number: negative where the outer are trans."""
    axis = coords[:, inner[1]] - coords[:, inner[0]]
    sides = [numpy.cross(coords[:, outer[k]] - coords[:, inner[k]], axis) for k in (0, 1)]
    return (sides[0] * sides[1]).sum(-1)


def _arrange(mol: Chem.Mol, arrangement: dict[Place, int]) -> Chem.Mol:
    """The molecule with each centre and bond in one of its two arrangements, perceived anew."""
    copy = Chem.Mol(mol)
    for place, which in arrangement.items():
        if isinstance(place, int):
            copy.GetAtomWithIdx(place).SetChiralTag(_CHIRAL_TAGS[which])
        else:
            bond = copy.GetBondBetweenAtoms(*place)
            bond.SetStereoAtoms(*_find_ends(bond))
            bond.SetStereo(_CIS_OR_TRANS[which])
    return from_mapped_smiles(to_mapped_smiles(copy))


def _find_ends(bond: Chem.Bond) -> tuple[int, int]:
    """A neighbour of either atom of a double bond."""
    ends = []
    for atom, other in ((bond.GetBeginAtom(), bond.GetEndAtom()), (bond.GetEndAtom(), bond.GetBeginAtom())):
        neighbours = [n.GetIdx() for n in atom.GetNeighbors() if n.GetIdx() != other.GetIdx()]
        if not neighbours or bond.GetBondType() != Chem.BondType.DOUBLE:
            raise ValueError(f"bond {atom.GetIdx()}-{other.GetIdx()} is labelled E or Z but cannot be either")
        ends.append(neighbours[0])
    return ends[0], ends[1]


def _list_wrong(
    mol: Chem.Mol, labels: Labels, compute_labels: collections.abc.Callable[[Chem.Mol], Labels]
) -> list[Place]:
    """Where the molecule's labels are missing or others than they should be."""
    found = compute_labels(mol)
    return [place for place, label in labels.items() if found.get(place) != label and not _inverts(mol, place)]


def _inverts(mol: Chem.Mol, place: Place) -> bool:
    """True of three-coordinate nitrogen in which RDKit sees no centre."""
    if not isinstance(place, int):
        return False
    atom = mol.GetAtomWithIdx(place)
    return atom.GetAtomicNum() == 7 and atom.GetDegree() == 3 and atom.GetChiralTag() not in _CHIRAL_TAGS


def _list_centres(mol: Chem.Mol) -> list[Chem.Atom]:
    return [atom for atom in mol.GetAtoms() if atom.GetChiralTag() in _CHIRAL_TAGS]


def _list_stereo_bonds(mol: Chem.Mol) -> list[Chem.Bond]:
    return [bond for bond in mol.GetBonds() if bond.GetStereo() > Chem.BondStereo.STEREOANY]


def _get_place(place: Chem.Atom | Chem.Bond) -> Place:
    if isinstance(place, Chem.Atom):
        return place.GetIdx()
    return frozenset((place.GetBeginAtomIdx(), place.GetEndAtomIdx()))


def _format(labels: Labels) -> str:
    names = {place: str(place) if isinstance(place, int) else "-".join(map(str, sorted(place))) for place in labels}
    return ", ".join(f"{label} at {names[place]}" for place, label in labels.items())
