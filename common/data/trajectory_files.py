"""Trajectories of others: MD17 and MD22 as ``.npz``, the water of "Forces are not enough" as ``.npy``, extended XYZ.

Nothing is unpickled with trust: the ``.npy``, which is a pickled dict of arrays, is read by an unpickler that knows
numpy's arrays and refuses the rest.
"""

import io
import pathlib
import pickle
import typing

import ase
import ase.io
import numpy

from common.data.dataset import Entry
from common.data.trajectories import Trajectory
from common.geometry.periodic import read_edges
from common.molecules.bond_perception import perceive_molecule
from common.molecules.mapped_smiles import from_mapped_smiles, to_mapped_smiles
from common.units import EV_TO_KCAL_PER_MOL

FEMTOSECOND = 0.09822694788464063
"""[ASE's unit of time], in which velocities of extended XYZ are given: Angstrom sqrt(amu/eV)."""

_ARRAY_NAMES = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy.core.numeric", "_frombuffer"),
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> typing.Any:
        if (module, name) not in _ARRAY_NAMES:
            raise ValueError(f"it asks for {module}.{name}, which no plain array needs")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


class _Frames(typing.NamedTuple):
    """What a file holds, in the units of the house; None where it lacks something."""

    atomic_nums: numpy.ndarray
    coords: numpy.ndarray
    energy: numpy.ndarray
    forces: numpy.ndarray
    velocities: numpy.ndarray | None = None
    cell: numpy.ndarray | None = None


