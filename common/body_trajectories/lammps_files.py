"""Trajectories of two rigid bodies in files of LAMMPS, as jakublala/coarsegrained-md-neural-ode writes them.

Of each run there are four files, ``NAME-info.dat`` (``dump local``: states of the bodies), ``NAME-traj.dump`` (sites),
``NAME-sim.log`` (energies per site) and ``NAME-input.log``; see :mod:`common.body_trajectories.lammps_engine`.

Orientations in ``-info.dat`` are those of principal axes as LAMMPS has chosen them. For a symmetric top they are
arbitrary in the plane and differ from body to body and run to run: nothing that depends on the plane could be learned
from them. So every body is superposed, by its sites in the first frame of ``-traj.dump``, on one template, and its
quaternions are referred to that.
"""

import contextlib
import dataclasses
import pathlib
import re
import typing

import numpy
import torch

from common.body_trajectories.systems import BodySystem
from common.body_trajectories.trajectories import SPLITS, UNIT_TOLERANCE, Trajectories
from common.dynamics.rigid_bodies import Motion
from common.geometry.bodies import Body, build_body
from common.geometry.quaternions import (
    compute_rotation_matrices,
    convert_matrices_to_quaternions,
    multiply_quaternions,
)
from common.geometry.superposition import find_superpositions
from common.potentials.body_pairs import Spring
from common.potentials.site_functions import SiteTerm
from common.processes.pool import run_in_processes

NAME = re.compile(r"temp-(?P<kt>[^_]+)_K-(?P<stiffness>[^_]+)_r-(?P<length>[^_]+)_s-(?P<seed>[^_]+)-info\.dat$")
"""What the name of a run says."""

WIDTHS = {"com": 3, "vel": 3, "q": 4, "av": 3, "am": 3, "i": 3}
"""The columns of ``-info.dat`` for each body."""

SUPERPOSITION_TOLERANCE = 1e-3
"""[length] Sites may be so far from the template's: what six digits leave."""


class Notice(typing.NamedTuple):
    """Something that was left out."""

    path: pathlib.Path
    what: str


@dataclasses.dataclass(frozen=True)
class _Run:
    stem: pathlib.Path
    kt: float
    spring: Spring
    step: float
    term: SiteTerm | None
    is_spring_late: bool
    steps: numpy.ndarray
    columns: dict[str, numpy.ndarray]
    box: float


def find_runs(folder: pathlib.Path) -> list[pathlib.Path]:
    """The stems of all runs in a folder, sorted.

    Raises:
        FileNotFoundError: there is no folder, or no run in it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    paths = sorted(folder.glob("*NVE*-info.dat"))
    if not paths:
        raise FileNotFoundError(f"{folder}: no file NVE*-info.dat here")
    return [path.with_name(path.name.removesuffix("-info.dat")) for path in paths]


def has_lammps_files(folder: pathlib.Path) -> bool:
    """Whether the folder's split for training holds files of LAMMPS."""
    return any((folder / "train").glob("*NVE*-info.dat"))


def read_lammps_folder(folder: pathlib.Path, n_workers: int = 0) -> tuple[dict[str, Trajectories], list[Notice]]:
    """The trajectories below ``train/``, ``validation/`` and ``test/``, and what was left out of them.

    Runs that differ in length are cut to the shortest of their split.

    Args:
        folder: that has the three.
        n_workers: processes that read; 0 for this one.

    Raises:
        FileNotFoundError: a folder or a file is missing.
        ValueError: a file cannot be understood, or runs do not belong together.
    """
    notices: list[Notice] = []
    stems = {split: find_runs(folder / split) for split in SPLITS}
    flat = [stem for own in stems.values() for stem in own]
    everything = []
    for run, own_notices in run_in_processes(
        _read_run_apart, flat, min(max(1, n_workers), len(flat)), [1] * len(flat), "read", "run"
    ):
        everything.append(run)
        notices += own_notices
    remaining = iter(everything)
    runs = {split: [next(remaining) for _ in own] for split, own in stems.items()}
    _check_alike(everything)
    body = _build_template(everything[0])
    return {split: _collect(own, body, notices) for split, own in runs.items()}, notices


