"""Prepare molecules for a generator to learn from.

Reads   nothing (--source enumerate), a data set, an ASE database, QM9's archive, or packed molecules
Writes  outputs/molecules/<name>.db      an ASE database, lengths in Angstrom, properties with their units

    python 041-prepare-molecules.py --max-heavy-atoms 5
    python 041-prepare-molecules.py --source dataset --input outputs/data-raw/spice-pubchem
    python 041-prepare-molecules.py --source ase --input my-molecules.db
    python 041-prepare-molecules.py --source qm9 --input outputs/qm9

enumerate makes all molecules of C, N, O and F up to a number of heavy atoms that pass the chemical filters below,
embeds them (ETKDG, MMFF94) and relaxes them by GFN2-xTB, which also gives their energy and the gap between the frontier
orbitals. An ASE database is taken as G-SchNet's own recipe writes it, with _distance_unit and _property_unit_dict in
its metadata. Molecules that fall apart where the network looks for neighbours cannot be placed atom by atom: they are
left out, and counted by the elements between which the gap is.

Up to 5 heavy atoms: 646 molecules, a minute on two cores. Up to 6 (3,665 molecules) two and a half minutes, up to 7
(23,179) half an hour, most of it relaxation. An interrupted run goes on where it stopped.
"""

import collections
import dataclasses
import functools
import pathlib
import shutil
import typing

import numpy
from rdkit import Chem

from common.calculators.tight_binding import GFN2
from common.data.dataset import open_dataset, read_entries
from common.data.molecule_database import Database, Molecule, read_database, read_packed, write_database, write_packed
from common.files.fingerprints import compute_fingerprint
from common.generation.connectivity import find_connected
from common.generation.preparation import (
    QM9_PROPERTIES,
    UNITS,
    Failure,
    GeometrySettings,
    make_molecules,
    read_qm9,
    take_entry,
)
from common.molecules.chemical_space import FORBIDDEN, enumerate_molecules
from common.processes.memory import format_peak_memory
from common.processes.pool import run_in_processes
from common.processes.stage import run_stage
from common.processes.threads import count_available_cpus
from common.reporting.console import format_left_out, suggest_command
from common.runs.options import read_settings
from common.runs.settings import AtLeastOne, Contents, Machine, NonNegative, Positive, StageSettings

OUTPUTS = pathlib.Path("outputs")
CHUNK_SIZE = 100  # molecules that are relaxed before their result is kept
N_REASONS_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Settings(StageSettings):
    """Where molecules come from."""

    source: typing.Literal["enumerate", "dataset", "ase", "qm9", "packed"] = "enumerate"
    input: Contents[pathlib.Path | None] = None  # what the source reads: a data set, a file, or QM9's folder
    name: str = "molecules"  # the result is outputs/molecules/<name>.db

    # --- enumerate ---------------------------------------------------------------------------------------------------
    max_heavy_atoms: AtLeastOne[int] = 6  # the largest molecules
    elements: tuple[int, ...] = (6, 7, 8, 9)  # atomic numbers of heavy atoms
    forbidden: dict[str, str] = dataclasses.field(default_factory=lambda: dict(FORBIDDEN))  # SMARTS by name
    max_molecules: AtLeastOne[int] | None = (
        None  # all of the smaller ones, of the largest as many as are left, at random
    )
    n_conformers: AtLeastOne[int] = 1  # of each molecule
    relax: bool = True  # by GFN2-xTB; else the minimum of MMFF94 stays
    max_force: Positive[float] = 1.0  # [kcal/mol/Angstrom] at the end of a relaxation
    seed: NonNegative[int] = 0  # of the embedding, and of the choice with max_molecules

    # --- dataset -----------------------------------------------------------------------------------------------------
    only_lowest: bool = True  # of each entry the conformer of lowest energy; else all

    # --- what can be placed ------------------------------------------------------------------------------------------
    placement_cutoff: Positive[float] = 1.7  # [Angstrom] the next atom is no further from its focus
    use_covalent_radii: bool = True  # nor further than the factor times the sum of covalent radii
    covalent_radius_factor: Positive[float] = 1.1

    output: Machine[pathlib.Path] = OUTPUTS / "molecules"  # folder of databases
    pack: Machine[pathlib.Path | None] = None  # also write the molecules as one small file (.npz), rounded
    n_workers: Machine[AtLeastOne[int]] = dataclasses.field(default_factory=count_available_cpus)  # processes

    def check(self) -> None:
        if (self.source == "enumerate") != (self.input is None):
            raise ValueError(f"source {self.source!r} {'reads no' if self.input else 'needs an'} input")

    @property
    def geometry(self) -> GeometrySettings:
        return GeometrySettings(self.n_conformers, self.relax, self.max_force, self.seed)

    @property
    def radius_factor(self) -> float | None:
        return self.covalent_radius_factor if self.use_covalent_radii else None


