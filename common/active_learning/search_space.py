"""Where a campaign may look, and what it is judged by: starts, candidates for the initial set, tests, a first model.

One folder: ``space.json`` and arrays, written whole by its stage. Everything labelled in it was computed at the
campaign's own level.
"""

import collections.abc
import dataclasses
import json
import os
import pathlib
import typing

import numpy

from common.files.arrays import read_arrays, write_arrays
from common.files.artifacts import ArtifactError, MissingArtifactError
from common.files.fingerprints import compute_content_hash
from common.files.plain import write_json
from common.molecules.mapped_smiles import from_mapped_smiles
from common.tasks.labels import Labels, load_labels, save_labels

FORMAT = 1

DESCRIPTION = "space.json"
"""Written last: a folder that has it is whole."""

STARTING_MODEL = "starting-model.pt"

PARAMETERS = "parameters.pt"
"""The cheap force field with the molecules."""

CALCULATIONS = "calculations"
"""The ledger of all labels."""


@dataclasses.dataclass(frozen=True)
class Molecule:
    """A molecule of the search space.

    Attributes:
        smiles: fully mapped.
        numbers: atomic numbers, ``shape=(n_atoms,)`` int64.
        charge: [e].
    """

    smiles: str
    numbers: numpy.ndarray
    charge: int


def make_molecule(smiles: str) -> Molecule:
    """The molecule of a fully mapped SMILES.

    Raises:
        ValueError: RDKit cannot read it, or it is not fully mapped.
    """
    mol = from_mapped_smiles(smiles)
    numbers = numpy.array([atom.GetAtomicNum() for atom in mol.GetAtoms()], dtype=numpy.int64)
    return Molecule(smiles, numbers, sum(atom.GetFormalCharge() for atom in mol.GetAtoms()))


@dataclasses.dataclass(frozen=True)
class Start:
    """Where a trajectory begins.

    Attributes:
        molecule: which.
        coords: [Angstrom] ``shape=(n_atoms, 3)``.
        velocities: [Angstrom/fs]; None to be drawn.
        temperature: [K] of the dynamics.
        region: a word for where it lies, e.g. "known" or "new"; campaigns take the same share of each.
    """

    molecule: int
    coords: numpy.ndarray
    velocities: numpy.ndarray | None
    temperature: float
    region: str


@dataclasses.dataclass(frozen=True)
class SearchSpace:
    """What a campaign is given.

    Attributes:
        folder: where it lies.
        molecules: of all structures.
        starts: of trajectories.
        initial: labelled candidates for the initial set.
        tests: files of labelled structures by name.
        level: name of the level of all labels.
        level_fingerprint: of it.
        notes: what else ``space.json`` says.
    """

    folder: pathlib.Path
    molecules: tuple[Molecule, ...]
    starts: tuple[Start, ...]
    initial: Labels
    tests: dict[str, pathlib.Path]
    level: str
    level_fingerprint: str
    notes: dict[str, typing.Any]

    @property
    def starting_model(self) -> pathlib.Path | None:
        """The file of the pretrained network; None where there is none."""
        path = self.folder / STARTING_MODEL
        return path if path.is_file() else None


def write_search_space(
    folder: pathlib.Path,
    molecules: collections.abc.Sequence[Molecule],
    starts: collections.abc.Sequence[Start],
    initial: Labels,
    tests: collections.abc.Mapping[str, Labels],
    level: str,
    level_fingerprint: str,
    notes: collections.abc.Mapping[str, typing.Any],
) -> None:
    """Writes a search space; arguments as in :class:`SearchSpace`, the tests with their labels."""
    _save_starts(folder / "starts.npz", starts)
    save_labels(folder / "initial.npz", initial)
    for name, labels in tests.items():
        save_labels(folder / f"test-{name}.npz", labels)
    description = {
        "format": FORMAT,
        "molecules": [molecule.smiles for molecule in molecules],
        "level": level,
        "level_fingerprint": level_fingerprint,
        "tests": sorted(tests),
        **notes,
    }
    write_json(folder / DESCRIPTION, description)


