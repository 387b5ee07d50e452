"""What is left of a campaign: the data, in two forms, the last networks, and how it ended."""

import collections.abc
import dataclasses
import json
import pathlib
import shutil
import typing

import numpy

from common.active_learning.ase_files import write_database
from common.active_learning.plan import CampaignFolder
from common.active_learning.search_space import Molecule
from common.data.dataset import Entry, ShardWriter, finish_dataset
from common.files.artifacts import ArtifactError
from common.files.atomic import replace_atomically, replace_folder
from common.molecules.bonding import is_bonded_as_drawn
from common.molecules.mapped_smiles import from_mapped_smiles
from common.potentials.file import load_network, save_network
from common.processes.stage import SCRIPTS
from common.selection.farthest import compute_distance_features, select_farthest
from common.tasks.labels import Labels

POTENTIAL = "potential.pt"
"""In the folder of the last networks: that of the smallest validation error, to be used where one is wanted."""


@dataclasses.dataclass(frozen=True)
class Origin:
    """Why a structure was computed.

    Attributes:
        source: "initial", "audit", "active" or "random".
        task: of its calculation; "" for the initial set.
        round: of the models by whose word it was chosen, or that were audited; 0 for the initial set.
    """

    source: str
    task: str
    round: int


def write_train_db(
    folder: CampaignFolder, labels: Labels, molecules: collections.abc.Sequence[Molecule], origins: list[Origin]
) -> None:
    """Writes all labelled structures as an ASE database, with why each was computed."""
    notes: list[dict[str, str | int | float]] = [
        {"round": each.round, **({"task": each.task} if each.task else {})} for each in origins
    ]
    write_database(folder.train_db, labels, molecules, [each.source for each in origins], notes)


def write_data(
    folder: pathlib.Path,
    name: str,
    labels: Labels,
    molecules: collections.abc.Sequence[Molecule],
    max_force: float,
    max_conformers: int,
    artifact: str = "campaign",
) -> dict[str, int]:
    """Writes labelled structures as a data set that a force field can be fitted to, beside others that are there.

    The list of molecules, ``smiles.json``, gets those that it lacks: the folder may hold an archive's data as well.

    Structures that are not bonded as drawn any more, or whose forces are too large, say nothing of a force field; of
    the others those that are farthest from one another are kept.

    Args:
        folder: of data sets; gets ``<name>/`` and ``smiles.json``.
        name: of the data set.
        labels: the structures.
        molecules: of the search space.
        max_force: [kcal/mol/Angstrom] on an atom.
        max_conformers: of a molecule.
        artifact: what the structures belong to, for the provenance.

    Returns:
        counts of structures: ``kept``, ``broken``, ``forceful``, ``alike``.

    Raises:
        ArtifactError: the list of molecules that is there is damaged.
    """
    known = _read_smiles(folder / "smiles.json")
    counts = {"kept": 0, "broken": 0, "forceful": 0, "alike": 0}
    work = folder / f".{name}.work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    kept_smiles = []
    with ShardWriter(work / "shard.arrow") as writer:
        for k, molecule in enumerate(molecules):
            own = numpy.flatnonzero(labels.molecules == k)
            entry = _make_entry(labels.select(own), molecule, f"{name}/{k}", max_force, max_conformers, counts)
            if entry is not None:
                writer.write(entry)
                kept_smiles.append(molecule.smiles)
    finish_dataset(
        work,
        [work / "shard.arrow"],
        folder / name,
        {"stage": SCRIPTS[artifact].removesuffix(".py"), "counts": counts},
    )
    with replace_atomically(folder / "smiles.json") as beside:
        beside.write_text(json.dumps(sorted({*known, *kept_smiles}), indent=0) + "\n")
    return counts


def _read_smiles(path: pathlib.Path) -> list[str]:
    if not path.is_file():
        return []
    try:
        smiles = json.loads(path.read_text())
        if not isinstance(smiles, list) or not all(isinstance(each, str) for each in smiles):
            raise ValueError("no list of strings")
    except ValueError as error:
        raise ArtifactError(f"{path}: damaged ({error})", "raw data") from error
    return smiles


def _make_entry(
    labels: Labels, molecule: Molecule, place: str, max_force: float, max_conformers: int, counts: dict[str, int]
) -> Entry | None:
    """The structures of one molecule as an entry, and the count of those that are left out; None where all are."""
    n_atoms = len(molecule.numbers)
    coords, forces = labels.coords.reshape(-1, n_atoms, 3), labels.forces.reshape(-1, n_atoms, 3)
    mol = from_mapped_smiles(molecule.smiles)
    is_forceful = labels.find_largest_forces() > max_force
    is_broken = numpy.array([not is_bonded_as_drawn(mol, each) for each in coords], dtype=bool) & ~is_forceful
    sound = numpy.flatnonzero(~is_forceful & ~is_broken)
    counts["forceful"] += int(is_forceful.sum())
    counts["broken"] += int(is_broken.sum())
    if not len(sound):
        return None
    chosen = sound[numpy.sort(select_farthest(compute_distance_features(coords[sound]), max_conformers))]
    counts["alike"] += len(sound) - len(chosen)
    counts["kept"] += len(chosen)
    mean = float(labels.energies[chosen].mean())
    return Entry(molecule.smiles, coords[chosen], labels.energies[chosen] - mean, forces[chosen], mean, place)


def write_final_model(folder: CampaignFolder, models: list[pathlib.Path]) -> float:
    """Copies the networks of the last training, and the best of them as the potential to use.

    Returns:
        the best one's validation error [kcal/mol/Angstrom].
    """
    networks = [load_network(path) for path in models]
    errors = [float(each.provenance["progress"]["validation_error"]) for each in networks]
    work = folder.path / f".{folder.final_model.name}.work"
    shutil.rmtree(work, ignore_errors=True)
    for path in models:
        work.mkdir(exist_ok=True)
        shutil.copyfile(path, work / path.name)
    best = int(numpy.argmin(errors))
    provenance: dict[str, typing.Any] = {**networks[best].provenance, "member": best, "campaign": folder.path.name}
    save_network(work / POTENTIAL, dataclasses.replace(networks[best], provenance=provenance))
    replace_folder(work, folder.final_model)
    return errors[best]