def choose_molecules(settings: Settings) -> list[str]:
    """The SMILES that are to be made."""
    counts: dict[str, int] = {}
    smiles = enumerate_molecules(settings.max_heavy_atoms, settings.elements, settings.forbidden, counts)
    print(f"{len(smiles)} molecules of up to {settings.max_heavy_atoms} heavy atoms{format_left_out(counts)}")
    if settings.max_molecules is None or len(smiles) <= settings.max_molecules:
        return smiles
    sizes = numpy.array([Chem.MolFromSmiles(one).GetNumHeavyAtoms() for one in smiles])
    keys = numpy.random.default_rng(settings.seed).random(len(smiles))
    order = numpy.lexsort((keys, sizes))[: settings.max_molecules]
    return [smiles[i] for i in sorted(order)]


def make_chunk(geometry: GeometrySettings, folder: pathlib.Path, chunk: tuple[int, list[str]]) -> None:
    """Makes some molecules and keeps them, with those that failed, in the work folder."""
    number, smiles = chunk
    path = folder / f"{number:05d}.db"
    if path.is_file():
        return
    made = [one for text in smiles for one in make_molecules(text, geometry)]
    failures = [list(one) for one in made if isinstance(one, Failure)]
    write_database(path, [one for one in made if isinstance(one, Molecule)], UNITS, {"failures": failures})


def make_space(settings: Settings) -> Database:
    """All molecules of the chemical space, relaxed; what an interrupted run has done is not done again."""
    smiles = choose_molecules(settings)
    fingerprint = compute_fingerprint([smiles, dataclasses.asdict(settings.geometry)])
    folder = settings.output / f".{settings.name}.{fingerprint}.parts"
    folder.mkdir(parents=True, exist_ok=True)
    chunks = [(i, smiles[i : i + CHUNK_SIZE]) for i in range(0, len(smiles), CHUNK_SIZE)]
    function = functools.partial(make_chunk, settings.geometry, folder)
    for _ in run_in_processes(
        function, chunks, settings.n_workers, [len(chunk) for _, chunk in chunks], "relax", "molecule"
    ):
        pass
    parts = [read_database(folder / f"{number:05d}.db") for number, _ in chunks]
    failures = [failure for part in parts for failure in part.metadata["failures"]]
    if failures:
        print(f"no geometry{format_left_out(collections.Counter(reason for _, reason in failures))}")
    return Database([molecule for part in parts for molecule in part.molecules], UNITS, {"failures": failures})


def read_molecules(settings: Settings) -> Database:
    """The molecules of the source."""
    if settings.source == "enumerate":
        return make_space(settings)
    assert settings.input is not None
    if settings.source == "ase":
        return read_database(settings.input)
    if settings.source == "packed":
        return read_packed(settings.input)
    if settings.source == "qm9":
        return Database(list(read_qm9(settings.input)), QM9_PROPERTIES, {})
    entries = read_entries(open_dataset(settings.input))
    molecules = [molecule for entry in entries for molecule in take_entry(entry, settings.only_lowest)]
    return Database(molecules, {"energy": "eV"}, {})


def main() -> None:
    settings = read_settings(Settings)
    database = read_molecules(settings)
    connected = find_connected(database.molecules, settings.placement_cutoff, settings.radius_factor)
    molecules = [one for one, keep in zip(database.molecules, connected.is_connected, strict=True) if keep]
    left_out = {f"with a gap {pair}": count for pair, count in connected.gaps.most_common()}
    print(f"{len(molecules)} molecules that can be placed atom by atom{format_left_out(left_out)}")
    if not molecules:
        raise ValueError(
            f"no molecule is connected within {settings.placement_cutoff:g} Å; raise placement_cutoff or the factor"
        )
    metadata = {
        "stage": "041-prepare-molecules",
        "source": settings.source,
        "level": GFN2 if settings.source in ("enumerate", "packed") else "",
        "left_out": {"disconnected": dict(connected.gaps), "failures": database.metadata.get("failures", [])},
    }
    path = settings.output / f"{settings.name}.db"
    database = Database(molecules, database.units, metadata)
    write_database(path, molecules, database.units, metadata)
    for parts in settings.output.glob(f".{settings.name}.*.parts"):
        shutil.rmtree(parts)
    if settings.pack is not None:
        names = [name for name in database.properties if molecules[0].properties[name].ndim == 0]
        write_packed(settings.pack, database, names)
        print(f"packed into {settings.pack}, {settings.pack.stat().st_size / 1e6:.2f} MB")
    units = ", ".join(f"{name} [{database.units.get(name, 'no unit')}]" for name in database.properties)
    print(f"wrote {path}: properties {units or 'none'}; peak memory {format_peak_memory()}")
    print(suggest_command("042-train-generator.py", {"--input": (path, OUTPUTS / "molecules" / "molecules.db")}))


if __name__ == "__main__":
    run_stage(main)
