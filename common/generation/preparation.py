"""Molecules to learn from: made of SMILES and relaxed, or taken from data sets and archives; which can be placed."""

import dataclasses
import pathlib
import tarfile
import typing
from collections.abc import Iterator

import numpy
from rdkit import Chem
from rdkit.Chem import rdForceFieldHelpers

from common.calculators.interface import CalculationError
from common.calculators.relaxation import relax
from common.calculators.tight_binding import GFN2, TightBinding
from common.data.dataset import Entry
from common.data.molecule_database import Molecule
from common.molecules.bonding import is_bonded_as_drawn
from common.molecules.conformers import attach_conformers, embed_conformers
from common.molecules.formulas import NUMBERS
from common.molecules.mapped_smiles import from_mapped_smiles
from common.molecules.perception import name_molecule
from common.units import EV_TO_KCAL_PER_MOL

UNITS = {"energy": "eV", "gap": "eV", "homo": "eV", "lumo": "eV"}
"""Of what is computed here."""

N_MMFF_STEPS = 1000


@dataclasses.dataclass(frozen=True)
class GeometrySettings:
    """How geometries are made.

    Attributes:
        n_conformers: of each molecule; those that come to the same energy count once.
        relax: to a minimum of GFN2-xTB; else that of MMFF94 stays.
        max_force: [kcal/mol/Angstrom] at which a relaxation ends.
        seed: of the embedding.
    """

    n_conformers: int = 1
    relax: bool = True
    max_force: float = 1.0
    seed: int = 0


ALIKE = 1e-3
"""[eV] Conformers of a molecule that are nearer in energy are one."""


class Failure(typing.NamedTuple):
    """A molecule that cannot be made, and why."""

    smiles: str
    reason: str


def make_molecules(smiles: str, settings: GeometrySettings) -> list[Molecule | Failure]:
    """Geometries of a molecule with energy and frontier orbitals of GFN2-xTB.

    Args:
        smiles: hydrogens implicit; stereochemistry that it leaves open is chosen by the embedding.
        settings: how.

    Returns:
        a molecule for each conformer that is unlike the others, or a failure; one failure where there is no geometry.
    """
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    try:
        conformers = embed_conformers(mol, settings.n_conformers, settings.seed)
    except ValueError:
        return [Failure(smiles, "no geometry")]
    made: list[Molecule | Failure] = []
    energies: list[float] = []
    for coords in conformers:
        try:
            molecule = _make_conformer(mol, coords, settings)
        except CalculationError as error:
            made.append(Failure(smiles, str(error)))
            continue
        except ValueError as error:
            made.append(Failure(smiles, str(error)))
            continue
        energy = float(molecule.properties["energy"])
        if all(abs(energy - other) > ALIKE for other in energies):
            energies.append(energy)
            made.append(molecule)
    return made


def _make_conformer(mol: Chem.Mol, coords: numpy.ndarray, settings: GeometrySettings) -> Molecule:
    """Raises ``ValueError`` where the relaxation ends elsewhere than in a minimum of this molecule."""
    numbers = numpy.array([atom.GetAtomicNum() for atom in mol.GetAtoms()], dtype=numpy.int64)
    posed = attach_conformers(mol, coords[None])
    if rdForceFieldHelpers.MMFFHasAllMoleculeParams(posed):
        rdForceFieldHelpers.MMFFOptimizeMolecule(posed, maxIters=N_MMFF_STEPS)
    coords = posed.GetConformer().GetPositions()
    charge, level = Chem.GetFormalCharge(mol), TightBinding(GFN2)
    if settings.relax:
        relaxation = relax(level, numbers, coords, charge, settings.max_force)
        if not relaxation.converged:
            raise ValueError("the relaxation does not converge")
        coords = relaxation.coords
        if not is_bonded_as_drawn(mol, coords):
            raise ValueError("relaxes to another molecule")
    electrons = level.compute_electronic_structure(numbers, coords, charge)
    posed = attach_conformers(mol, coords[None])
    Chem.AssignStereochemistryFrom3D(posed)
    values = {"energy": electrons.energy, "gap": electrons.gap, "homo": electrons.homo, "lumo": electrons.lumo}
    properties = {name: numpy.array(value / EV_TO_KCAL_PER_MOL) for name, value in values.items()}
    return Molecule(numbers, coords, properties, name_molecule(posed))