def _check_alike(runs: list[_Run]) -> None:
    first = runs[0]
    for run in runs[1:]:
        for name, mine, others in (
            ("time step", run.step, first.step),
            ("interval of frames", _get_interval(run), _get_interval(first)),
            ("spring", run.spring, first.spring),
            ("interaction of sites", run.term, first.term),
        ):
            if mine != others:
                raise ValueError(
                    f"{run.stem}: its {name} ({mine}) is not that of {first.stem.name} ({others}); keep runs of one "
                    "kind in a folder"
                )


def _get_interval(run: _Run) -> float:
    return float(run.step * (run.steps[1] - run.steps[0]))


# --- single files ----------------------------------------------------------------------------------------------------


def _read_run_apart(stem: pathlib.Path) -> tuple[_Run, list[Notice]]:
    notices: list[Notice] = []
    return _read_run(stem, notices), notices


def _read_run(stem: pathlib.Path, notices: list[Notice]) -> _Run:
    info = stem.with_name(f"{stem.name}-info.dat")
    named = NAME.search(info.name)
    if named is None:
        raise ValueError(f"{info}: its name should end like NVE-temp-<T>_K-<k>_r-<r0>_s-<seed>-info.dat")
    try:
        kt, stiffness, length = (float(named[name]) for name in ("kt", "stiffness", "length"))
    except ValueError as error:
        raise ValueError(f"{info}: a value in its name is no number ({error})") from error
    written = _read_input(stem.with_name(f"{stem.name}-input.log"))
    steps, columns, box = read_info(info, notices)
    if len(steps) < 3 or (numpy.diff(steps) != steps[1] - steps[0]).any():
        raise ValueError(f"{info}: needs at least three frames, at equal intervals")
    spring = written.spring or Spring(stiffness, length)  # the name has six digits at most
    return _Run(stem, kt, spring, written.step, written.term, written.is_spring_late, steps, columns, box)


def _read_text(path: pathlib.Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; each run needs -info.dat, -traj.dump, -sim.log and -input.log")
    return path.read_text(errors="replace")


class _Input(typing.NamedTuple):
    step: float
    term: SiteTerm | None
    spring: Spring | None
    is_spring_late: bool


def _read_input(path: pathlib.Path) -> _Input:
    """The time step, the interaction of sites where it is ``lj/smooth``, the spring, and whether it comes too late."""
    lines = [line.split() for line in _read_text(path).splitlines() if line.strip()]
    variables = {words[1]: words[3] for words in lines if words[0] == "variable" and len(words) >= 4}
    try:
        step = float(variables["timestep"])
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path}: no line 'variable timestep equal <number>'") from error
    fixes = [words for words in lines if words[0] == "fix" and len(words) > 3]
    rigid = [i for i, words in enumerate(fixes) if words[3].startswith("rigid")]
    springs = [i for i, words in enumerate(fixes) if words[3:5] == ["spring", "couple"]]
    spring = None
    if springs:
        with contextlib.suppress(ValueError, KeyError, IndexError):  # an expression: the name of the run has to do
            words = fixes[springs[-1]]
            spring = Spring(_evaluate(words[6], variables), _evaluate(words[10], variables))
    is_spring_late = bool(rigid and springs and springs[-1] > rigid[-1])
    return _Input(step, _read_interaction(lines, variables), spring, is_spring_late)


def _evaluate(word: str, variables: dict[str, str]) -> float:
    return float(variables[word[2:-1]] if word.startswith("${") else word)


def _read_interaction(lines: list[list[str]], variables: dict[str, str]) -> SiteTerm | None:
    try:
        [style] = [words for words in lines if words[0] == "pair_style"]
        [coefficients] = [words for words in lines if words[0] == "pair_coeff"]
        if style[1] != "lj/smooth":
            return None
        constants = {"inner": _evaluate(style[2], variables), "cutoff": _evaluate(style[3], variables)}
        if len(coefficients) > 6:
            constants = {
                "inner": _evaluate(coefficients[5], variables),
                "cutoff": _evaluate(coefficients[6], variables),
            }
        epsilon, sigma = _evaluate(coefficients[3], variables), _evaluate(coefficients[4], variables)
    except (ValueError, KeyError, IndexError):
        return None  # expressions, or more than one type of site: the interaction is not known
    return SiteTerm("lj/smooth", {"epsilon": {"1": epsilon}, "sigma": {"1": sigma}}, constants)


