"""Files of LAMMPS: in 15 and in 6 digits, with and without warnings, whole and damaged; bodies on one template."""

import pathlib
import shutil

import numpy
import pytest
import torch

from common.body_trajectories.lammps_files import find_runs, has_lammps_files, read_info, read_lammps_folder, read_log
from common.dynamics.rigid_bodies import Motion, integrate
from common.geometry.quaternions import compute_rotation_matrices
from tests.helpers import DATA

HEXAGONS = DATA / "hexagons" / "fifteen-digits"
SIX_DIGITS = DATA / "hexagons" / "six-digits" / "train"
STEM = "NVE-temp-1_K-8.79447_r-2_s-1"
STEP = 1e-3

REFERRED_TOLERANCE = 1e-6
"""Along other axes than LAMMPS's own, on which the error of the splitting depends: so much over 1 τ."""

SIX_DIGITS_TOLERANCE = 3e-4
"""What starting from six digits leaves after 1 τ."""


@pytest.fixture
def folder(tmp_path) -> pathlib.Path:
    shutil.copytree(HEXAGONS, tmp_path / "hexagons")
    return tmp_path / "hexagons"


def edit(path: pathlib.Path, old: str, new: str, count: int = -1) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, count))


def check_trajectory(own, tolerance: float) -> None:
    """Our engine from the first frame gives the others."""
    potential = own.system.add_spring(own.system.build_site_potential())
    start = Motion(*(values[:, 0] for values in own.motion))
    frames = list(integrate(start, potential.compute_field, own.system.build_inertia(), STEP, own.n_frames - 1, 100))
    for name, values in own.motion._asdict().items():
        ours = torch.stack([getattr(frame, name) for frame in frames], 1)
        if name == "quaternions":
            ours = ours * torch.sign((ours * values[:, 1:]).sum(-1, keepdim=True))
        assert (ours - values[:, 1:]).abs().max() < tolerance, name


def test_the_system_is_read_with_its_trajectories():
    splits, notices = read_lammps_folder(HEXAGONS)
    assert notices == []
    train = splits["train"]
    assert train.motion.positions.shape == (1, 11, 2, 3)
    assert train.interval == pytest.approx(0.1)
    assert train.kt == 1.0
    [term] = train.system.site_terms
    assert term.function == "lj/smooth"
    assert term.constants["cutoff"] == pytest.approx(2.0 ** (1.0 / 6.0))
    body = train.system.bodies[0]
    numpy.testing.assert_allclose(body.moments, [3.0, 3.0, 6.0], atol=1e-10)
    assert body.mass == pytest.approx(7.0)
    assert body.fold == 6


def test_our_engine_gives_the_same_trajectory():
    for own in read_lammps_folder(HEXAGONS)[0].values():
        check_trajectory(own, REFERRED_TOLERANCE)


def test_our_engine_gives_the_same_trajectory_to_six_digits(folder):
    shutil.rmtree(folder / "train")
    shutil.copytree(SIX_DIGITS, folder / "train")
    splits, _ = read_lammps_folder(folder)
    check_trajectory(splits["train"], SIX_DIGITS_TOLERANCE)
    exact = read_lammps_folder(HEXAGONS)[0]["train"]
    assert (splits["train"].motion.positions - exact.motion.positions).abs().max() < 1e-5


def test_bodies_of_all_runs_are_seen_along_one_template():
    """The sites that LAMMPS wrote are those of the template, for both bodies and in all runs; not so before."""
    for split, own in read_lammps_folder(HEXAGONS)[0].items():
        [stem] = find_runs(HEXAGONS / split)
        lines = stem.with_name(f"{stem.name}-traj.dump").read_text().splitlines()[9:]
        rows = numpy.array([line.split() for line in lines], dtype=float)
        sites = torch.from_numpy(rows[numpy.argsort(rows[:, 0]), 2:].reshape(2, 7, 3))
        body = torch.from_numpy(own.system.bodies[0].sites)
        for k in (0, 1):
            rotation = compute_rotation_matrices(own.motion.quaternions[0, 0, k])
            placed = own.motion.positions[0, 0, k] + body @ rotation.T
            distances = torch.cdist(placed, sites[k])
            assert distances.min(0).values.max() < 1e-12
            columns = read_info(stem.with_name(f"{stem.name}-info.dat"), [])[1]
            unreferred = compute_rotation_matrices(torch.from_numpy(columns[f"q_{k + 1}"][0, [3, 0, 1, 2]]))
            as_given = own.motion.positions[0, 0, k] + body @ unreferred.T
            assert torch.cdist(as_given, sites[k]).min(0).values.max() > 0.01


def test_columns_may_stand_in_any_order(folder):
    expected = read_lammps_folder(folder)[0]["train"]
    path = folder / "train" / f"{STEM}-info.dat"
    lines = path.read_text().splitlines()
    for i in range(8, len(lines), 10):
        header, values = lines[i].split(), lines[i + 1].split()
        lines[i] = " ".join([*header[:2], *reversed(header[2:])])
        lines[i + 1] = " ".join(reversed(values))
    path.write_text("\n".join(lines) + "\n")
    again = read_lammps_folder(folder)[0]["train"]
    for one, other in zip(again.motion, expected.motion, strict=True):
        assert torch.equal(one, other)


