"""One entry of the Espaloma 0.3.0 archive -> one entry of a data set.

The archive keeps float32 coordinates [bohr] and gradients [hartree/bohr] atom first, conformer second, and float64
total energies [hartree]. Everything is converted here, once, in float64. Reading the other way: ``espaloma_writer``.
"""

import collections
import dataclasses
import os
import pathlib

import numpy
from rdkit import Chem

from common.data.dataset import Entry
from common.espaloma.molecule_file import LabelledMolecule, parse_molecule
from common.geometry.overlaps import OVERLAP, find_overlaps
from common.heterograph.reader import Frame, read_heterograph
from common.molecules.mapped_smiles import from_mapped_smiles, to_mapped_smiles
from common.molecules.stereochemistry import LABELLINGS, apply_labels, find_agreeing_conformers
from common.units import BOHR_TO_ANGSTROM, HARTREE_PER_BOHR_TO_KCAL_PER_MOL_ANGSTROM, HARTREE_TO_KCAL_PER_MOL

FORMAT = 1
"""To be raised when what is read from an entry changes, so that no stage takes up results of the earlier code."""

WANTED = frozenset({("n1", "xyz"), ("g", "u_qm"), ("n1", "u_qm_prime")})


class EntryError(ValueError):
    """An entry that cannot be used; the message names the file and the reason."""


@dataclasses.dataclass(frozen=True)
class CheckedEntry:
    """An entry and what was left out of it.

    Attributes:
        entry: the good conformers.
        dropped: how many conformers were dropped, by reason.
    """

    entry: Entry
    dropped: dict[str, int]


@dataclasses.dataclass(frozen=True)
class _Arrays:
    """The tensors of an entry as stored: ``xyz`` and ``u_qm_prime`` (n_atoms, n_confs, 3), ``u_qm`` (1, n_confs)."""

    xyz: numpy.ndarray
    u_qm: numpy.ndarray
    u_qm_prime: numpy.ndarray


def convert_gradient_to_force(gradient: numpy.ndarray) -> numpy.ndarray:
    """Forces [kcal/mol/Angstrom] from gradients [hartree/bohr]: the one place where the sign changes.

    ``u_qm_prime`` is +dE/dx. It was copied without a sign from the ``return_result`` of QCArchive gradient
    calculations (choderalab/download-qca-datasets, choderalab/refit-espaloma getgraph_hdf5.py), and Espaloma compares
    it with the gradient of its energy. The energies along an optimisation confirm it:
    u_qm[i+1] - u_qm[i] is near +u_qm_prime * (xyz[i+1] - xyz[i]).
    """
    return -gradient.astype(numpy.float64) * HARTREE_PER_BOHR_TO_KCAL_PER_MOL_ANGSTROM


def read_entry(folder: str | os.PathLike, name: str = "", max_force: float | None = None) -> Entry:
    """Reads one entry of the archive; conformers that are bad by themselves are left out.

    See :func:`read_checked_entry`.
    """
    return read_checked_entry(folder, name, max_force).entry


def read_checked_entry(folder: str | os.PathLike, name: str = "", max_force: float | None = None) -> CheckedEntry:
    """Reads one entry of the archive and says which conformers were left out.

    Args:
        folder: holds ``mol.json`` and ``heterograph.bin``; its name is not looked at.
        name: where the entry comes from, e.g. "gen2-opt/12".
        max_force: [kcal/mol/Angstrom] conformers with a larger force on any atom are dropped; None keeps them.

    Raises:
        EntryError: a file is missing, damaged or says something impossible, files disagree, or no conformer is left.
    """
    folder = pathlib.Path(folder)
    labelled = _read_molecule(folder / "mol.json")
    arrays = _read_arrays(folder / "heterograph.bin", labelled.mol.GetNumAtoms())
    coords = numpy.swapaxes(arrays.xyz, 0, 1).astype(numpy.float64) * BOHR_TO_ANGSTROM
    forces = convert_gradient_to_force(numpy.swapaxes(arrays.u_qm_prime, 0, 1))
    energy = arrays.u_qm[0]

    reasons = numpy.full(len(energy), "", dtype=object)
    finite = numpy.isfinite(energy) & numpy.isfinite(coords).all((1, 2)) & numpy.isfinite(forces).all((1, 2))
    reasons[~finite] = "coordinates, energy or gradient not finite"
    good = numpy.flatnonzero(finite)
    reasons[good[find_overlaps(coords[good])]] = f"atoms closer than {OVERLAP} A"
    if max_force is not None:
        largest = numpy.linalg.norm(forces[good], axis=-1).max(-1)
        reasons[good[largest > max_force]] = f"a force above {max_force:g} kcal/mol/A"
    good = numpy.flatnonzero(reasons == "")
    mol, agrees = _settle_stereochemistry(labelled, coords[good], folder / "mol.json")
    reasons[good[~agrees]] = "stereochemistry other than in mol.json"

    dropped = dict(collections.Counter(reasons[reasons != ""].tolist()))
    good = numpy.flatnonzero(reasons == "")
    if len(good) == 0:
        counts = ", ".join(f"{count} with {reason}" for reason, count in dropped.items())
        raise EntryError(f"{folder}: no conformer is left of {len(energy)}: {counts}")
    mean = float(energy[good].mean())
    entry = Entry(
        smiles=_write_smiles(mol, folder / "mol.json"),
        coords=coords[good],
        energy=(energy[good] - mean) * HARTREE_TO_KCAL_PER_MOL,
        forces=forces[good],
        energy_offset=mean * HARTREE_TO_KCAL_PER_MOL,
        entry=name,
    )
    return CheckedEntry(entry, dropped)