def read_search_space(folder: str | os.PathLike) -> SearchSpace:
    """Reads what :func:`write_search_space` wrote.

    Raises:
        MissingArtifactError: there is no search space, or it is not finished.
        ArtifactError: it is damaged or of another format; it has no starts or no test.
    """
    folder = pathlib.Path(folder)
    if not (folder / DESCRIPTION).is_file():
        raise MissingArtifactError(f"{folder}: no search space here", "search space")
    try:
        notes = json.loads((folder / DESCRIPTION).read_text())
        if notes.pop("format") != FORMAT:
            raise ValueError("it is of another format")
        molecules = tuple(make_molecule(smiles) for smiles in notes.pop("molecules"))
        tests = {name: folder / f"test-{name}.npz" for name in notes.pop("tests")}
        space = SearchSpace(
            folder,
            molecules,
            _load_starts(folder / "starts.npz"),
            load_labels(folder / "initial.npz"),
            tests,
            notes.pop("level"),
            notes.pop("level_fingerprint"),
            notes,
        )
        sizes = {name: len(load_labels(path)) for name, path in tests.items()}
    except (ValueError, KeyError, TypeError, AttributeError, FileNotFoundError) as error:
        raise ArtifactError(f"{folder}: damaged search space ({error})", "search space") from error
    if not space.starts:
        raise ArtifactError(f"{folder}: has no starts of trajectories", "search space")
    empty = [name for name, size in sizes.items() if not size]
    if not tests or empty:
        raise ArtifactError(f"{folder}: has no test set{'' if not empty else f' {empty[0]}'}", "search space")
    return space


def fingerprint_search_space(folder: str | os.PathLike) -> str:
    """What names the contents of a search space; its ledger is not among them."""
    return compute_content_hash(sorted(path for path in pathlib.Path(folder).iterdir() if path.is_file()))[:16]


def choose_starts(space: SearchSpace, n_starts: int, random: numpy.random.Generator) -> list[int]:
    """Indices of starts: by chance, of each region the same share as there are in the space, at least one.

    Args:
        space: to choose from.
        n_starts: how many; all where there are fewer.
        random: source of chance.
    """
    regions = sorted({start.region for start in space.starts})
    members = {name: [i for i, start in enumerate(space.starts) if start.region == name] for name in regions}
    n_total, n_wanted = len(space.starts), min(n_starts, len(space.starts))
    chosen: list[int] = []
    for name in regions:
        share = max(1, round(n_wanted * len(members[name]) / n_total))
        chosen += random.permutation(members[name])[:share].tolist()
    return sorted(chosen[:n_wanted] if len(chosen) > n_wanted else chosen)


def _save_starts(path: pathlib.Path, starts: collections.abc.Sequence[Start]) -> None:
    n_atoms = [len(start.coords) for start in starts]
    velocities = [numpy.full((n, 3), numpy.nan) if s.velocities is None else s.velocities
                  for n, s in zip(n_atoms, starts, strict=True)]  # fmt: skip
    arrays = {
        "molecules": numpy.array([start.molecule for start in starts], dtype=numpy.int64),
        "n_atoms": numpy.array(n_atoms, dtype=numpy.int64),
        "coords": numpy.concatenate([numpy.zeros((0, 3)), *(start.coords for start in starts)]),
        "velocities": numpy.concatenate([numpy.zeros((0, 3)), *velocities]),
        "temperatures": numpy.array([start.temperature for start in starts]),
        "regions": numpy.array([start.region for start in starts], dtype=numpy.str_),
    }
    write_arrays(path, arrays)


def _load_starts(path: pathlib.Path) -> tuple[Start, ...]:
    arrays = read_arrays(path, ["molecules", "n_atoms", "coords", "velocities", "temperatures", "regions"])
    ends = numpy.cumsum(arrays["n_atoms"])[:-1]
    coords = numpy.split(arrays["coords"], ends) if len(arrays["n_atoms"]) else []
    velocities = numpy.split(arrays["velocities"], ends) if len(arrays["n_atoms"]) else []
    return tuple(
        Start(int(molecule), x, None if numpy.isnan(v).any() else v, float(temperature), str(region))
        for molecule, x, v, temperature, region in zip(
            arrays["molecules"], coords, velocities, arrays["temperatures"], arrays["regions"], strict=True
        )
    )