def test_warnings_and_older_tables_do_not_disturb_energies(tmp_path):
    """Newer LAMMPS warns before, or in, the table; older templates had no columns of the spring."""
    rows = "      0   1.5   -0.25   0.4   0.15\n    100   1.4   -0.20   0.3   0.10\n"
    path = tmp_path / "sim.log"
    path.write_text(
        "WARNING: one\nStep Temp PotEng KinEng TotEng\n 0 1 9.0 1 1\nLoop time of 1\n"
        f"WARNING: two\nStep Temp PotEng KinEng TotEng\n{rows}"
        "WARNING: three (src/x.cpp:1)\n 200 1 -0.1 1 1\nLoop time\n"
    )
    assert read_log(path) == {0: -0.25, 100: -0.20, 200: -0.1}


def test_a_frame_that_is_cut_off_is_named_and_the_rest_used(folder):
    path = folder / "train" / f"{STEM}-info.dat"
    path.write_text(path.read_text()[:-300])
    splits, notices = read_lammps_folder(folder)
    assert splits["train"].n_frames == 10
    assert [(notice.path, notice.what) for notice in notices] == [
        (path, "its last frame is cut off; the 10 before it are used")
    ]
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-5]) + "\n")
    assert read_lammps_folder(folder)[0]["train"].n_frames == 10


def test_the_frame_that_lacks_the_spring_is_left_out(folder):
    """Where ``fix spring`` comes after ``fix rigid``, LAMMPS's first half step does not feel it."""
    path = folder / "train" / f"{STEM}-input.log"
    lines = path.read_text().splitlines()
    [spring] = [line for line in lines if line.startswith("fix spring")]
    lines.remove(spring)
    last = max(i for i, line in enumerate(lines) if line.startswith("fix bodies"))
    lines.insert(last + 1, spring)
    path.write_text("\n".join(lines) + "\n")
    expected = read_lammps_folder(HEXAGONS)[0]["train"]
    again = read_lammps_folder(folder)[0]["train"]
    assert again.n_frames == 10
    torch.testing.assert_close(again.motion.positions, expected.motion.positions[:, 1:], atol=1e-15, rtol=0)


def break_step(folder):
    edit(folder / "test" / "NVE-temp-1_K-8.79447_r-2_s-3-input.log", "timestep equal 0.001", "timestep equal 0.002")


def break_column(folder):
    edit(folder / "train" / f"{STEM}-info.dat", "c_q_2[4]", "c_quat_2[4]")


def break_number(folder):
    path = folder / "train" / f"{STEM}-info.dat"
    lines = path.read_text().splitlines()
    lines[19] = " ".join(["nan", *lines[19].split()[1:]])
    path.write_text("\n".join(lines) + "\n")


def break_quaternion(folder):
    path = folder / "train" / f"{STEM}-info.dat"
    lines = path.read_text().splitlines()
    words = lines[19].split()
    words[12] = "0.9"
    lines[19] = " ".join(words)
    path.write_text("\n".join(lines) + "\n")


def break_inertia(folder):
    path = folder / "train" / f"{STEM}-info.dat"
    lines = path.read_text().splitlines()
    for i in range(9, len(lines), 10):
        words = lines[i].split()
        words[34] = "0.0"
        lines[i] = " ".join(words)
    path.write_text("\n".join(lines) + "\n")


def break_text(folder):
    edit(folder / "train" / f"{STEM}-info.dat", "ITEM: ENTRIES", "ITEM: ROWS")


def break_name(folder):
    path = folder / "train" / f"{STEM}-info.dat"
    path.rename(path.with_name("NVE-run-7-info.dat"))


def break_energies(folder):
    edit(folder / "train" / f"{STEM}-sim.log", "PotEng", "Pressure")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_step, r"s-3: its time step \(0\.002\) is not that of .*s-1 \(0\.001\)"),
        (break_column, r"info\.dat: no column c_q_2\[4\]"),
        (break_number, r"frame 1, has positions that are not finite"),
        (break_quaternion, r"info\.dat: frame 1 has a quaternion of length"),
        (break_inertia, r"no sites of equal masses have the moments of inertia 0, 3, 3"),
        (break_text, r"info\.dat: no 'dump local' of LAMMPS"),
        (break_name, r"NVE-run-7-info\.dat: its name should end like"),
        (break_energies, r"sim\.log: no table with the columns Step and PotEng"),
    ],
)
def test_damage_is_named(damage, message, folder):
    damage(folder)
    with pytest.raises(ValueError, match=message):
        read_lammps_folder(folder)


@pytest.mark.parametrize("name", ["info.dat", "input.log", "traj.dump", "sim.log"])
def test_a_file_that_is_not_there_is_named(name, folder):
    (folder / "train" / f"{STEM}-{name}").unlink()
    with pytest.raises(FileNotFoundError, match="no file NVE" if name == "info.dat" else f"{name}: no such file"):
        read_lammps_folder(folder)


def test_a_folder_that_is_not_there_is_named(folder):
    shutil.rmtree(folder / "validation")
    with pytest.raises(FileNotFoundError, match="validation: no such folder"):
        read_lammps_folder(folder)
    assert has_lammps_files(folder)
    assert not has_lammps_files(folder / "train")