def take_entry(entry: Entry, only_lowest: bool) -> list[Molecule]:
    """The conformers of an entry of a data set, with their energies [eV].

    Args:
        entry: of one of our data sets.
        only_lowest: the one of the lowest energy alone.

    Raises:
        ValueError: the entry has no energies.
    """
    if not entry.has_energies:
        raise ValueError(f"{entry.smiles}: has no energies; leave this row out of the data set")
    mol = from_mapped_smiles(entry.smiles)
    numbers = numpy.array([atom.GetAtomicNum() for atom in mol.GetAtoms()], dtype=numpy.int64)
    smiles = name_molecule(mol)
    which = [int(entry.energy.argmin())] if only_lowest else range(entry.n_confs)
    energies = (entry.energy + entry.energy_offset) / EV_TO_KCAL_PER_MOL
    return [Molecule(numbers, entry.coords[i], {"energy": numpy.array(energies[i])}, smiles) for i in which]


QM9_PROPERTIES = {
    "rotational_constant_A": "GHz",
    "rotational_constant_B": "GHz",
    "rotational_constant_C": "GHz",
    "dipole_moment": "Debye",
    "isotropic_polarizability": "a0*a0*a0",
    "homo": "Hartree",
    "lumo": "Hartree",
    "gap": "Hartree",
    "electronic_spatial_extent": "a0*a0",
    "zpve": "Hartree",
    "energy_U0": "Hartree",
    "energy_U": "Hartree",
    "enthalpy_H": "Hartree",
    "free_energy": "Hartree",
    "heat_capacity": "cal/mol/K",
}
"""Properties in the order of QM9's files, with units (R. Ramakrishnan et al., Scientific Data 1, 140022, 2014)."""

QM9_ARCHIVE = "dsgdb9nsd.xyz.tar.bz2"
QM9_EXCLUDED = "uncharacterized.txt"


def read_qm9(folder: pathlib.Path) -> Iterator[Molecule]:
    """The molecules of QM9 but for those that its authors could not tell from their SMILES.

    Args:
        folder: with ``dsgdb9nsd.xyz.tar.bz2`` and ``uncharacterized.txt``, as figshare has them.

    Raises:
        FileNotFoundError: one of the two is missing.
        ValueError: a file is damaged; the message names it.
    """
    for name in (QM9_ARCHIVE, QM9_EXCLUDED):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder / name}: no such file; get QM9 (doi 10.6084/m9.figshare.978904) and say where it is"
            )
    lines = (folder / QM9_EXCLUDED).read_text(errors="replace").splitlines()
    excluded = {int(line.split()[0]) for line in lines if line.split() and line.split()[0].isdecimal()}
    try:
        with tarfile.open(folder / QM9_ARCHIVE, "r:bz2") as archive:
            for member in archive:
                file = archive.extractfile(member)
                if file is not None and member.name.endswith(".xyz"):
                    index, molecule = parse_qm9(file.read().decode(), member.name)
                    if index not in excluded:
                        yield molecule
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ValueError(f"{folder / QM9_ARCHIVE}: damaged ({error})") from error


def parse_qm9(text: str, name: str) -> tuple[int, Molecule]:
    """One file of QM9: the number of the molecule, and the molecule.

    Raises:
        ValueError: it is damaged; the message begins with ``name``.
    """
    try:
        lines = text.replace("*^", "e").splitlines()
        n_atoms = int(lines[0])
        head = lines[1].split()
        values = [float(word) for word in head[2:]]
        atoms = [line.split() for line in lines[2 : 2 + n_atoms]]
        numbers = numpy.array([NUMBERS[words[0]] for words in atoms], dtype=numpy.int64)
        coords = numpy.array([[float(word) for word in words[1:4]] for words in atoms])
        smiles = lines[3 + n_atoms].split()[0]
        properties = {key: numpy.array(value) for key, value in zip(QM9_PROPERTIES, values, strict=True)}
        return int(head[1]), Molecule(numbers, coords.reshape(n_atoms, 3), properties, smiles)
    except (IndexError, KeyError, ValueError) as error:
        raise ValueError(f"{name}: no file of QM9, or damaged ({error})") from error