def read_info(path: pathlib.Path, notices: list[Notice]) -> tuple[numpy.ndarray, dict[str, numpy.ndarray], float]:
    """The steps, the columns by name (``com_1`` ``shape=(n_frames, 3)``, ...) and the edge of the box.

    Raises:
        ValueError: the file is not of the layout of ``dump local`` with the columns that are needed.
    """
    lines = _read_text(path).splitlines()
    items = [i for i, line in enumerate(lines[:40]) if line.startswith("ITEM: TIMESTEP")]
    header = next((i for i, line in enumerate(lines[:40]) if line.startswith("ITEM: ENTRIES")), None)
    if not items or header is None:
        raise ValueError(f"{path}: no 'dump local' of LAMMPS (no ITEM: TIMESTEP and ITEM: ENTRIES)")
    start, period = items[0], header + 2 - items[0]
    labels = lines[header].split()[2:]
    n_frames, rest = divmod(len(lines) - start, period)
    end = start + n_frames * period
    rows = lines[header:end:period], lines[header + 1 : end : period]
    if n_frames and len(rows[1][-1].split()) != len(labels):
        n_frames, rest, rows = n_frames - 1, period, (rows[0][:-1], rows[1][:-1])
    if rest:
        notices.append(Notice(path, f"its last frame is cut off; the {n_frames} before it are used"))
    if any(line != lines[header] for line in rows[0]):
        raise ValueError(f"{path}: the columns change from frame to frame, or there is more than one entry in a frame")
    try:
        steps = numpy.array(lines[start + 1 : start + n_frames * period : period], dtype=numpy.int64)
        values = numpy.array(" ".join(rows[1]).split(), dtype=numpy.float64).reshape(n_frames, len(labels))
        bounds = [float(word) for word in lines[header - 1].split()[:2]]
    except ValueError as error:
        raise ValueError(f"{path}: a frame cannot be read ({error})") from error
    return steps, _pick_columns(path, labels, values), bounds[1] - bounds[0]


def _pick_columns(path: pathlib.Path, labels: list[str], values: numpy.ndarray) -> dict[str, numpy.ndarray]:
    """By name, in whatever order the file has them."""
    places = {label: i for i, label in enumerate(labels)}
    columns = {}
    for name, width in WIDTHS.items():
        for body in (1, 2):
            wanted = [f"c_{name}_{body}[{i}]" for i in range(1, width + 1)]
            missing = [label for label in wanted if label not in places]
            if missing:
                raise ValueError(f"{path}: no column {missing[0]}; there are {', '.join(labels[:6])}, ...")
            columns[f"{name}_{body}"] = values[:, [places[label] for label in wanted]]
    return columns


def read_log(path: pathlib.Path) -> dict[int, float]:
    """The potential energy per site by step, of the last table in a log: it begins with ``Step``, wherever that is.

    Raises:
        ValueError: there is no such table.
    """
    tables: list[tuple[list[str], list[list[str]]]] = []
    is_inside = False
    for line in _read_text(path).splitlines():
        words = line.split()
        if words[:1] == ["Step"] and "PotEng" in words:
            tables.append((words, []))
            is_inside = True
        elif is_inside and words and words[0].isdigit() and len(words) == len(tables[-1][0]):
            tables[-1][1].append(words)
        elif words[:1] == ["Loop"]:
            is_inside = False  # warnings may stand between the rows; the table ends here
    if not tables:
        raise ValueError(f"{path}: no table with the columns Step and PotEng")
    names, rows = tables[-1]
    column = names.index("PotEng")
    return {int(row[0]): float(row[column]) for row in rows}