def read_trajectory(path: pathlib.Path, smiles: str | None = None, charge: int = 0) -> Trajectory:
    """The frames of a file, in its order; times and temperature are not known.

    Args:
        path: ``.npz`` with z, E, F, R (kcal/mol, Angstrom); ``.npy`` with a dict of atom_types, energy, forces,
            wrapped_coords or unwrapped_coords, lengths (kcal/mol, Angstrom); anything else as ASE reads it (eV).
        smiles: fully mapped, in the order of the atoms; None to find bonds by distance.
        charge: [e], where bonds are to be found.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, lacks something, or fits no molecule.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    read = {".npz": _read_npz, ".npy": _read_npy}.get(path.suffix, _read_with_ase)
    try:
        frames = read(path)
        _check(frames)
        smiles = _find_smiles(frames, charge) if smiles is None else _check_smiles(smiles, frames.atomic_nums)
        masses = numpy.array([atom.GetMass() for atom in from_mapped_smiles(smiles).GetAtoms()])
        mean = float(frames.energy.mean())
        entry = Entry(smiles, frames.coords, frames.energy - mean, frames.forces, mean, path.name)
        cell = None if frames.cell is None else read_edges(frames.cell)
    except (ValueError, KeyError, OSError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path}: {error}") from error
    return Trajectory(entry, masses, frames.velocities, cell)


def _read_npz(path: pathlib.Path) -> _Frames:
    with numpy.load(path, allow_pickle=False) as archive:
        names = {"z": "nuclear_charges", "E": "energies", "F": "forces", "R": "coords"}  # old MD17 and revised MD17
        z, e, f, r = (archive[name if name in archive else other] for name, other in names.items())
    return _Frames(z.astype(numpy.int64), _double(r), _double(e).reshape(-1), _double(f))


def _read_npy(path: pathlib.Path) -> _Frames:
    with path.open("rb") as file:
        version = numpy.lib.format.read_magic(file)
        layout = numpy.lib.format
        read_header = layout.read_array_header_1_0 if version == (1, 0) else layout.read_array_header_2_0
        shape, _, dtype = read_header(file)
        if shape != () or not dtype.hasobject:
            raise ValueError("holds no dict of arrays")
        contents = _ArrayUnpickler(io.BytesIO(file.read())).load()
    contents = contents.item() if isinstance(contents, numpy.ndarray) else contents
    if not isinstance(contents, dict):
        raise ValueError("holds no dict of arrays")
    coords = contents["unwrapped_coords"] if "unwrapped_coords" in contents else contents["wrapped_coords"]
    velocities = contents.get("velocities")
    return _Frames(
        numpy.asarray(contents["atom_types"]).astype(numpy.int64),
        _double(coords),
        _double(contents["energy"]).reshape(-1),
        _double(contents["forces"]),
        None if velocities is None else _double(velocities),
        _double(contents["lengths"]),
    )


def _read_with_ase(path: pathlib.Path) -> _Frames:
    try:
        atoms: list[ase.Atoms] = list(ase.io.iread(path, ":", format="extxyz"))  # no format that unpickles
    except Exception as error:  # ASE's readers raise what comes
        raise ValueError(f"this is no extended XYZ that ASE can read ({error})") from error
    if len({tuple(one.numbers) for one in atoms}) != 1:
        raise ValueError("its frames hold different atoms")
    if any(one.calc is None or "energy" not in one.calc.results or "forces" not in one.calc.results for one in atoms):
        raise ValueError("a frame lacks energy or forces")
    has_cell = all(one.pbc.all() for one in atoms)
    has_velocities = all("momenta" in one.arrays for one in atoms)
    cells = [one.cell.array for one in atoms]
    if has_cell and any(abs(cell - cells[0]).max() > 1e-9 for cell in cells):
        raise ValueError("the box changes from frame to frame; only a constant one is known here")
    return _Frames(
        atoms[0].numbers.astype(numpy.int64),
        numpy.array([one.positions for one in atoms]),
        numpy.array([one.calc.results["energy"] for one in atoms]) * EV_TO_KCAL_PER_MOL,
        numpy.array([one.calc.results["forces"] for one in atoms]) * EV_TO_KCAL_PER_MOL,
        numpy.array([one.get_velocities() for one in atoms]) * FEMTOSECOND if has_velocities else None,
        cells[0] if has_cell else None,
    )


def _double(array: numpy.ndarray) -> numpy.ndarray:
    return numpy.asarray(array, dtype=numpy.float64)


def _check(frames: _Frames) -> None:
    n_frames, n_atoms = len(frames.energy), len(frames.atomic_nums)
    shape = (n_frames, n_atoms, 3)
    for name in ("coords", "forces", "velocities"):
        array = getattr(frames, name)
        if array is not None and (array.shape != shape or not numpy.isfinite(array).all()):
            raise ValueError(f"{name} have shape {array.shape}, expected {shape} and all finite")
    if not n_frames or not numpy.isfinite(frames.energy).all():
        raise ValueError("holds no frame, or an energy that is not finite")


def _find_smiles(frames: _Frames, charge: int) -> str:
    coords = frames.coords[0]
    if frames.cell is not None:
        coords = _make_whole(coords, frames.atomic_nums, read_edges(frames.cell))
    return to_mapped_smiles(perceive_molecule(frames.atomic_nums, coords, charge))


def _make_whole(coords: numpy.ndarray, atomic_nums: numpy.ndarray, edges: numpy.ndarray) -> numpy.ndarray:
    """Hydrogens beside the heavy atom that is nearest through the box; enough for small molecules of one heavy atom."""
    heavy = numpy.nonzero(atomic_nums > 1)[0]
    whole = coords.copy()
    for i in numpy.nonzero(atomic_nums == 1)[0]:
        differences = coords[i] - coords[heavy]
        differences -= edges * numpy.round(differences / edges)
        nearest = numpy.linalg.norm(differences, axis=1).argmin()
        whole[i] = coords[heavy[nearest]] + differences[nearest]
    return whole


def _check_smiles(smiles: str, atomic_nums: numpy.ndarray) -> str:
    own = [atom.GetAtomicNum() for atom in from_mapped_smiles(smiles).GetAtoms()]
    if own != atomic_nums.tolist():
        raise ValueError(f"the SMILES has the atoms {own}, the file {atomic_nums.tolist()}")
    return smiles
