"""Sample a reference: dynamics of one molecule by a level of theory, or the trajectory of somebody else.

Reads   nothing, or with --import a file: MD17 / MD22 .npz, the water .npy of "Forces are not enough", extended XYZ
Writes  outputs/reference/<name>/     a data set: one row a run, frames in order with energies, forces, velocities
        outputs/reference/<name>.smi  its mapped SMILES, e.g. for 002-parameterize.py --smiles

    python 011-sample-reference.py --molecule CCO
    python 011-sample-reference.py --molecule CCO --level smirnoff:outputs/openff-2.1.0.pt --temperature 300
    python 011-sample-reference.py --molecule start.xyz --level b3lyp-d3bj/dzvp --duration 1 --n-runs 4
    python 011-sample-reference.py --preset water
    python 011-sample-reference.py --import rmd17_aspirin.npz --name aspirin --size 1000

Langevin dynamics (BAOAB); several independent runs from different starting geometries, in processes of their own.
GFN2-xTB takes 2 ms a step of ethanol: 20 ps by steps of 0.5 fs about 80 s. An interrupted run goes on where it stopped,
and a longer --duration goes on from a shorter one.

Where references are: MD17 http://www.quantum-machine.org/gdml/ (or revised, https://doi.org/10.6084/m9.figshare.12672038),
MD22 http://www.sgdml.org, the water of "Forces are not enough" https://zenodo.org/record/7196767.
"""

import dataclasses
import functools
import pathlib
import re
import shutil
import typing

import ase.io
import numpy
import torch
import tyro

from common.calculators.registry import describe_level
from common.data.trajectories import Trajectory, write_trajectories
from common.data.trajectory_files import read_trajectory
from common.dynamics.states import compute_temperature
from common.files.atomic import replace_atomically
from common.files.fingerprints import compute_fingerprint
from common.files.locks import LockedError, hold_lock
from common.molecules.bond_perception import perceive_molecule
from common.molecules.mapped_smiles import from_mapped_smiles, from_smiles, to_mapped_smiles
from common.processes.pool import Prepared, run_in_processes
from common.processes.stage import run_stage
from common.processes.threads import count_available_cpus
from common.replicas.sampling import (
    WATER_LEVEL,
    SamplingSettings,
    make_molecule_source,
    make_water_source,
    sample_run,
)
from common.reporting.console import suggest_command
from common.runs.options import read_settings
from common.runs.settings import (
    AtLeastOne,
    Duration,
    Group,
    Machine,
    NonNegative,
    Positive,
    StageSettings,
    select_groups,
    to_plain,
)

OUTPUTS = pathlib.Path("outputs")
VERSION = 1
"""Of how runs are made; another makes new ones."""


@dataclasses.dataclass(frozen=True)
class Settings(StageSettings):
    """What is sampled, and how."""

    molecule: str | None = None  # SMILES (mapped or not), or a file that ASE reads with the starting geometry
    level: str = "gfn2-xtb"  # gfn1-xtb, b3lyp-d3bj/dzvp, smirnoff:FILE.pt, ase:..., function:..., or spc-water
    temperature: Positive[float] = 500.0  # [K]
    time_step: Positive[float] = 0.5  # [fs]
    friction: NonNegative[float] = 0.01  # [1/fs]; 0 for constant energy
    duration: Duration[Positive[float]] = 20.0  # [ps] of each run
    equilibration: NonNegative[float] = 1.0  # [ps] before the first frame of each run
    frame_interval: AtLeastOne[int] = 10  # [steps] between two frames
    n_runs: AtLeastOne[int] = 2  # independent: different starts, velocities and noise
    seed: NonNegative[int] = 0  # of all three
    charge: int = 0  # [e] of a molecule given by its geometry alone

    # --- a box of water, of level spc-water -------------------------------------------------------------------------
    n_molecules: AtLeastOne[int] = 32  # in the box
    edge: Positive[float] = 9.86  # [Angstrom] of the box; 9.86 for 32 molecules at 1 g/cm³

    # --- somebody else's trajectory ---------------------------------------------------------------------------------
    import_: typing.Annotated[pathlib.Path | None, tyro.conf.arg(name="import")] = None  # the file; None: sample
    smiles: str | None = None  # of what is imported, fully mapped; None: bonds by distance
    size: AtLeastOne[int] | None = None  # frames that are taken; None: all
    contiguous: bool = False  # the first frames, as they follow each other; else drawn at random
    imported_interval: Positive[float] | None = None  # [fs] between frames of the file, where they follow each other

    # --- where and with what ----------------------------------------------------------------------------------------
    name: Machine[str | None] = None  # of the data set; None: after the molecule or file
    output: Machine[pathlib.Path] = OUTPUTS / "reference"  # folder of references
    n_workers: Machine[AtLeastOne[int]] = dataclasses.field(default_factory=count_available_cpus)  # processes

    def check(self) -> None:
        if self.name is not None and not re.fullmatch(r"[\w.+-]+", self.name):
            raise ValueError(f"name = {self.name!r}: letters, digits and . + - only, it becomes a folder")

    @property
    def sampling(self) -> SamplingSettings:
        """What determines a run."""
        return SamplingSettings(
            **{field.name: getattr(self, field.name) for field in dataclasses.fields(SamplingSettings)}
        )