def _read_molecule(path: pathlib.Path) -> LabelledMolecule:
    try:
        return parse_molecule(path.read_bytes())
    except FileNotFoundError as error:
        raise EntryError(f"{path}: missing; was the archive unpacked only in part?") from error
    except OSError as error:
        raise EntryError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise EntryError(f"{path}: {error}") from error


def _read_arrays(path: pathlib.Path, n_atoms: int) -> _Arrays:
    try:
        frames = read_heterograph(path, keep=WANTED).node_frames
    except FileNotFoundError as error:
        raise EntryError(f"{path}: missing; was the archive unpacked only in part?") from error
    except OSError as error:
        raise EntryError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise EntryError(str(error)) from error  # the message names the file
    arrays = _Arrays(
        _get_tensor(path, frames, "n1", "xyz"),
        _get_tensor(path, frames, "g", "u_qm"),
        _get_tensor(path, frames, "n1", "u_qm_prime"),
    )
    _check_arrays(path, arrays, n_atoms)
    return arrays


def _get_tensor(path: pathlib.Path, frames: dict[str, Frame], node_type: str, name: str) -> numpy.ndarray:
    if node_type not in frames:
        raise EntryError(f"{path}: no nodes of type {node_type!r}, only {', '.join(frames)}; no Espaloma graph?")
    if name not in frames[node_type]:
        raise EntryError(f"{path}: the nodes {node_type!r} have no tensor {name!r}; no quantum data in this graph?")
    values = frames[node_type][name]
    if values.dtype == numpy.float32 and name == "u_qm":
        raise EntryError(f"{path}: u_qm is float32: total energies have lost 0.03 kcal/mol and more; float64 is needed")
    if values.dtype not in (numpy.float32, numpy.float64):
        raise EntryError(f"{path}: {name} is {values.dtype}, expected floating point numbers")
    return values


def _check_arrays(path: pathlib.Path, arrays: _Arrays, n_atoms: int) -> None:
    n_confs = arrays.u_qm.shape[-1] if arrays.u_qm.ndim else 0
    expected = {"xyz": (n_atoms, n_confs, 3), "u_qm": (1, n_confs), "u_qm_prime": (n_atoms, n_confs, 3)}
    for name, shape in expected.items():
        found = getattr(arrays, name).shape
        if found != shape:
            raise EntryError(
                f"{path}: {name} has shape {found}, expected {shape}: {n_atoms} atoms in mol.json, "
                f"{n_confs} energies in u_qm"
            )
    if n_confs == 0:
        raise EntryError(f"{path}: no conformers")


def _write_smiles(mol: Chem.Mol, path: pathlib.Path) -> str:
    """The mapped SMILES by which all later stages know the molecule: what RDKit writes, it has to read."""
    smiles = to_mapped_smiles(mol)
    try:
        atoms = from_mapped_smiles(smiles).GetAtoms()
    except ValueError as error:
        raise EntryError(
            f"{path}: RDKit cannot read back the SMILES that it writes of this molecule: {error}"
        ) from error
    if [atom.GetAtomicNum() for atom in atoms] != [atom.GetAtomicNum() for atom in mol.GetAtoms()]:
        raise EntryError(f"{path}: RDKit reads another molecule from the SMILES that it writes of this one: {smiles}")
    return smiles


def _settle_stereochemistry(
    labelled: LabelledMolecule, coords: numpy.ndarray, path: pathlib.Path
) -> tuple[Chem.Mol, numpy.ndarray]:
    """The molecule by the reading of its labels that fits the coordinates, and which conformers have that arrangement.

    Programs differ in a few labels (sulfoxides, for example), and ``mol.json`` does not say which wrote them.

    Raises:
        EntryError: by no reading does any conformer agree.
    """
    if not labelled.labels:
        return labelled.mol, numpy.ones(len(coords), dtype=bool)
    error: ValueError | None = None
    mol = None
    for compute_labels in LABELLINGS:
        try:
            mol = apply_labels(labelled.mol, labelled.labels, compute_labels)
        except ValueError as problem:
            error = problem
            continue
        agrees = find_agreeing_conformers(mol, coords)
        if agrees.any() or len(coords) == 0:
            return mol, agrees
    if mol is None:
        raise EntryError(f"{path}: {error}") from error
    raise EntryError(f"{path}: the stereochemistry disagrees with that of all {len(coords)} conformers")
