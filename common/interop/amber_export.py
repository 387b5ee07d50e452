"""AMBER files of a parameterised molecule, by ParmEd: topology (.prmtop) and coordinates (.inpcrd).

ParmEd reads the OpenMM system that ``openmm_export`` builds; both are needed here and nowhere else, and are loaded when
asked for.
"""

import pathlib
import typing
import warnings

import numpy
from rdkit import Chem

from common.files.atomic import replace_atomically
from common.forcefields.tensors import TensorForceField, TensorTopology
from common.interop.gromacs_export import check_bonds
from common.interop.openmm_export import build_openmm_system, load_openmm
from common.molecules.mapped_smiles import from_mapped_smiles

RESIDUE = "MOL"


def load_parmed() -> typing.Any:
    """The module ``parmed``.

    Raises:
        RuntimeError: it is not installed; the message says how to install it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # ParmEd's own, of other packages' future
            import parmed
    except ImportError as error:
        raise RuntimeError(
            f"ParmEd is needed to write AMBER's files and cannot be imported ({error}): pip install parmed"
        ) from error
    return parmed


def write_amber(
    path: pathlib.Path, smiles: str, topology: TensorTopology, force_field: TensorForceField, coords: numpy.ndarray
) -> list[pathlib.Path]:
    """Writes topology and coordinates.

    Args:
        path: of the topology; the coordinates stand beside it, with the suffix .inpcrd.
        smiles: of the molecule, fully mapped, atoms in the order of the topology.
        topology: the molecule.
        force_field: its parameters.
        coords: [Angstrom] ``shape=(n_atoms, 3)``.

    Returns:
        the files.

    Raises:
        RuntimeError: OpenMM or ParmEd is not installed.
        ValueError: bonds have no term.
    """
    check_bonds(topology, force_field)
    system, molecule = build_openmm_system(topology, force_field), _build_topology(smiles)
    structure = load_parmed().openmm.load_topology(molecule, system, xyz=coords)
    targets = {path: "amber", path.with_suffix(".inpcrd"): "rst7"}
    for target, format_ in targets.items():
        with replace_atomically(target) as beside:
            structure.save(str(beside), format=format_, overwrite=True)
    return list(targets)


def _build_topology(smiles: str) -> typing.Any:
    """OpenMM's topology: one residue, with all bonds."""
    app = load_openmm().app
    topology = app.Topology()
    residue = topology.addResidue(RESIDUE, topology.addChain())
    mol = from_mapped_smiles(smiles)
    atoms = []
    for i, atom in enumerate(mol.GetAtoms(), 1):
        element = app.Element.getByAtomicNumber(atom.GetAtomicNum())
        atoms.append(
            topology.addAtom(f"{Chem.GetPeriodicTable().GetElementSymbol(element.atomic_number)}{i}", element, residue)
        )
    for bond in mol.GetBonds():
        topology.addBond(atoms[bond.GetBeginAtomIdx()], atoms[bond.GetEndAtomIdx()])
    return topology