def _read_sites(path: pathlib.Path) -> tuple[int, numpy.ndarray]:
    """The step of the first frame of ``-traj.dump``, and its sites in the order of their numbers, wrapped."""
    lines = _read_text(path).splitlines()
    try:
        step, n_sites = int(lines[1]), int(lines[3])
        header = next(i for i, line in enumerate(lines) if line.startswith("ITEM: ATOMS"))
        labels = lines[header].split()[2:]
        values = numpy.array([line.split() for line in lines[header + 1 : header + 1 + n_sites]], dtype=numpy.float64)
        places = [labels.index(name) for name in ("x", "y", "z")]
        return step, values[numpy.argsort(values[:, labels.index("id")])][:, places]
    except (ValueError, IndexError, StopIteration) as error:
        raise ValueError(f"{path}: the first frame cannot be read ({error})") from error


# --- bodies ----------------------------------------------------------------------------------------------------------


def _find_local_sites(run: _Run) -> list[numpy.ndarray]:
    """The sites of both bodies along the axes that LAMMPS gives them, in the first frame of ``-traj.dump``."""
    path = run.stem.with_name(f"{run.stem.name}-traj.dump")
    step, sites = _read_sites(path)
    if step not in run.steps:
        raise ValueError(f"{path}: its first frame, step {step}, is not in -info.dat")
    if len(sites) % 2:
        raise ValueError(f"{path}: {len(sites)} sites are not those of two equal bodies")
    frame = int(numpy.flatnonzero(run.steps == step)[0])
    local = []
    for body, own in ((1, sites[: len(sites) // 2]), (2, sites[len(sites) // 2 :])):
        vectors = own - run.columns[f"com_{body}"][frame]
        vectors -= run.box * numpy.round(vectors / run.box)
        local.append(vectors @ _rotate(run.columns[f"q_{body}"][frame]))
    return local


def read_local_motion(folder: pathlib.Path) -> tuple[BodySystem, Motion, float, int]:
    """The first run of a folder along the axes that LAMMPS itself gives each body: what its integrator has seen.

    Returns:
        the system, the states ``shape=(n_frames, 2, 3 | 4)``, the time step, and the steps from frame to frame.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file cannot be understood, or the interaction of the sites is not known.
    """
    run = _read_run(find_runs(folder)[0], [])
    if run.term is None:
        raise ValueError(f"{run.stem}-input.log: the interaction of the sites is not known")
    mass = _build_template(run).masses
    bodies = tuple(
        Body(f"body {k}", sites - sites.mean(axis=0), mass, ("1",) * len(sites))
        for k, sites in enumerate(_find_local_sites(run), 1)
    )
    columns = {
        name: torch.stack([torch.from_numpy(run.columns[f"{name}_{k}"]) for k in (1, 2)], 1)
        for name in ("com", "vel", "q", "am")
    }
    q = columns["q"][..., [3, 0, 1, 2]]
    momenta = (compute_rotation_matrices(q).mT @ columns["am"][..., None])[..., 0]
    system = BodySystem(bodies, (run.term,), run.spring, None, None, "reduced")
    return system, Motion(columns["com"], q, columns["vel"], momenta), run.step, int(run.steps[1] - run.steps[0])


def _rotate(q: numpy.ndarray) -> numpy.ndarray:
    """The rotation matrix of LAMMPS's (i, j, k, w)."""
    return compute_rotation_matrices(torch.from_numpy(q[..., [3, 0, 1, 2]])).numpy()


def _build_template(run: _Run) -> Body:
    """The body that all others are superposed on: sites of equal masses with the moments of inertia of the file."""
    sites = _find_local_sites(run)[0]
    if numpy.linalg.norm(sites.mean(axis=0)) > SUPERPOSITION_TOLERANCE:
        raise ValueError(
            f"{run.stem}: the centre of mass is not that of sites of equal masses, the only ones read here"
        )
    moments = numpy.sort(run.columns["i_1"][0])
    body, _ = build_body("body", sites, numpy.ones(len(sites)), ["1"] * len(sites))
    largest = body.moments.max()
    mass = moments[2] / largest if largest > 0.0 else 1.0
    if (
        not numpy.isfinite(mass)
        or mass <= 0.0
        or abs(moments - mass * numpy.sort(body.moments)).max() > 1e-3 * moments[2]
    ):
        found = ", ".join(f"{moment:.6g}" for moment in moments)
        raise ValueError(f"{run.stem}-info.dat: no sites of equal masses have the moments of inertia {found}")
    return build_body("body", sites, numpy.full(len(sites), mass), ["1"] * len(sites))[0]


def _collect(runs: list[_Run], body: Body, notices: list[Notice]) -> Trajectories:
    """The runs of one split with all bodies seen along the axes of the template."""
    first = 1 if any(run.is_spring_late for run in runs) else 0  # that half step did not feel the spring
    n_frames = min(len(run.steps) for run in runs)
    motions = [_convert(run, body) for run in runs]
    motion = Motion(*(torch.stack([values[first:n_frames] for values in own]) for own in zip(*motions, strict=True)))
    system = BodySystem(
        (body, body), () if runs[0].term is None else (runs[0].term,), runs[0].spring, None, None, "reduced"
    )
    names = tuple(run.stem.name for run in runs)
    energies = _collect_energies(runs, 2 * body.n_sites, first, n_frames, notices)
    temperatures = {run.kt for run in runs}
    kt = temperatures.pop() if len(temperatures) == 1 else None
    trajectories = Trajectories(system, _get_interval(runs[0]), motion, names, energies, None, None, kt)
    trajectories.check(str(runs[0].stem.parent))
    return trajectories


def _collect_energies(
    runs: list[_Run], n_sites: int, first: int, n_frames: int, notices: list[Notice]
) -> torch.Tensor | None:
    """Potential energies of all sites; LAMMPS gives them by site."""
    rows = []
    for run in runs:
        path = run.stem.with_name(f"{run.stem.name}-sim.log")
        table = read_log(path)
        try:
            rows.append([n_sites * table[int(step)] for step in run.steps[first:n_frames]])
        except KeyError as error:
            notices.append(Notice(path, f"has no energy for step {error}; energies are left out"))
            return None
    return torch.tensor(rows, dtype=torch.float64)


def _convert(run: _Run, body: Body) -> Motion:
    """Positions, quaternions (scalar first, template -> laboratory), velocities, angular momenta along own axes."""
    quaternions, momenta = [], []
    for k, sites in zip((1, 2), _find_local_sites(run), strict=True):
        superpositions = find_superpositions(body.sites, sites, body.labels, body.labels)
        if not superpositions or superpositions[0].deviation > SUPERPOSITION_TOLERANCE:
            raise ValueError(f"{run.stem}: the sites of body {k} are not those of the first body of the folder")
        offset = convert_matrices_to_quaternions(torch.from_numpy(superpositions[0].rotation))
        q = torch.from_numpy(run.columns[f"q_{k}"][:, [3, 0, 1, 2]])
        lengths = q.norm(dim=-1)
        if ((lengths - 1.0).abs() > UNIT_TOLERANCE).any() or not torch.isfinite(q).all():
            frame = int((~((lengths - 1.0).abs() <= UNIT_TOLERANCE)).nonzero()[0])
            raise ValueError(
                f"{run.stem}-info.dat: frame {frame} has a quaternion of length {lengths[frame]:.6g}, not 1"
            )
        q = multiply_quaternions(q / lengths[:, None], offset.expand_as(q))
        momentum = torch.from_numpy(run.columns[f"am_{k}"])
        quaternions.append(_make_continuous(q))
        momenta.append((compute_rotation_matrices(q).mT @ momentum[..., None])[..., 0])
    centres, velocities = (
        torch.stack([torch.from_numpy(run.columns[f"{name}_{k}"]) for k in (1, 2)], 1) for name in ("com", "vel")
    )
    return Motion(centres, torch.stack(quaternions, 1), velocities, torch.stack(momenta, 1))


def _make_continuous(q: torch.Tensor) -> torch.Tensor:
    """Of q and -q the one nearer to the frame before."""
    signs = torch.where((q[1:] * q[:-1]).sum(-1) < 0.0, -1.0, 1.0)
    return q * torch.cat((torch.ones(1), torch.cumprod(signs, 0)))[:, None]