def read_molecule(settings: Settings) -> tuple[str, numpy.ndarray | None]:
    """Mapped SMILES of the molecule, and its starting geometry [Angstrom] where a file gives one."""
    text = settings.molecule
    if text is None:
        raise ValueError("no --molecule is given: a SMILES such as CCO, or a file with a geometry")
    if not pathlib.Path(text).suffix[1:].isalpha() or ":" in text:
        try:
            return to_mapped_smiles(from_mapped_smiles(text)), None
        except ValueError:
            return to_mapped_smiles(from_smiles(text)), None
    if not pathlib.Path(text).is_file():
        raise FileNotFoundError(f"{text}: no such file, and no SMILES")
    atoms = ase.io.read(text)
    assert isinstance(atoms, ase.Atoms)
    mol = perceive_molecule(atoms.numbers, atoms.positions, settings.charge)
    return to_mapped_smiles(mol), numpy.array(atoms.positions)


def sample(settings: Settings, name: str) -> list[Trajectory]:
    """All runs, in processes; pieces of each are kept beside the output until it is whole."""
    plain = {key: value for key, value in to_plain(settings).items() if key in SAMPLED}
    if settings.level == WATER_LEVEL:
        plain |= {"n_molecules": settings.n_molecules, "edge": settings.edge, "level": WATER_LEVEL}
        make = functools.partial(make_water_source, settings.n_molecules, settings.edge, settings.seed)
    else:
        smiles, start = read_molecule(settings)
        plain |= {"smiles": smiles, "start": None if start is None else start.tolist()}
        plain |= {"level": describe_level(settings.level)}
        make = functools.partial(make_molecule_source, smiles, settings.level, settings.seed, start)
    folder = get_work_folder(settings, name) / compute_fingerprint([VERSION, plain])
    function = Prepared(_prepare_run, (make, settings.sampling, settings.duration, folder))
    n_workers = min(settings.n_workers, settings.n_runs)
    return list(run_in_processes(function, range(settings.n_runs), n_workers, [1] * settings.n_runs, name, "run"))


def _prepare_run(make, sampling: SamplingSettings, duration: float, folder: pathlib.Path):
    """Each process loads its level of theory once."""
    return functools.partial(sample_run, make(), sampling, duration, folder)


SAMPLED = ("temperature", "time_step", "friction", "equilibration", "frame_interval", "seed")
"""Settings that determine a run, besides its system."""


def get_work_folder(settings: Settings, name: str) -> pathlib.Path:
    """Where pieces are kept."""
    return settings.output / f".{name}.runs"


def import_frames(settings: Settings) -> list[Trajectory]:
    """The frames that are wanted of somebody else's trajectory."""
    assert settings.import_ is not None
    whole = read_trajectory(settings.import_, settings.smiles, settings.charge)
    whole = dataclasses.replace(whole, frame_interval=settings.imported_interval, temperature=settings.temperature)
    size = whole.n_frames if settings.size is None else settings.size
    if size > whole.n_frames:
        raise ValueError(f"{settings.import_}: holds {whole.n_frames} frames, --size asks for {size}")
    if settings.contiguous or size == whole.n_frames:
        return [whole.select(slice(0, size))]
    chosen = numpy.sort(numpy.random.default_rng(settings.seed).choice(whole.n_frames, size, replace=False))
    velocities = None if whole.velocities is None else whole.velocities[chosen]
    entry = whole.entry.select(chosen)
    return [dataclasses.replace(whole, entry=entry, velocities=velocities, frame_interval=None)]


def name_output(settings: Settings) -> str:
    """What the data set is called."""
    if settings.name is not None:
        return settings.name
    if settings.import_ is not None:
        return settings.import_.stem
    if settings.level == WATER_LEVEL:
        return f"water-{settings.n_molecules}"
    return re.sub(r"[^\w+-]+", "-", pathlib.Path(settings.molecule or "").stem).strip("-") or "molecule"


def print_account(name: str, trajectories: list[Trajectory], settings: Settings) -> None:
    """What was sampled, and whether its temperature is the one asked for."""
    n_frames = sum(trajectory.n_frames for trajectory in trajectories)
    first = trajectories[0]
    print(f"{name}: {n_frames} frames of {first.entry.n_atoms} atoms in {len(trajectories)} runs")
    if first.velocities is not None:
        velocities = numpy.concatenate([t.velocities for t in trajectories if t.velocities is not None])
        temperature = compute_temperature(torch.from_numpy(velocities), torch.from_numpy(first.masses)).mean()
        print(f"mean kinetic temperature {temperature:.1f} K, asked for {settings.temperature:g} K")


def main() -> None:
    settings = read_settings(Settings)
    name = name_output(settings)
    output = settings.output / name
    settings.output.mkdir(parents=True, exist_ok=True)
    try:
        with hold_lock(settings.output / f".{name}.lock"):
            trajectories = import_frames(settings) if settings.import_ is not None else sample(settings, name)
            provenance = {
                "stage": "011-sample-reference",
                "settings": select_groups(settings, Group.RESULT, Group.DURATION),
                "counts": {"runs": len(trajectories), "frames": sum(t.n_frames for t in trajectories)},
            }
            write_trajectories(output, trajectories, provenance)
            with replace_atomically(output.with_name(f"{name}.smi")) as beside:
                beside.write_text(trajectories[0].entry.smiles + "\n")
            shutil.rmtree(get_work_folder(settings, name), ignore_errors=True)
    except LockedError as error:
        raise LockedError(f"{output}: {error} on it; wait until it has ended, or choose another --name") from error
    print_account(name, trajectories, settings)
    print(f"wrote {output}")
    print(suggest_command("012-pretrain.py", {"--reference": (output, "")}))


if __name__ == "__main__":
    run_stage(main)
